# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Processor of LLM-Codec: audio codes as words of a language model, and prompts in which text and audio interleave."""

import dataclasses
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from transformers import BatchFeature, ProcessorMixin
from transformers.utils import cached_file, logging

from .code_tables_llm_codec import CodeTable, FlatTables, read_codes


logger = logging.get_logger(__name__)

WORDS_NAME = "audio_words.json"
LAYOUTS = ("layer_major", "time_major")
_HUB_KWARGS = ("cache_dir", "force_download", "proxies", "token", "local_files_only", "revision", "subfolder")


@dataclass(frozen=True)
class FewShotTemplate:
    r"""
    The text around the clips of a few-shot prompt. The defaults are the original's, for LLaMA 2 (arXiv 2406.10056,
    section on in-context learning). Every stretch of text between two fields is encoded by itself.

    For a byte-level BPE model, whose words begin with their space, a natural one is
    `FewShotTemplate(pair="Input:{input}\nOutput:{output}\n", text=" {text}", label_end="\n")`.

    Args:
        instruction: What comes first, with `{labels}` for the options.
        option: One option in it, with `{label}`.
        separator: What stands between two options.
        pair: A demonstration, with `{input}` before `{output}`; the query is what comes before `{output}`.
        text: How a label, or a text in place of a clip, is written, with `{text}`.
        label_end: What ends a label: a text, or None for the tokenizer's end-of-sequence token.

    Raises:
        ValueError: If a field is missing or twice there.
    """

    instruction: str = "For each of the following input output pairs, output is one of [{labels}]\n"
    option: str = "'{label}'"
    separator: str = " or "
    pair: str = "###\nInput: < {input} >\nOutput: {output}"
    text: str = "{text}"
    label_end: str | None = None

    def __post_init__(self):
        for name, fields in {"option": ["{label}"], "pair": ["{input}", "{output}"], "text": ["{text}"]}.items():
            value = getattr(self, name)
            if any(value.count(field) != 1 for field in fields) or sorted(fields, key=value.find) != fields:
                raise ValueError(f"A template's `{name}` has {' then '.join(fields)} once, got {value!r}.")

    @classmethod
    def make(cls, template: "FewShotTemplate | dict | None") -> "FewShotTemplate":
        """A template from one, from its JSON fields, or the default from None."""
        if dataclasses.is_dataclass(template):
            template = dataclasses.asdict(template)
        template = template or {}
        known = [field.name for field in dataclasses.fields(cls)]
        if unknown := [name for name in template if name not in known]:
            raise ValueError(f"A template has the fields {known}, got also {unknown}.")
        return cls(**template)


