# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Audio codes as token ids, and token ids read back as audio codes."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch

from .code_layout_llm_codec import CodeLayout, check_groups, check_layout
from .code_tables_llm_codec import CodeTable, FlatTables, read_codes

AudioCodes = torch.Tensor | np.ndarray | Sequence
Layers = int | Iterable[int] | None


class AudioVocabulary:
    """
    The token ids of all layers' codes, in both directions. It never changes once it is built.

    Args:
        tables: The table of each quantizer layer.
        code_layout: How many codes each layer has per group.
        describe: Names a token id in error messages.
    """

    def __init__(self, tables: Sequence[CodeTable], code_layout: CodeLayout, describe: Callable[[int], str]):
        self.tables, self.code_layout, self._describe = tuple(tables), code_layout, describe
        self._flat = FlatTables(self.tables)

    def __deepcopy__(self, memo) -> "AudioVocabulary":
        return self  # `ProcessorMixin.to_dict` copies every attribute, at every log line

    @property
    def max_token_id(self) -> int:
        """The largest token id of any code."""
        return max(max(ids) for table in self.tables for ids in table.sequences)

    def check_layers(self, layers: Layers) -> tuple[int, ...]:
        """
        Layers as a tuple, all for None.

        Raises:
            ValueError: As `CodeLayout.check_layers`, and for a layer whose codes have no ids in this vocabulary.
        """
        layers = self.code_layout.check_layers(layers)
        if absent := [layer for layer in layers if not self.tables[layer].sequences]:
            raise ValueError(
                f"The codes of layer {absent[0]} are token ids of the codec's own language model, which this tokenizer "
                "does not have: only the words of layer 0 can be written for another. Pass `layers=(0,)`, or use the "
                "codec's language model."
            )
        return layers

    # ---- Codes to ids

    def codes_to_ids(self, audio_codes: AudioCodes, layers: Layers, layout: str) -> list[int] | list[list[int]]:
        """See `LLMCodecProcessor.codes_to_ids`."""
        layers = self.check_layers(layers)
        check_layout(layout)
        audio_codes = as_tensor(audio_codes)
        if audio_codes.ndim == 3:
            return [self.codes_to_ids(clip, layers, layout) for clip in audio_codes]
        rows = self.layer_rows(audio_codes, layers)
        entries = [self._flat.offsets[layer] + codes for layer, codes in zip(layers, rows)]
        if layout == "time_major":
            entries = [torch.cat(entries)]
        return self._flat.lookup(torch.cat([codes.T.reshape(-1) for codes in entries]))

    def codes_to_strings(
        self, audio_codes: AudioCodes, layers: Layers, show: Callable[[int, int], str]
    ) -> list[list[str]] | list[list[list[str]]]:
        """
        Every code as a string.

        Args:
            audio_codes: A clip's codes, `(codes_per_group, groups)`, or a batch, `(batch, codes_per_group, groups)`.
            layers: The layers to show, in ascending order; None for all.
            show: The string of a layer's code.

        Returns:
            For each layer a list of strings in time order; for a batch, one such list of lists per clip.

        Raises:
            ValueError: As `layer_rows`.
        """
        layers = self.check_layers(layers)
        audio_codes = as_tensor(audio_codes)
        if audio_codes.ndim == 3:
            return [self.codes_to_strings(clip, layers, show) for clip in audio_codes]
        strings = []
        for layer, codes in zip(layers, self.layer_rows(audio_codes, layers)):
            unique, inverse = codes.T.reshape(-1).unique(return_inverse=True)
            shown = [show(layer, code) for code in unique.tolist()]
            strings.append([shown[i] for i in inverse.tolist()])
        return strings

    def layer_rows(self, audio_codes: torch.Tensor, layers: tuple[int, ...]) -> list[torch.Tensor]:
        """
        The rows of each of some layers, without the trailing groups of −1.

        Args:
            audio_codes: A clip's codes, `(codes_per_group, groups)`, or those of these layers' rows alone.
            layers: The layers, checked.

        Returns:
            For each layer its codes, `(codes of the layer per group, groups)`.

        Raises:
            ValueError: For codes of another shape, outside their layer's table, or −1 before the end.
        """
        counts, per_group = self.code_layout.counts(layers), self.code_layout.codes_per_group
        if audio_codes.ndim != 2 or len(audio_codes) not in (per_group, sum(counts)):
            some = f", or ({sum(counts)}, groups) for layers {list(layers)} alone" if sum(counts) < per_group else ""
            raise ValueError(
                f"A clip's audio codes have the shape (codes_per_group, groups) = ({per_group}, groups){some}; got "
                f"{tuple(audio_codes.shape)}."
            )
        if len(audio_codes) == per_group:
            audio_codes = audio_codes[self.code_layout.rows(layers)]
        known = audio_codes.ne(-1).any(0).nonzero()
        groups = int(known[-1]) + 1 if len(known) else 0
        rows = audio_codes[:, :groups].split(counts)
        for layer, codes in zip(layers, rows):
            wrong = ((codes < 0) | (codes >= len(self.tables[layer]))).nonzero()
            if len(wrong):
                row, group = wrong[0].tolist()
                raise ValueError(
                    f"Layer {layer} has the codes 0 … {len(self.tables[layer]) - 1}, got {int(codes[row, group])} in "
                    f"group {group}; −1 may stand only in all rows of the last groups, where a clip has ended."
                )
        return list(rows)

    # ---- Ids to codes

    def ids_to_codes(
        self, ids: Sequence[int] | torch.Tensor | np.ndarray, layers: Layers, layout: str, num_groups: int | None
    ) -> torch.LongTensor:
        """See `LLMCodecProcessor.ids_to_codes`."""
        layers = self.check_layers(layers)
        check_layout(layout)
        ids = as_tensor(ids, "ids", ndim=1).tolist()
        if num_groups is not None:
            num_groups = check_groups("num_groups", num_groups, 0)
            codes = self._read(ids, self.code_layout.pattern(layers, layout, num_groups))
        elif layout == "time_major" or len(layers) == 1:
            layout, group = "time_major", self.code_layout.pattern(layers, "time_major", 1)
            codes = self._read(ids, group, cyclic=True)
            num_groups = len(codes) // len(group)
        else:
            codes, num_groups = self._read_layers(ids, layers)
        return self.code_layout.arrange(codes, layers, layout, num_groups)

    def _read(self, ids: list[int], pattern: list[int], cyclic: bool = False) -> list[int]:
        """The codes of ids in the pattern's order: of the whole pattern if possible, otherwise of its beginning."""
        tables = [self.tables[layer] for layer in pattern]
        for partial in (False, True):
            split = read_codes(ids, tables, cyclic, partial)
            if split.codes is not None:
                return split.codes
        where = f"Position {split.position} holds {self._describe(ids[split.position])}"
        if not cyclic and split.count == len(pattern):
            raise ValueError(f"{where}, but the {len(pattern)} codes of all groups end before it; cut the ids there.")
        layer = pattern[split.count % len(pattern)]
        raise ValueError(
            f"{where}, where layer {layer} has no code that goes on so. Expected are the ids of codes alone, in the "
            "layout and layers asked for; cut off what a language model wrote besides."
        )

    def _read_layers(self, ids: list[int], layers: tuple[int, ...]) -> tuple[list[int], int]:
        """The codes of layer-major ids of several layers in their order, and the smallest fitting number of groups."""
        candidates, furthest = self._possible_groups(ids, layers)
        for groups in candidates:
            pattern = [self.tables[layer] for layer in self.code_layout.pattern(layers, "layer_major", groups)]
            if (codes := read_codes(ids, pattern, cyclic=False, partial=False).codes) is not None:
                return codes, groups
        if len(candidates) == 1:  # the length leaves one number: with it, the id that is wrong shows
            self._read(ids, self.code_layout.pattern(layers, "layer_major", candidates[0]))
        proportions = ":".join(map(str, self.code_layout.counts(layers)))
        stop = (
            f"position {furthest}, which holds {self._describe(ids[furthest])}" if furthest < len(ids) else "their end"
        )
        raise ValueError(
            f"{len(ids)} ids are not the codes of layers {list(layers)} one after the other in the proportions "
            f"{proportions}, for any number of groups: the codes of layer {layers[0]} can be read at most up to "
            f"{stop}. Give `num_groups` to read a part of a clip."
        )

    def _possible_groups(self, ids: list[int], layers: tuple[int, ...]) -> tuple[list[int], int]:
        """
        The numbers of groups that layer-major ids of several layers may have, by their first layer and length.

        Returns:
            The numbers, ascending, and the furthest position to which the first layer can be read.
        """
        (first, *others), counts = layers, self.code_layout.codes_per_layer
        least, most = (sum(counts[k] * self.tables[k].lengths[end] for k in others) for end in (-1, 0))
        possible, furthest, groups, frontier = [], 0, 0, {0}
        while frontier:
            furthest = max(furthest, *frontier)
            if any(least * groups <= len(ids) - position <= most * groups for position in frontier):
                possible.append(groups)
            for _ in range(counts[first]):
                frontier = {at + n for at in frontier for n, _ in self.tables[first].matches(ids, at)}
            groups += 1
        return possible, furthest


