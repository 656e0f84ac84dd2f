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
from .grammar_llm_codec import AudioGrammar

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

    @property
    def around(self) -> tuple[str, str, str]:
        """What stands before a demonstration's input, between input and output, and after its output."""
        before, _, rest = self.pair.partition("{input}")
        between, _, after = rest.partition("{output}")
        return before, between, after

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

    @property
    def max_token_id(self) -> int:
        """The largest token id that a code takes: a language model needs that many embeddings, and one more."""
        return max(max(ids) for table in self._tables for ids in table.sequences)

    # Text -----------------------------------------------------------------------------------------------------------

    def check_tokenizer(self, tokenizer) -> None:
        """Checks that a tokenizer, such as the language model's own, gives every layer-0 word the ids of the codec.

        Raises:
            ValueError: Naming the first word that it encodes otherwise, the ids expected and those got; or naming the
                sizes, if its vocabulary is too small.
        """
        largest = self.max_token_id
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
        bare, spaced = _encode(tokenizer, ["a", " a"])
        swallows = bare == spaced and "".join(tokenizer.convert_ids_to_tokens(bare)).startswith("▁")
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
                + (
                    f", or ({sum(counts)}, groups) for layers {list(layers)} alone"
                    if len(counts) < self.num_layers
                    else ""
                )
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
            codes = self._read(
                ids, [layer for layer in layers for _ in range(self.codes_per_layer[layer])], cyclic=True
            )
            return self._merge(codes, layers, "time_major", None)
        if num_groups is not None:
            codes = self._read(ids, self._pattern(layers, layout, num_groups))
            return self._merge(codes, layers, layout, num_groups)
        candidates, furthest = self._possible_groups(ids, layers)
        for groups in candidates:
            pattern = [self._tables[layer] for layer in self._pattern(layers, layout, groups)]
            if (codes := read_codes(ids, pattern, cyclic=False, partial=False).codes) is not None:
                return self._merge(codes, layers, layout, groups)
        if len(candidates) == 1:  # the length leaves one number: with it, the id that is wrong shows
            self._read(ids, self._pattern(layers, layout, candidates[0]))
        proportions = ":".join(str(self.codes_per_layer[layer]) for layer in layers)
        stop = (
            f"position {furthest}, which holds {self._describe(ids[furthest])}" if furthest < len(ids) else "their end"
        )
        raise ValueError(
            f"{len(ids)} ids are not the codes of layers {list(layers)} one after the other in the proportions "
            f"{proportions}, for any number of groups: the codes of layer {layers[0]} can be read at most up to "
            f"{stop}. Give `num_groups` to read a part of a clip."
        )

    def _pattern(self, layers: Iterable[int], layout: str, num_groups: int) -> list[int]:
        """The layer of each code of a clip in turn."""
        if layout == "time_major":
            return [layer for layer in layers for _ in range(self.codes_per_layer[layer])] * num_groups
        return [layer for layer in layers for _ in range(self.codes_per_layer[layer] * num_groups)]

    def _read(self, ids: list[int], pattern: list[int], cyclic: bool = False) -> list[int]:
        """The codes of ids in the layers' order given, of all the pattern if possible, otherwise of its beginning."""
        tables = [self._tables[layer] for layer in pattern]
        for partial in (False, True):
            reading = read_codes(ids, tables, cyclic, partial)
            if reading.codes is not None:
                return reading.codes
        where = f"Position {reading.position} holds {self._describe(ids[reading.position])}"
        if not cyclic and reading.count == len(pattern):
            raise ValueError(f"{where}, but the {len(pattern)} codes of all groups end before it; cut the ids there.")
        layer = pattern[reading.count % len(pattern)]
        raise ValueError(
            f"{where}, where layer {layer} has no code that goes on so. Expected are the ids of codes alone, in the "
            "layout and layers asked for; cut off what a language model wrote besides."
        )

    def _describe(self, token_id: int) -> str:
        known = 0 <= token_id < len(self.tokenizer)
        return f"the id {token_id} ({self.tokenizer.decode([token_id])!r})" if known else f"the unknown id {token_id}"

    def _possible_groups(self, ids: list[int], layers: tuple[int, ...]) -> tuple[list[int], int]:
        """The numbers of groups that layer-major ids of several layers may have by their first layer and length.

        Returns:
            The numbers, ascending, and the furthest position to which the first layer can be read.
        """
        first, *others = layers
        least, most = (sum(self.codes_per_layer[k] * self._tables[k].lengths[end] for k in others) for end in (-1, 0))
        possible, furthest, groups, frontier = [], 0, 0, {0}
        while frontier:
            furthest = max(furthest, *frontier)
            if any(least * groups <= len(ids) - position <= most * groups for position in frontier):
                possible.append(groups)
            for _ in range(self.codes_per_layer[first]):
                frontier = {at + n for at in frontier for n, _ in self._tables[first].matches(ids, at)}
            groups += 1
        return possible, furthest

    def _merge(self, codes: list[int], layers: tuple[int, ...], layout: str, num_groups: int | None) -> torch.Tensor:
        """Codes (rows, groups) from those in a layout's order; −1 where they end before `num_groups` groups."""
        counts = [self.codes_per_layer[layer] for layer in layers]
        if layout == "time_major":
            whole = len(codes) // sum(counts)
            merged = torch.full((sum(counts), whole if num_groups is None else num_groups), -1)
            merged[:, :whole] = torch.tensor(codes[: whole * sum(counts)]).view(whole, -1).T if whole else -1
            return merged
        flat = torch.full((sum(counts) * num_groups,), -1)
        flat[: len(codes)] = torch.tensor(codes, dtype=torch.long)
        parts = flat.split([count * num_groups for count in counts])
        return torch.cat([part.view(num_groups, count).T for count, part in zip(counts, parts)])

    # Prompts --------------------------------------------------------------------------------------------------------

    def segments_to_ids(self, segments: Iterable, layers=(0,), layout="layer_major") -> list[int]:
        """The ids of texts and clips in turn, each segment encoded by itself, without special tokens.

        Args:
            segments: Strings and clips' codes; an empty string gives nothing.
            layers: The clips' layers to write; None for all.
            layout: Their layout.
        """
        segments = list(segments)
        texts = [segment for segment in segments if isinstance(segment, str)]
        encoded = iter(self._encode(texts))
        ids = []
        for segment in segments:
            if isinstance(segment, str):
                ids += next(encoded)
            else:
                ids += self.codes_to_ids(_as_tensor(segment, ndim=2), layers, layout)
        return ids

    def few_shot_prompt(
        self,
        examples,
        query,
        labels=None,
        instruction=True,
        repeats=1,
        layers=(0,),
        layout="layer_major",
        template=None,
    ) -> list[int]:
        """The ids of a few-shot prompt, to which the language model's continuation is the query's output.

        With the default template and LLaMA 2's tokenizer it is the original's prompt, id for id (arXiv 2406.10056). It
        is `few_shot_support` and `few_shot_query`, one after the other.

        Args:
            examples: The demonstrations in order, pairs of an input and an output. Both may be a clip's codes or a text
                (a label): understanding takes codes and labels, generation texts or codes and codes.
            query: The input to answer, codes or a text.
            labels: The options that the instruction names; by default the demonstrations' labels, each once, in order
                of appearance.
            instruction: Whether the template's instruction comes first; or a text of your own.
            repeats: How often all the demonstrations stand there, in the same order (the "repeats" of Frozen,
                Tsimpoukelli et al. 2021, which the paper takes over).
            layers: The clips' layers to write; None for all.
            layout: Their layout.
            template: A [`FewShotTemplate`] or its fields, in place of the processor's.

        Raises:
            ValueError: If the instruction has no labels to name, or `repeats` is below 1.
        """
        support = self.few_shot_support(examples, labels, instruction, repeats, layers, layout, template)
        return support + self.few_shot_query(query, layers, layout, template)

    def few_shot_support(
        self, examples, labels=None, instruction=True, repeats=1, layers=(0,), layout="layer_major", template=None
    ) -> list[int]:
        """What the prompts of one support set begin with: instruction and demonstrations. See `few_shot_prompt`."""
        template = self.template if template is None else FewShotTemplate.make(template)
        examples = [tuple(example) for example in examples]
        if any(len(example) != 2 for example in examples):
            raise ValueError("A demonstration is an (input, output) pair, each a clip's codes or a text.")
        if repeats < 1:
            raise ValueError(f"`repeats` counts how often the demonstrations stand there: 1 or more, got {repeats}.")
        segments = []
        if instruction is True:
            labels = labels or list(dict.fromkeys(output for _, output in examples if isinstance(output, str)))
            if not labels:
                raise ValueError(
                    "The instruction names the labels, but there are none: give `labels`, or, where the outputs are "
                    "audio, `instruction=False` or an instruction of your own."
                )
            options = template.separator.join(template.option.replace("{label}", label) for label in labels)
            segments.append(template.instruction.replace("{labels}", options))
        elif instruction:
            segments.append(instruction)
        before, between, after = template.around
        for source, output in examples * repeats:
            segments += [before, _written(source, template), between, _written(output, template), after]
        return self._leading_ids() + self.segments_to_ids(segments, layers, layout)

    def few_shot_query(self, query, layers=(0,), layout="layer_major", template=None) -> list[int]:
        """What comes behind `few_shot_support`: the query, up to its output. See `few_shot_prompt`."""
        template = self.template if template is None else FewShotTemplate.make(template)
        before, between, _ = template.around
        return self.segments_to_ids([before, _written(query, template), between], layers, layout)

    def output_end_ids(self, template=None) -> set[int]:
        """The ids with which a language model can end an output of open length: the first of what follows one in a
        prompt, and the tokenizer's end-of-sequence token."""
        template = self.template if template is None else FewShotTemplate.make(template)
        before, _, after = template.around
        following = self.segments_to_ids([after, before])[:1]
        return {i for i in [*following, self.tokenizer.eos_token_id] if i is not None}

    def audio_grammar(
        self, min_groups: int, max_groups: int | None = None, layers=None, layout="layer_major", template=None
    ) -> AudioGrammar:
        """
        What a language model may write as a clip, for `InProcessBackend` or, through `ConstrainedLogitsProcessor`, for
        `generate` of Transformers.

        Args:
            min_groups: Groups of the clip at least.
            max_groups: Groups at most; by default `min_groups`, and the clip ends by itself.
            layers: The layers written; None for all.
            layout: "layer_major" or "time_major".
            template: As in `few_shot_prompt`; it says what ends a clip of open length.
        """
        layers = self._check_layers(layers)
        _check_layout(layout)
        tables, counts = zip(*((self._tables[layer], self.codes_per_layer[layer]) for layer in layers))
        max_groups = min_groups if max_groups is None else max_groups
        return AudioGrammar(tables, counts, layout, min_groups, max_groups, self.output_end_ids(template))

    def label_ids(self, label: str, template=None) -> list[int]:
        """The ids that a language model writes for a label after a few-shot prompt, with what ends it.

        Raises:
            ValueError: If the template leaves the end to the tokenizer's end-of-sequence token, and it has none.
        """
        template = self.template if template is None else FewShotTemplate.make(template)
        text = _written(label, template)
        if template.label_end is not None:
            return self.segments_to_ids([text, template.label_end])
        if self.tokenizer.eos_token_id is None:
            raise ValueError("The tokenizer has no end-of-sequence token: give the template a `label_end`.")
        return self.segments_to_ids([text]) + [self.tokenizer.eos_token_id]

    def _leading_ids(self) -> list[int]:
        """The beginning-of-sequence token, if the tokenizer puts it in front by itself."""
        bos, added = self.tokenizer.bos_token_id, self.tokenizer("")["input_ids"]
        return [bos] if bos is not None and added[:1] == [bos] else []

    def __call__(
        self,
        audio=None,
        text=None,
        audio_codes=None,
        sampling_rate=None,
        layers=(0,),
        layout="layer_major",
        add_special_tokens=True,
        padding=None,
        padding_side="left",
        return_tensors=None,
        **kwargs,
    ) -> BatchFeature:
        """Prepares audio for the codec, or text with clips for the language model.

        Args:
            audio: Waveforms for the feature extractor.
            text (`str` or `list[str]`): Texts with an `<audio>` for every clip.
            audio_codes: The clips' codes in the placeholders' order: for a text a clip, a batch or a list of clips; for
                a list of texts one of these each.
            sampling_rate: The audio's, in Hz, for the feature extractor.
            layers: The clips' layers to write; None for all.
            layout: Their layout.
            add_special_tokens: Whether the tokenizer's beginning-of-sequence token comes first, if it has that habit.
            padding: Whether texts of a batch are padded to the longest; for audio, as the feature extractor takes it.
            padding_side: The side for texts: left, so that a language model continues each, or right.
            return_tensors: "pt" or "np" for tensors.
            kwargs: For the feature extractor.

        Returns:
            `input_values` and `padding_mask` for audio; `input_ids` and `attention_mask` for text, of one list for a
            single text without `return_tensors`, otherwise with a batch dimension.

        Raises:
            ValueError: If clips and placeholders differ in number, or texts differ in length where a tensor is wanted.
        """
        if text is None and audio_codes is not None:
            raise ValueError("`audio_codes` go into a `text`, at its `<audio>` placeholders; got no text.")
        if audio is None and text is None:
            raise ValueError("Give `audio`, or `text` (with `audio_codes` for its `<audio>` placeholders).")
        data = {}
        if audio is not None:
            if padding is not None:
                kwargs["padding"] = padding
            kwargs["return_tensors"] = return_tensors
            data.update(self.feature_extractor(audio, sampling_rate=sampling_rate, **kwargs))
        elif kwargs:
            raise TypeError(f"Unexpected arguments for text: {', '.join(kwargs)}.")
        if text is not None:
            single = isinstance(text, str)
            texts = [text] if single else list(text)
            codes = [None] * len(texts) if audio_codes is None else [audio_codes] if single else list(audio_codes)
            if len(codes) != len(texts):
                raise ValueError(f"Got {len(texts)} texts, but audio codes for {len(codes)}.")
            leading = self._leading_ids() if add_special_tokens else []
            segments = [list(self._interleave(item, clips)) for item, clips in zip(texts, codes)]
            batch = [leading + self.segments_to_ids(item, layers, layout) for item in segments]
            encoded = self._pad(batch, padding, padding_side, return_tensors)
            if single and return_tensors is None:
                encoded = {name: values[0] for name, values in encoded.items()}
            data.update(encoded)
        return BatchFeature(data, tensor_type=return_tensors)

    def _interleave(self, text: str, audio_codes) -> Iterator:
        """The segments of a text with clips in place of its placeholders."""
        clips = [] if audio_codes is None else audio_codes
        if isinstance(clips, torch.Tensor | np.ndarray) and clips.ndim == 2:
            clips = [clips]
        first, *others = text.split(self.audio_token)
        if len(clips) != len(others):
            raise ValueError(
                f"A text has {len(others)} {self.audio_token} placeholders, but {len(clips)} clips of audio codes came "
                "for it. Codes come from the codec's `encode`, one clip a placeholder."
            )
        yield first
        for clip, segment in zip(clips, others):
            yield clip
            yield segment

    def _pad(self, batch: list[list[int]], padding, side: str, return_tensors) -> dict[str, list[list[int]]]:
        length = max(map(len, batch), default=0)
        ragged = any(len(ids) != length for ids in batch)
        if ragged and return_tensors is not None and not padding:
            raise ValueError(
                f"The texts have {min(map(len, batch))} to {length} ids, which is no tensor: give `padding=True`."
            )
        if side not in ("left", "right"):
            raise ValueError(f"`padding_side` is 'left' or 'right', got {side!r}.")
        masks = [[1] * len(ids) for ids in batch]
        if padding and ragged:
            tokenizer = self.tokenizer
            pad = tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id
            if pad is None:
                raise ValueError("The tokenizer has neither a pad nor an end-of-sequence token; set `pad_token`.")
            fill = [length - len(ids) for ids in batch]
            left = side == "left"
            batch = [[pad] * n + ids if left else ids + [pad] * n for n, ids in zip(fill, batch)]
            masks = [[0] * n + mask if left else mask + [0] * n for n, mask in zip(fill, masks)]
        return {"input_ids": batch, "attention_mask": masks}

    def _check_layers(self, layers) -> tuple[int, ...]:
        every = tuple(range(self.num_layers))
        layers = every if layers is None else (layers,) if isinstance(layers, int) else tuple(layers)
        if not layers or any(layer not in every for layer in layers) or sorted(set(layers)) != list(layers):
            raise ValueError(f"`layers` are some of {list(every)} in ascending order, got {list(layers)}.")
        return layers

    # Files ----------------------------------------------------------------------------------------------------------

    def to_dict(self) -> dict:
        """What processor_config.json holds; words and tables are in audio_words.json."""
        return {**super().to_dict(), "template": dataclasses.asdict(self.template)}

    def to_json_file(self, json_file_path: str | os.PathLike) -> None:
        """Writes processor_config.json, and audio_words.json beside it.

        `save_pretrained` calls this between noting which files there are and pushing those that are new.
        """
        super().to_json_file(json_file_path)
        content = {"words": self._words, "token_ids": [table.to_json() for table in self._tables]}
        path = os.path.join(os.path.dirname(json_file_path), WORDS_NAME)
        with open(path, "w", encoding="utf-8") as file:
            json.dump(content, file, ensure_ascii=False, separators=(",", ":"))
        logger.info(f"audio words saved in {path}")

    @classmethod
    def get_processor_dict(cls, pretrained_model_name_or_path, **kwargs) -> tuple[dict, dict]:
        """`ProcessorMixin.get_processor_dict`, with `words` and `token_ids` from audio_words.json.

        Raises:
            OSError: If there is no such file.
            ValueError: If it does not hold words and tables.
        """
        processor_dict, unused = super().get_processor_dict(pretrained_model_name_or_path, **kwargs)
        hub_kwargs = {name: kwargs[name] for name in _HUB_KWARGS if name in kwargs}
        path = cached_file(pretrained_model_name_or_path, WORDS_NAME, **hub_kwargs)
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
        if not isinstance(content, dict) or not {"words", "token_ids"} <= content.keys():
            raise ValueError(f"{path} should hold `words` and `token_ids`, as `save_pretrained` writes them.")
        return {**processor_dict, "words": content["words"], "token_ids": content["token_ids"]}, unused


