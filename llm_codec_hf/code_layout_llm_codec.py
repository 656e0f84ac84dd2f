# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""The order of the quantizer layers' codes: in the rows of a clip's codes, and among its token ids."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch

from .arguments_llm_codec import is_whole, whole_number

MAX_GROUPS = 2**17  # of a clip that a prompt holds, or an answer: four hours at the original's rates
LAYOUTS = ("layer_major", "time_major")
DEFAULT_LAYOUT = "layer_major"  # the original's


@dataclass(frozen=True)
class CodeLayout:
    """
    The order of a clip's codes, which follows from the strides of the quantizer layers alone.

    A group is the span of one code of layer 0. A clip's codes have a column per group and a row per code of a group:
    first the row of layer 0, then the rows of layer 1 in time order, and so on. For strides (4, 2, 1):

        frames   |  0    1    2    3  |  4    5    6    7  |
        layer 0  |         a0         |         a1         |      row 0:       a0 a1
        layer 1  |    b0   |    b1    |    b2   |    b3    |      rows 1 to 2: b0 b2, b1 b3
        layer 2  | c0 | c1 | c2 | c3  | c4 | c5 | c6 | c7  |      rows 3 to 6: c0 c4, c1 c5, c2 c6, c3 c7

    Token ids come in one of two layouts: `layer_major`, which is a0 a1 b0 b1 b2 b3 c0 … c7, or `time_major`, which is
    a0 b0 b1 c0 c1 c2 c3 and then the same of the next group.

    Args:
        vq_strides: Latent frames that a code of each layer spans.

    Raises:
        ValueError: If a stride is not a positive integer that divides the first.
    """

    vq_strides: tuple[int, ...]

    def __post_init__(self):
        given = self.vq_strides
        strides = tuple(given) if isinstance(given, Iterable) and not isinstance(given, (str, Mapping)) else ()
        if not strides or any(not is_whole(s) or s < 1 for s in strides) or any(strides[0] % s for s in strides):
            told = list(strides) if strides else repr(given)
            raise ValueError(f"`vq_strides` are positive integers that divide the first of them, got {told}.")
        if strides[0] > 2**20 or len(strides) > 16:
            raise ValueError(f"`vq_strides` are at most 16 integers up to {2**20}, got {list(strides)!r:.100}.")
        object.__setattr__(self, "vq_strides", tuple(map(int, strides)))

    @property
    def num_layers(self) -> int:
        """Number of quantizer layers."""
        return len(self.vq_strides)

    @property
    def codes_per_layer(self) -> tuple[int, ...]:
        """Codes of each layer per group: (1, 2, 4) for strides (4, 2, 1)."""
        return tuple(self.vq_strides[0] // stride for stride in self.vq_strides)

    @property
    def codes_per_group(self) -> int:
        """Codes of all layers per group: 7 for strides (4, 2, 1)."""
        return sum(self.codes_per_layer)

    def check_layers(self, layers: int | Iterable[int] | None) -> tuple[int, ...]:
        """Layers as a tuple: one, some in ascending order, or all for None.

        Raises:
            ValueError: If a layer does not exist, is repeated or out of order, or if there is none.
        """
        every = tuple(range(self.num_layers))
        if layers is None:
            return every
        if is_whole(layers):
            found = (layers,)
        elif isinstance(layers, Iterable) and not isinstance(layers, (str, bytes, Mapping)):
            try:
                found = tuple(layers)
            except TypeError:  # an array without dimensions says that it can be iterated over
                found = ()
        else:
            found = ()
        if (
            not found
            or not all(is_whole(layer) and layer in every for layer in found)
            or sorted(set(found)) != list(found)
        ):
            told = list(found) if found else repr(layers)
            raise ValueError(f"`layers` are some of {list(every)} in ascending order, got {told}.")
        return tuple(map(int, found))

    def counts(self, layers: Iterable[int]) -> list[int]:
        """Codes per group of each of some layers."""
        return [self.codes_per_layer[layer] for layer in layers]

    def rows(self, layers: Iterable[int] | None) -> torch.BoolTensor:
        """Whether each row of a clip's codes belongs to one of some layers: `(codes_per_group,)`; None for all."""
        owners = [layer for layer, count in enumerate(self.codes_per_layer) for _ in range(count)]
        wanted = self.check_layers(layers)
        return torch.tensor([layer in wanted for layer in owners])

    def all_rows(self, codes: torch.LongTensor, layers: Iterable[int] | None) -> torch.LongTensor:
        """Codes of some layers' rows `(rows, groups)` → `(codes_per_group, groups)`, with −1 in the other rows."""
        every = torch.full((self.codes_per_group, codes.shape[1]), -1)
        every[self.rows(layers)] = codes
        return every

    def split(self, audio_codes: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """`(..., codes_per_group, groups)` → the codes of each layer in time order, `(..., groups · codes)`."""
        rows = audio_codes.split(self.codes_per_layer, dim=-2)
        return tuple(layer.transpose(-2, -1).flatten(-2) for layer in rows)

    def merge(self, layers: Sequence[torch.Tensor]) -> torch.Tensor:
        """The codes of every layer in time order, `(..., groups · codes)` → `(..., codes_per_group, groups)`."""
        pairs = zip(layers, self.codes_per_layer, strict=True)
        return torch.cat([codes.unflatten(-1, (-1, count)).transpose(-2, -1) for codes, count in pairs], dim=-2)

    def pattern(self, layers: Iterable[int], layout: str, num_groups: int) -> list[int]:
        """The layer of each code, in the order of the ids of `num_groups` groups of some layers."""
        if layout == "time_major":
            return [layer for layer in layers for _ in range(self.codes_per_layer[layer])] * num_groups
        return [layer for layer in layers for _ in range(self.codes_per_layer[layer] * num_groups)]

    def arrange(self, codes: Sequence[int], layers: Iterable[int], layout: str, num_groups: int) -> torch.LongTensor:
        """Codes of some layers in the order of their ids → `(rows of these layers, num_groups)`; see `arrange`."""
        return arrange(codes, self.counts(layers), layout, num_groups)


def arrange(codes: Sequence[int], counts: Sequence[int], layout: str, num_groups: int) -> torch.LongTensor:
    """
    Codes in the order of their ids → rows.

    Args:
        codes: The codes, at most `sum(counts) · num_groups`. Where they end early, −1 stands for the codes that are
            missing: for single codes in the layer-major layout, for all of an incomplete group in the time-major one.
        counts: Codes per group of each layer that the ids hold.
        layout: "layer_major" or "time_major".
        num_groups: Groups of the clip.

    Returns:
        int64 codes, `(sum(counts), num_groups)`.
    """
    per_group = sum(counts)
    if layout == "time_major":
        codes = codes[: len(codes) // per_group * per_group]
    flat = torch.full((per_group * num_groups,), -1)
    flat[: len(codes)] = torch.tensor(codes, dtype=torch.long)
    if layout == "time_major":
        return flat.view(num_groups, per_group).T.contiguous()
    parts = flat.split([count * num_groups for count in counts])
    return torch.cat([part.view(num_groups, count).T for count, part in zip(counts, parts, strict=True)])


def check_groups(name: str, value: int, least: int = 1) -> int:
    """A number of groups, from `least` to `MAX_GROUPS`.

    Raises:
        ValueError: For anything else.
    """
    return whole_number(name, value, least, MAX_GROUPS)


def check_layout(layout: str) -> None:
    """
    Checks the name of a layout.

    Raises:
        ValueError: If it is none of `LAYOUTS`.
    """
    if not isinstance(layout, str) or layout not in LAYOUTS:
        raise ValueError(f"`layout` is one of {', '.join(LAYOUTS)}, got {layout!r}.")


__all__ = ["CodeLayout"]
