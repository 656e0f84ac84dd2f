# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""
What an encoder and a decoder are. A variant writes `forward` and how its ends are shifted, and says what its layers see
in `geometry_llm_codec`; exact chunks, streams and batches, and float64 where rounding decides, come for free.
"""

import torch
from torch import nn

from .configuration_llm_codec import LLMCodecConfig


class LLMCodecEncoder(nn.Module):
    """`(batch, 1, samples)` → `(batch, latent_dim, frames)`."""

    # Error of float32 relative to the length of a latent, as differences of scores see it; measured for each variant.
    # Matrices of other shapes are summed in other orders. Where the best two scores differ by less, float64 decides.
    rounding: float

    def __init__(self, config: LLMCodecConfig):
        super().__init__()
        self.config = config

    def forward(self, input_values: torch.Tensor, frame_mask: torch.BoolTensor | None = None) -> torch.Tensor:
        """
        Args:
            input_values: Audio, `(batch, 1, samples)`, whole groups and windows.
            frame_mask: `(batch, frames)`, true inside each item's own padded length. What an item gets must not depend
                on what lies outside: every layer that looks sideways finds zeros there.

        Returns:
            Latents, `(batch, latent_dim, frames)`.
        """
        raise NotImplementedError

    def shift_output(self, offset: torch.Tensor) -> None:
        """Adds `(latent_dim,)` to every latent from now on."""
        raise NotImplementedError

    def frames(
        self, input_values: torch.Tensor, frame_mask: torch.BoolTensor | None, start: int, stop: int
    ) -> torch.Tensor:
        """The latent frames `start … stop - 1`, computed of as much audio as they depend on."""
        return self._frames(self, input_values, frame_mask, start, stop)

    def exact_frames(self, input_values: torch.Tensor, start: int, stop: int) -> torch.Tensor:
        """The latent frames `start … stop - 1` of one item without padding, in float64."""

        def forward(audio: torch.Tensor, frame_mask: None) -> torch.Tensor:
            state = dict(self.named_parameters()) | dict(self.named_buffers())
            state = {name: tensor.detach().double() for name, tensor in state.items() if tensor.is_floating_point()}
            with torch.autocast(audio.device.type, enabled=False):
                return torch.func.functional_call(self, state, (audio.double(), frame_mask))

        return self._frames(forward, input_values, None, start, stop)

    def _frames(
        self, forward, input_values: torch.Tensor, frame_mask: torch.BoolTensor | None, start: int, stop: int
    ) -> torch.Tensor:
        hop, window = self.config.hop_length, self.config.pad_to_multiple_of
        first, last = self.config.encoder_span(start, stop)
        first, last = max(first // window * window, 0), min(-(-last // window) * window, input_values.shape[-1])
        mask = None if frame_mask is None else frame_mask[:, first // hop : last // hop]
        return forward(input_values[..., first:last], mask)[..., start - first // hop : stop - first // hop]


class LLMCodecDecoder(nn.Module):
    """`(batch, latent_dim, frames)` → `(batch, 1, samples)`."""

    def __init__(self, config: LLMCodecConfig):
        super().__init__()
        self.config = config

    def forward(
        self,
        latents: torch.Tensor,
        frame_mask: torch.BoolTensor | None = None,
        noises: list[torch.Tensor | None] | None = None,
    ) -> torch.Tensor:
        """
        Args:
            latents: `(batch, latent_dim, frames)`.
            frame_mask: `(batch, frames)`, true inside each item; audio outside is zero.
            noises: As `draw_noise` gives them.

        Returns:
            Audio in −1 … 1, `(batch, 1, samples)`.
        """
        raise NotImplementedError

    def shift_input(self, offset: torch.Tensor) -> None:
        """Lets the decoder take latents to which `(latent_dim,)` was added as it took them before, but at edges."""
        raise NotImplementedError

    def draw_noise(
        self, start: int, stop: int, device: torch.device, batch: int = 1, generator: torch.Generator | None = None
    ) -> list[torch.Tensor | None]:
        """
        The noise that the decoder adds between the frames `start … stop - 1`; a decoder without noise has none.

        Args:
            start: First frame.
            stop: The frame after the last.
            device: Where the noise is drawn without a generator.
            batch: Number of items, each of which gets noise of its own from a generator.
            generator: Source of the noise; by default it is a fixed function of a sample's position.

        Returns:
            One tensor per layer of noise, `(batch or 1, steps, 1)`, or None for a layer without.
        """
        return []