class LLMCodecProcessor(ProcessorMixin):
    r"""
    Turns audio codes into a language model's token ids and back, writes prompts of text and audio, and wraps the
    feature extractor. The codec itself stays outside: encode with it, then give its `audio_codes` to this processor.

    Audio codes are int64 of shape `(codes_per_group, groups)` for a clip or `(batch, codes_per_group, groups)`, as
    `LLMCodecModel.encode` gives them, −1 in the groups that a shorter clip of a batch does not have. For
    `vq_strides=(4, 2, 1)` row 0 is layer 0, rows 1–2 are layer 1, rows 3–6 layer 2, in time order. Where only some
    layers are asked for, codes of only these layers' rows are taken and given as well.

    Ids come in one of two layouts: `layer_major`, all of layer 0, then all of layer 1, … (the original's, arXiv
    2406.10056), or `time_major`, group by group and within a group layer by layer.

    Args:
        feature_extractor (`LLMCodecFeatureExtractor`): Takes the audio.
        tokenizer (`PreTrainedTokenizerBase`): The language model's tokenizer.
        words (`list[str]`): The word of every layer-0 code: its literal text, of which the ids are the encoding — so
            with a leading space where the tokenizer takes one, as byte-level BPE does (`" dog"`), and without where
            it adds it itself, as LLaMA 2's does — or its ids' token strings joined (`"Ġdog"`, `"<0x0A>"`).
        token_ids (`list`, *optional*): For every layer the token id, or list of ids, of each code; `{"range": n}` where
            code c is token c; None for the default, which is each word encoded alone in layer 0 and the tokenizer's
            whole vocabulary in the others.
        vq_strides (`tuple[int]`, defaults to `(4, 2, 1)`): Latent frames that a code of each layer spans.
        template ([`FewShotTemplate`] or `dict`, *optional*): How few-shot prompts are written for this model.

    Raises:
        ValueError: If the tables cannot be read back, or the tokenizer does not give the words' ids.
    """

    audio_token = "<audio>"

    def __init__(
        self, feature_extractor, tokenizer, words, token_ids=None, vq_strides=(4, 2, 1), template=None, **kwargs
    ):
        super().__init__(feature_extractor, tokenizer, **kwargs)
        self.vq_strides = _check_strides(vq_strides)
        self.template = FewShotTemplate.make(template)
        self._words = tuple(words)
        token_ids = [None] * self.num_layers if token_ids is None else list(token_ids)
        if len(token_ids) != self.num_layers:
            raise ValueError(f"There are {self.num_layers} layers (`vq_strides`), but {len(token_ids)} tables of ids.")
        if given := token_ids[0] is not None:
            self._tables = [CodeTable(token_ids[0], len(tokenizer), 0)]
        self._prefix = self._segment_prefix(tokenizer, self._tables[0] if given else None)
        if not given:
            self._tables = [CodeTable(self._encode(self._words), len(tokenizer), 0)]
        for layer in range(1, self.num_layers):
            entries = {"range": len(tokenizer)} if token_ids[layer] is None else token_ids[layer]
            self._tables.append(CodeTable(entries, len(tokenizer), layer))
        self._flat = FlatTables(self._tables)

    # Geometry -------------------------------------------------------------------------------------------------------

    @property
    def num_layers(self) -> int:
        """Quantizer layers."""
        return len(self.vq_strides)

    @property
    def codes_per_layer(self) -> tuple[int, ...]:
        """Codes of each layer in a group: (1, 2, 4) for strides (4, 2, 1)."""
        return tuple(self.vq_strides[0] // stride for stride in self.vq_strides)

    @property
    def codes_per_group(self) -> int:
        """Codes in a group, the span of one layer-0 code: 7 for strides (4, 2, 1)."""
        return sum(self.codes_per_layer)

    @property
    def words(self) -> list[str]:
        """The word of every layer-0 code, with its leading space if it has one."""
        return list(self._words)

    @property
    def token_ids(self) -> list[list[list[int]]]:
        """The token ids of every code, a table a layer."""
        return [[list(ids) for ids in table.sequences] for table in self._tables]

    # Text -----------------------------------------------------------------------------------------------------------

    def check_tokenizer(self, tokenizer) -> None:
        """Checks that a tokenizer, such as the language model's own, gives every layer-0 word the ids of the codec.

        Raises:
            ValueError: Naming the first word that it encodes otherwise, the ids expected and those got; or naming the
                sizes, if its vocabulary is too small.
        """
        largest = max(max(ids) for table in self._tables for ids in table.sequences)
        if largest >= len(tokenizer):
            raise ValueError(
                f"The tokenizer has {len(tokenizer)} tokens, but the codec's codes are token ids up to {largest}. Use "
                "the tokenizer of the language model that the codec was made for."
            )
        self._segment_prefix(tokenizer, self._tables[0])

    def _segment_prefix(self, tokenizer, table: CodeTable | None) -> str:
        """What to put before every segment so that its ids are those that SentencePiece gives.

        SentencePiece puts a space before a text whatever it begins with. Some of its ports put none before a text that
        begins with a space (LLaMA 2's tokenizer in Transformers: "a" and " a" get the same ids), some none at all
        (the same file through `AutoTokenizer`; only the words' ids tell). With one space before each segment both are
        exact. A byte-level BPE tokenizer needs nothing and gets nothing.
        """
        swallows = _encode(tokenizer, ["a"]) == _encode(tokenizer, [" a"])
        prefix = " " if swallows else ""
        if table is None:
            return prefix
        if len(table) != len(self._words):
            raise ValueError(f"Layer 0 has {len(self._words)} words, but its table has {len(table)} codes.")
        if (misfit := self._misfit(tokenizer, table, prefix)) is None:
            return prefix
        word, ids, got = misfit
        adds_space = "".join(tokenizer.convert_ids_to_tokens(list(ids))) == "▁" + word
        if adds_space and not swallows and self._misfit(tokenizer, table, " ") is None:
            return " "
        raise ValueError(
            f"The tokenizer ({type(tokenizer).__name__}) does not fit the codec's word list: {word!r} should have the "
            f"token ids {list(ids)}, but it encodes to {got}. Use the tokenizer of the language model that the codec "
            "was made for, and keep the leading space of words that have one."
        )

    def _misfit(self, tokenizer, table: CodeTable, prefix: str) -> tuple[str, tuple[int, ...], list[int]] | None:
        """The first word whose ids are neither its encoding nor spelt by its token strings: (word, ids, encoding)."""
        for word, ids, got in zip(self._words, table.sequences, _encode(tokenizer, self._words, prefix)):
            if list(ids) != got and "".join(tokenizer.convert_ids_to_tokens(list(ids))) != word:
                return word, ids, got
        return None

    def _encode(self, texts: Sequence[str]) -> list[list[int]]:
        return _encode(self.tokenizer, texts, self._prefix)

    # Codes to ids, words and text -----------------------------------------------------------------------------------

    def codes_to_ids(self, audio_codes, layers=None, layout="layer_major") -> list[int] | list[list[int]]:
        """The token ids of audio codes.

        Args:
            audio_codes: A clip's codes, or a batch; a clip's trailing groups of −1 are left out.
            layers: The layers wanted, in ascending order; None for all.
            layout: "layer_major" or "time_major".

        Returns:
            A list of ids for a clip; a list of such lists for a batch.

        Raises:
            ValueError: For codes of another shape, outside their table, or −1 before the end.
        """
        layers = self._check_layers(layers)
        _check_layout(layout)
        audio_codes = _as_tensor(audio_codes)
        if audio_codes.ndim == 3:
            return [self.codes_to_ids(clip, layers, layout) for clip in audio_codes]
        rows = self._layer_rows(audio_codes, layers)
        entries = [self._flat.offsets[layer] + codes for layer, codes in zip(layers, rows)]
        if layout == "time_major":
            entries = [torch.cat(entries)]
        return self._flat.lookup(torch.cat([codes.T.reshape(-1) for codes in entries]))

    def codes_to_words(self, audio_codes, layers=None) -> list[list[str]] | list[list[list[str]]]:
        """What stands for each code, to be shown: a list of strings a layer, in time order; for a batch, one a clip.

        Layer 0 gives its words without their leading space, the other layers their tokens' text.
        """
        layers = self._check_layers(layers)
        audio_codes = _as_tensor(audio_codes)
        if audio_codes.ndim == 3:
            return [self.codes_to_words(clip, layers) for clip in audio_codes]
        strings = []
        for layer, codes in zip(layers, self._layer_rows(audio_codes, layers)):
            unique, inverse = codes.T.reshape(-1).unique(return_inverse=True)
            if layer == 0:
                shown = [self._words[code].removeprefix(" ") for code in unique.tolist()]
            else:
                sequences = self._tables[layer].sequences
                shown = [self.tokenizer.decode(list(sequences[code])) for code in unique.tolist()]
            strings.append([shown[i] for i in inverse.tolist()])
        return strings

    def codes_to_text(self, audio_codes, layers=None) -> str | list[str]:
        """`codes_to_words` as one string, a line a layer; for a batch, one string a clip."""
        audio_codes = _as_tensor(audio_codes)
        if audio_codes.ndim == 3:
            return [self.codes_to_text(clip, layers) for clip in audio_codes]
        return "\n".join(" ".join(strings) for strings in self.codes_to_words(audio_codes, layers))

    def _layer_rows(self, audio_codes: torch.Tensor, layers: tuple[int, ...]) -> list[torch.Tensor]:
        """The rows (codes a group, groups) of each layer asked for, without the trailing masked groups, checked."""
        counts = [self.codes_per_layer[layer] for layer in layers]
        if audio_codes.ndim != 2 or len(audio_codes) not in (self.codes_per_group, sum(counts)):
            raise ValueError(
                f"A clip's audio codes have the shape (codes_per_group, groups) = ({self.codes_per_group}, groups)"
                + (f", or ({sum(counts)}, groups) for layers {list(layers)} alone" if len(counts) < self.num_layers else "")
                + f"; got {tuple(audio_codes.shape)}."
            )
        if len(audio_codes) == sum(counts):
            rows = audio_codes.split(counts)
        else:
            every = audio_codes.split(self.codes_per_layer)
            rows = [every[layer] for layer in layers]
        known = torch.cat(list(rows)).ne(-1).any(0).nonzero()
        groups = int(known[-1]) + 1 if len(known) else 0
        rows = [codes[:, :groups] for codes in rows]
        for layer, codes in zip(layers, rows):
            wrong = ((codes < 0) | (codes >= len(self._tables[layer]))).nonzero()
            if len(wrong):
                row, group = wrong[0].tolist()
                raise ValueError(
                    f"Layer {layer} has the codes 0 … {len(self._tables[layer]) - 1}, got {int(codes[row, group])} in "
                    f"group {group}; −1 may stand only in all rows of the last groups, where a clip has ended."
                )
        return rows

    # Ids to codes ---------------------------------------------------------------------------------------------------

    def ids_to_codes(self, ids, layers=None, layout="layer_major", num_groups=None) -> torch.Tensor:
        """Reads token ids back as audio codes: the inverse of `codes_to_ids`.

        A word may be made of, or begin like, other words, so ids are read by a search that finds a reading wherever one
        exists. Where several do, a number of groups that is known decides; then whole clips go before parts; then, at
        the first code in which two readings differ, the longer one is taken.

        Args:
            ids: A clip's token ids, without end-of-sequence: a list or a tensor of one dimension.
            layers: The layers that the ids hold; None for all.
            layout: The layout that they are in. With one layer the two are the same.
            num_groups: The number of groups, where it is known. Then ids that end early give −1 for the codes that they
                leave open: of whole groups in the time-major layout, of single codes in the layer-major one. Where it
                is not known, time-major ids (and one layer's) may end early as well, and an incomplete last group is
                left out; layer-major ids of several layers must be whole, in the layers' proportions (1:2:4), and if
                several numbers of groups would do, the smallest is taken.

        Returns:
            int64 codes of shape (codes_per_group, groups); of the asked layers' rows alone if not all are asked for.

        Raises:
            ValueError: If an id cannot be a code where it stands, naming position, id and text; if there are too many
                ids for `num_groups`; if the ids do not split in the layers' proportions.
        """
        layers = self._check_layers(layers)
        _check_layout(layout)
        ids = _as_tensor(ids, "ids", ndim=1).tolist()
        if num_groups is not None and num_groups < 0:
            raise ValueError(f"`num_groups` is 0 or more, got {num_groups}.")
        if num_groups is None and (layout == "time_major" or len(layers) == 1):
            codes = self._read(ids, [layer for layer in layers for _ in range(self.codes_per_layer[layer])], cyclic=True)
            return self._merge(codes, layers, "time_major", None)
        if num_groups is not None:
            codes = self._read(ids, self._pattern(layers, layout, num_groups))
            return self._merge(codes, layers, layout, num_groups)
        for num_groups, unread in self._possible_groups(ids, layers):
            pattern = [self._tables[layer] for layer in self._pattern(layers, layout, num_groups)]
            if (reading := read_codes(ids, pattern, cyclic=False, partial=False)).codes is not None:
                return self._merge(reading.codes, layers, layout, num_groups)
        self._raise_no_split(ids, layers)

    def _pattern(self, layers: Iterable[int], layout: str, num_groups: int) -> list[int]:
        """The layer of each code in turn."""
        if layout == "time_major":
            return [layer for layer in layers for _ in range(self.codes_per_layer[layer])] * num_groups
        return [layer for layer in layers for _ in range(self.codes_per_layer[layer] * num_groups)]
