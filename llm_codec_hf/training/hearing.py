# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""What Whisper hears in the audio of a training: the feature loss, and the targets of the semantic head."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from ..embedded.whisper_features import WhisperFeatures

LEAST_DEVIATION = 0.05  # of a channel; quieter ones would weigh by their rounding


class Hearing(nn.Module):
    """
    Whisper's hidden states of original and decoded audio, scaled per channel by what was measured once.

    A few of Whisper's channels are a hundred times as large as the others; without scaling they would be all that a
    loss sees. The scale is measured on some clips before the first step and kept, so that a loss is a mean over items
    and no item's depends on its batch.

    Args:
        whisper (`WhisperFeatures`): The frozen encoder, which is no part of the module's state.
        layers (`Sequence[int]`): All layers that will be asked for.
    """

    def __init__(self, whisper: WhisperFeatures, layers: Sequence[int]):
        super().__init__()
        whisper.check_layers(layers)
        self.whisper, self.layers = whisper, sorted(set(layers))
        for layer in self.layers:
            # a deviation of 0 means that it has not been measured
            self.register_buffer(f"mean_{layer}", torch.zeros(whisper.width))
            self.register_buffer(f"deviation_{layer}", torch.zeros(whisper.width))
            # of means over a group of codes, which spread less than frames
            self.register_buffer(f"group_deviation_{layer}", torch.zeros(whisper.width))

    @property
    def unmeasured(self) -> list[int]:
        """The layers whose channels have not been measured."""
        return [layer for layer in self.layers if not self.get_buffer(f"group_deviation_{layer}").any()]

    @torch.no_grad()
    def measure(self, clips: Sequence[torch.Tensor], groups: int) -> None:
        """
        Measures mean and standard deviation per channel of the layers that lack them.

        Args:
            clips: Audio, each `(batch, 1, samples)` at 16 kHz.
            groups: Number of groups of codes in each clip.
        """
        layers = self.unmeasured
        if not layers:
            return
        heard = [self.whisper(audio, layers) for audio in clips]
        for layer in layers:
            frames = torch.cat([states[layer].flatten(0, 1) for states in heard])
            self.get_buffer(f"mean_{layer}").copy_(frames.mean(dim=0))
            self.get_buffer(f"deviation_{layer}").copy_(frames.std(dim=0).clamp(min=LEAST_DEVIATION))
            means = torch.cat([group_means(states[layer], groups).transpose(1, 2).flatten(0, 1) for states in heard])
            self.get_buffer(f"group_deviation_{layer}").copy_(means.std(dim=0).clamp(min=LEAST_DEVIATION))

    @torch.no_grad()
    def listen(self, audio: torch.Tensor, layers: Sequence[int]) -> dict[int, torch.Tensor]:
        """Layer → hidden states of original audio, `(batch, frames, width)`, without gradients."""
        return self.whisper(audio, layers)

    def feature_loss(
        self, estimate: torch.Tensor, heard: dict[int, torch.Tensor], layers: Sequence[int]
    ) -> torch.Tensor:
        """
        Mean absolute difference of hidden states in deviations of their channels, averaged over layers.

        Source: JHCodec's SSRR (arXiv 2603.05887), with Whisper as the judge.

        Args:
            estimate: Decoded audio, `(batch, 1, samples)`; gradients reach it.
            heard: What `listen` gave for the original.
            layers: To compare.

        Returns:
            A scalar.
        """
        own = self.whisper(estimate, layers)
        losses = [((own[k] - heard[k]) / self.get_buffer(f"deviation_{k}")).abs().mean() for k in layers]
        return sum(losses) / len(losses)

    def targets(self, heard: dict[int, torch.Tensor], layers: Sequence[int], groups: int) -> torch.Tensor:
        """
        Hidden states averaged over the time of each group of codes, and then standardised.

        Args:
            heard: What `listen` gave.
            layers: To concatenate.
            groups: Number of groups in the audio; a group of 0.12 s is six frames.

        Returns:
            `(batch, width * layers, groups)`.
        """
        means = [
            (group_means(heard[k], groups) - self.get_buffer(f"mean_{k}")[:, None])
            / self.get_buffer(f"group_deviation_{k}")[:, None]
            for k in layers
        ]
        return torch.cat(means, dim=1)


def group_means(states: torch.Tensor, groups: int) -> torch.Tensor:
    """`(batch, frames, width)` → `(batch, width, groups)`."""
    return F.adaptive_avg_pool1d(states.transpose(1, 2), groups)
