# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Averages of the weights over the last steps, which are evaluated and exported."""

import contextlib
from collections.abc import Iterator

import torch
from torch import nn


class Averages:
    """
    Moving averages of all parameters of a module.

    Args:
        module (`nn.Module`): Whose parameters are averaged.
        decay (`float`): Share of the averages that a step keeps; 0 for no averaging.
    """

    def __init__(self, module: nn.Module, decay: float):
        self.module, self.decay = module, decay
        self.values = [parameter.detach().clone() for parameter in module.parameters()]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Moves the averages; faster in the first steps, so that the random beginning is soon forgotten."""
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self.values, [parameter.detach() for parameter in self.module.parameters()], 1 - decay)

    def restart(self) -> None:
        """Makes the averages the weights as they are now."""
        self.load({name: parameter.detach() for name, parameter in self.module.named_parameters()})

    @torch.no_grad()
    def put(self) -> None:
        """Makes the weights the averages, for good."""
        for parameter, average in zip(self.module.parameters(), self.values):
            parameter.copy_(average)

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """The module has the averages inside of the block, and its own weights again after it."""
        own = [parameter.detach().clone() for parameter in self.module.parameters()]
        self.put()
        try:
            yield
        finally:
            with torch.no_grad():
                for parameter, value in zip(self.module.parameters(), own):
                    parameter.copy_(value)

    def named(self) -> dict[str, torch.Tensor]:
        """Name of a parameter → its average."""
        return {name: average for (name, _), average in zip(self.module.named_parameters(), self.values)}

    def load(self, tensors: dict[str, torch.Tensor]) -> None:
        """Takes averages by the names of the parameters; those without one stay."""
        for name, average in self.named().items():
            if name in tensors:
                average.copy_(tensors[name])
