# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""A head on layer 0 that predicts what Whisper hears, so that layer 0's words say what is said."""

import torch
import torch.nn.functional as F
from torch import nn

HIDDEN = 512


class SemanticHead(nn.Module):
    """
    A small network from layer 0's vectors, one per group of codes, to standardised hidden states of Whisper.

    It sees a group and one neighbour on each side. It belongs to the training alone: no codec has it.

    Args:
        channels (`int`): Of layer 0.
        width (`int`): Of the hidden states, of all layers together.
    """

    def __init__(self, channels: int, width: int):
        super().__init__()
        self.context = nn.Conv1d(channels, HIDDEN, 3, padding=1)
        self.output = nn.Conv1d(HIDDEN, width, 1)

    def forward(self, layer: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """
        Mean squared error of the prediction; 1 is what a constant reaches.

        Args:
            layer: Layer 0's vectors, `(batch, channels, groups)`.
            targets: `(batch, width, groups)`, each channel with a variance of about 1.

        Returns:
            A scalar.

        Raises:
            ValueError: If the shapes do not fit.
        """
        if targets.shape != (layer.shape[0], self.output.out_channels, layer.shape[-1]):
            raise ValueError(
                f"A head of the width {self.output.out_channels} on vectors of the shape {tuple(layer.shape)} got "
                f"targets of the shape {tuple(targets.shape)}."
            )
        return F.mse_loss(self.output(F.gelu(self.context(layer))).float(), targets)

    @torch.no_grad()
    def shift_input(self, offset: torch.Tensor) -> None:
        """Makes up for an offset `(channels,)` that its input will have from now on."""
        self.context.bias -= self.context.weight.sum(dim=-1) @ offset