def as_tensor(values: AudioCodes, name: str = "audio_codes", ndim: int | None = None) -> torch.LongTensor:
    """
    Integers as int64 on the CPU.

    Args:
        values: A tensor, an array, or lists of integers.
        name: The argument's name, for messages.
        ndim: The number of dimensions that it must have; None for any.

    Raises:
        ValueError: For anything but an array of integers, or for another number of dimensions.
    """
    try:
        tensor = torch.as_tensor(values).cpu()
    except (TypeError, ValueError, RuntimeError, OverflowError, RecursionError) as error:
        raise ValueError(f"`{name}` takes an array of integers, got {type(values).__name__}: {error}") from error
    if tensor.layout != torch.strided or tensor.is_nested or tensor.is_quantized:
        raise ValueError(f"`{name}` takes a dense array of integers; call `.to_dense()`.")
    if tensor.dtype == torch.uint64 and tensor.numel() and int(tensor.view(torch.int64).min()) < 0:
        raise ValueError(f"`{name}` has numbers above 2^63, which are no codes and no ids.")
    if tensor.numel() and (tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool):
        raise ValueError(f"`{name}` takes integers, got {tensor.dtype}.")
    if ndim is not None and tensor.ndim != ndim:
        raise ValueError(f"`{name}` has {ndim} dimension(s) here, got the shape {tuple(tensor.shape)}.")
    return tensor.long()


__all__ = ["AudioVocabulary"]