def _encode(tokenizer, texts: Sequence[str], prefix: str = "") -> list[list[int]]:
    """Each text's ids by itself, without special tokens; the prefix goes before all but empty texts."""
    if not texts:
        return []
    texts = [text and prefix + text for text in texts]
    return tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]


def _written(content, template: FewShotTemplate):
    """An input or output as a segment: codes as they are, a text as the template writes it."""
    return template.text.replace("{text}", content) if isinstance(content, str) else content


def _as_tensor(values, name: str = "audio_codes", ndim: int | None = None) -> torch.Tensor:
    """Integers as int64 on the CPU.

    Raises:
        ValueError: For what is no array of integers, or not of `ndim` dimensions.
    """
    try:
        tensor = torch.as_tensor(values).cpu()
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"`{name}` takes an array of integers, got {type(values).__name__}: {error}") from error
    if tensor.numel() and (tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool):
        raise ValueError(f"`{name}` takes integers, got {tensor.dtype}.")
    if ndim is not None and tensor.ndim != ndim:
        raise ValueError(f"`{name}` has {ndim} dimension(s) here, got the shape {tuple(tensor.shape)}.")
    return tensor.long()


def _check_layout(layout: str) -> None:
    if layout not in LAYOUTS:
        raise ValueError(f"`layout` is one of {', '.join(LAYOUTS)}, got {layout!r}.")


def _check_strides(vq_strides: Iterable[int]) -> tuple[int, ...]:
    strides = tuple(vq_strides)
    if not strides or any(not isinstance(s, int) or s < 1 or strides[0] % s for s in strides):
        raise ValueError(f"`vq_strides` are positive integers that divide the first of them, got {list(strides)}.")
    return strides


__all__ = ["FewShotTemplate", "LLMCodecProcessor"]
