# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Processor of LLM-Codec: audio codes as words of a language model, and prompts in which text and audio interleave."""

import dataclasses
import json
import os
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from transformers import BatchFeature, PreTrainedTokenizerBase, ProcessorMixin, SequenceFeatureExtractor
from transformers.utils import cached_file, logging

from .arguments_llm_codec import true_or_false
from .code_ids_llm_codec import AudioCodes, AudioVocabulary, Layers, as_tensor
from .code_layout_llm_codec import DEFAULT_LAYOUT, CodeLayout, check_groups, check_layout
from .code_tables_llm_codec import CodeTable, check_tables, read_tables
from .few_shot_llm_codec import FewShotPrompts, Template
from .grammar_llm_codec import AudioGrammar
from .prompts_llm_codec import PROMPT_LAYERS, Content, FewShotTemplate
from .segments_llm_codec import SegmentEncoder, codes_of_texts, interleave, pad_ids, texts
from .words_llm_codec import respaced, words_for

logger = logging.get_logger(__name__)

WORDS_NAME = "audio_words.json"
_HUB_KWARGS = ("cache_dir", "force_download", "proxies", "token", "local_files_only", "revision", "subfolder")


class LLMCodecProcessor(FewShotPrompts, ProcessorMixin):
    r"""
    Turns audio codes into a language model's token ids and back, writes prompts of text and audio, and wraps the
    feature extractor. The codec itself stays outside: encode with it, then give its `audio_codes` to this processor.

    Audio codes are int64 of shape `(codes_per_group, groups)` for a clip or `(batch, codes_per_group, groups)`, as
    `LLMCodecModel.encode` gives them, with −1 in the groups that a shorter clip of a batch does not have. For
    `vq_strides=(4, 2, 1)` row 0 is layer 0, rows 1–2 are layer 1, rows 3–6 layer 2, in time order ([`CodeLayout`] draws
    it). Where only some layers are asked for, codes of these layers' rows alone are taken and given as well.

    Ids come in one of two layouts: `layer_major`, all of layer 0, then all of layer 1, … (the original's, arXiv
    2406.10056), or `time_major`, group by group and within a group layer by layer.

    Args:
        feature_extractor: Takes the audio.
        tokenizer: The language model's tokenizer.
        words: The word of every layer-0 code: its literal text, of which the ids are the encoding — so with a leading
            space where the tokenizer takes one, as byte-level BPE does (`" dog"`), and without where it adds it itself,
            as LLaMA 2's does — or its ids' token strings joined (`"Ġdog"`, `"<0x0A>"`).
        token_ids: For every layer the token id, or list of ids, of each code; `{"range": n}` where code c is token c,
            `{"range": 0}` where a layer above 0 has no ids in this vocabulary; None for the default, which is each word
            encoded alone in layer 0 and the tokenizer's whole vocabulary in the others.
        vq_strides: Latent frames that a code of each layer spans.
        template: How few-shot prompts are written for this model.

    Attributes:
        code_layout ([`CodeLayout`]): Rows and order of the codes of each layer.
        vq_strides (`tuple[int, ...]`): Latent frames that a code of each layer spans.
        template ([`FewShotTemplate`]): How few-shot prompts are written for this model.

    Raises:
        ValueError: If the tables cannot be read back, or the tokenizer does not give the words' ids.
    """

    audio_token = "<audio>"

    def __init__(
        self,
        feature_extractor: SequenceFeatureExtractor,
        tokenizer: PreTrainedTokenizerBase,
        words: Iterable[str],
        token_ids: Sequence | None = None,
        vq_strides: Iterable[int] = (4, 2, 1),
        template: Template = None,
        **kwargs,
    ):
        super().__init__(feature_extractor, tokenizer, **kwargs)
        self.code_layout = CodeLayout(vq_strides)
        self.vq_strides = self.code_layout.vq_strides
        self.template = FewShotTemplate.make(template)
        token_ids = check_tables(token_ids, self.num_layers)
        size, first, words = len(tokenizer), None, texts("words", words)
        if token_ids[0] is not None:
            first = CodeTable(token_ids[0], size, 0)
        self._segment_encoder = SegmentEncoder(tokenizer, words, first)
        if first is None:
            first = CodeTable(self._segment_encoder.encode(words), size, 0)
        entries = [{"range": size} if given is None else given for given in token_ids]
        others = [CodeTable(entries[layer], size, layer) for layer in range(1, self.num_layers)]
        self._vocabulary = AudioVocabulary([first, *others], self.code_layout, self._segment_encoder.describe)

    # ---- Numbers and tables

    @property
    def num_layers(self) -> int:
        """Number of quantizer layers."""
        return self.code_layout.num_layers

    @property
    def codes_per_layer(self) -> tuple[int, ...]:
        """Codes of each layer per group: (1, 2, 4) for strides (4, 2, 1)."""
        return self.code_layout.codes_per_layer

    @property
    def codes_per_group(self) -> int:
        """Codes per group, the span of one layer-0 code: 7 for strides (4, 2, 1)."""
        return self.code_layout.codes_per_group

    @property
    def words(self) -> list[str]:
        """The word of every layer-0 code, with its leading space if it has one."""
        return list(self._segment_encoder.words)

    @property
    def token_ids(self) -> list[list[list[int]]]:
        """The token ids of every code: one table per layer, one list of ids per code."""
        return [[list(ids) for ids in table.sequences] for table in self._vocabulary.tables]

    @property
    def max_token_id(self) -> int:
        """The largest token id that a code takes; a language model needs more embeddings than that."""
        return self._vocabulary.max_token_id

    def check_tokenizer(self, tokenizer: PreTrainedTokenizerBase) -> None:
        """Checks that a tokenizer, such as the language model's own, gives every layer-0 word the ids of the codec.

        Args:
            tokenizer: The tokenizer to check.

        Raises:
            ValueError: Naming the first word that it encodes otherwise, the ids expected and those got; or naming the
                sizes, if its vocabulary is too small.
        """
        if not isinstance(tokenizer, PreTrainedTokenizerBase):
            raise TypeError(f"`tokenizer` takes a tokenizer of Transformers, got {type(tokenizer).__name__}.")
        largest = self.max_token_id
        if largest >= len(tokenizer):
            raise ValueError(
                f"The tokenizer has {len(tokenizer)} tokens, but the codec's codes are token ids up to {largest}. Use "
                "the tokenizer of the language model that the codec was made for."
            )
        SegmentEncoder(tokenizer, self._segment_encoder.words, self._vocabulary.tables[0])

    def for_tokenizer(self, tokenizer: PreTrainedTokenizerBase, template: Template = None) -> "LLMCodecProcessor":
        """The same words in the ids of another tokenizer, for any language model that reads text.

        A word is written as that tokenizer writes a word after a space, by as many ids as it takes. The codes of the
        other layers are ids of the codec's own vocabulary, so only layer 0 can be written and read.

        Args:
            tokenizer: The other language model's.
            template: How prompts are written for it; by default as here, but for the space before words and texts: it
                belongs to them where the tokenizer does not put it there itself.

        Returns:
            A processor of layer 0; `save_pretrained` saves it like any other.

        Raises:
            ValueError: If two words would have the same ids.
        """
        words = words_for(self, tokenizer)
        template = respaced(self.template, self.tokenizer, tokenizer) if template is None else template
        tables = [None, *[{"range": 0}] * (self.num_layers - 1)]
        return type(self)(self.feature_extractor, tokenizer, words, tables, self.vq_strides, template)

    def reworded(self, order: Sequence[int]) -> "LLMCodecProcessor":
        """The same codes by other words of the same list; only prompts change.

        Args:
            order: For each code of layer 0 the place of its word among `words`; each place once.

        Returns:
            A processor whose code c is written with word `order[c]`; `save_pretrained` saves it like any other.

        Raises:
            ValueError: If a word would be left out, or stand for two codes.
        """
        order = as_tensor(order, "order", ndim=1).tolist()
        if sorted(order) != list(range(len(self.words))):
            raise ValueError(
                f"`order` has each of 0 … {len(self.words) - 1} once, the place of each code's word; got {len(order)} "
                f"numbers, {len(set(order))} of them different."
            )
        first, *others = self._vocabulary.tables
        tables = [[list(first.sequences[i]) for i in order], *(table.to_json() for table in others)]
        words = [self.words[i] for i in order]
        return type(self)(self.feature_extractor, self.tokenizer, words, tables, self.vq_strides, self.template)

    def fitting(self, tokenizer: PreTrainedTokenizerBase) -> "LLMCodecProcessor":
        """This processor where a tokenizer gives its words their ids, else the one `for_tokenizer`; it says so.

        Raises:
            ValueError: As `for_tokenizer`.
        """
        try:
            self.check_tokenizer(tokenizer)
        except ValueError:
            logger.warning(
                f"The codec's words are written in the tokens of {tokenizer.name_or_path or 'another tokenizer'}, not "
                f"of {self.tokenizer.name_or_path or 'its own'}: layer 0 alone can be read and written."
            )
            return self.for_tokenizer(tokenizer)
        return self

    # ---- Codes, ids and words

    def codes_to_ids(
        self, audio_codes: AudioCodes, layers: Layers = None, layout: str = DEFAULT_LAYOUT
    ) -> list[int] | list[list[int]]:
        """The token ids of audio codes.

        Args:
            audio_codes: A clip's codes, `(codes_per_group, groups)`, or a batch, `(batch, codes_per_group, groups)`; a
                clip's trailing groups of −1 are left out.
            layers: The layers to write, in ascending order; None for all.
            layout: "layer_major" or "time_major".

        Returns:
            A list of ids for a clip; a list of such lists for a batch.

        Raises:
            ValueError: For codes of another shape, outside their table, or −1 before the end.
        """
        return self._vocabulary.codes_to_ids(audio_codes, layers, layout)

    def ids_to_codes(
        self,
        ids: Sequence[int] | torch.Tensor | np.ndarray,
        layers: Layers = None,
        layout: str = DEFAULT_LAYOUT,
        num_groups: int | None = None,
    ) -> torch.LongTensor:
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
            int64 codes, `(codes_per_group, groups)`; of the asked layers' rows alone if not all are asked for.

        Raises:
            ValueError: If an id cannot be a code where it stands, naming position, id and text; if there are too many
                ids for `num_groups`; if the ids do not split in the layers' proportions.
        """
        return self._vocabulary.ids_to_codes(ids, layers, layout, num_groups)

    def codes_to_words(self, audio_codes: AudioCodes, layers: Layers = None) -> list[list[str]] | list[list[list[str]]]:
        """What stands for each code, to be shown to people.

        Args:
            audio_codes: A clip's codes, `(codes_per_group, groups)`, or a batch, `(batch, codes_per_group, groups)`.
            layers: The layers to show, in ascending order; None for all.

        Returns:
            For each layer a list of strings in time order: layer 0's words without their leading space, the text of the
            other layers' tokens. For a batch, one such list of lists per clip.

        Raises:
            ValueError: For codes of another shape, outside their table, or −1 before the end.
        """
        return self._vocabulary.codes_to_strings(audio_codes, layers, self._shown)

    def _shown(self, layer: int, code: int) -> str:
        if layer == 0:
            return self._segment_encoder.words[code].removeprefix(" ")
        return self.tokenizer.decode(list(self._vocabulary.tables[layer].sequences[code]))

    def codes_to_text(self, audio_codes: AudioCodes, layers: Layers = None) -> str | list[str]:
        """`codes_to_words` as one string, with one line per layer; for a batch, one string per clip.

        Args:
            audio_codes: A clip's codes, `(codes_per_group, groups)`, or a batch, `(batch, codes_per_group, groups)`.
            layers: The layers to show, in ascending order; None for all.

        Raises:
            ValueError: As `codes_to_words`.
        """
        audio_codes = as_tensor(audio_codes)
        if audio_codes.ndim == 3:
            return [self.codes_to_text(clip, layers) for clip in audio_codes]
        return "\n".join(" ".join(strings) for strings in self.codes_to_words(audio_codes, layers))

    # ---- Prompts

    def segments_to_ids(
        self, segments: Iterable[Content], layers: Layers = PROMPT_LAYERS, layout: str = DEFAULT_LAYOUT
    ) -> list[int]:
        """The ids of texts and clips in turn, each segment encoded by itself, without special tokens.

        Args:
            segments: Strings, and clips' codes `(codes_per_group, groups)`; an empty string gives nothing.
            layers: The clips' layers to write; None for all.
            layout: Their layout.

        Returns:
            One list of ids for all segments.

        Raises:
            ValueError: For codes that `codes_to_ids` refuses.
        """
        if isinstance(segments, (str, bytes, torch.Tensor, np.ndarray)) or not isinstance(segments, Iterable):
            raise TypeError(f"`segments` takes a list of texts and codes, got {type(segments).__name__}.")
        segments = list(segments)
        encoded = iter(self._segment_encoder.encode([segment for segment in segments if isinstance(segment, str)]))
        ids = []
        for segment in segments:
            if isinstance(segment, str):
                ids += next(encoded)
            else:
                ids += self.codes_to_ids(as_tensor(segment, ndim=2), layers, layout)
        return ids

    def audio_grammar(
        self,
        min_groups: int,
        max_groups: int | None = None,
        layers: Layers = None,
        layout: str = DEFAULT_LAYOUT,
        template: Template = None,
    ) -> AudioGrammar:
        """What a language model may write as a clip, for `InProcessBackend` or, through `ConstrainedLogitsProcessor`,
        for `generate` of Transformers.

        Args:
            min_groups: The fewest groups that the clip may have.
            max_groups: The most; by default `min_groups`, and the clip ends by itself.
            layers: The layers written; None for all.
            layout: "layer_major" or "time_major".
            template: As in `few_shot_prompt`; it says what ends a clip of open length.

        Returns:
            The constraint, which also reads what was written.

        Raises:
            ValueError: If `min_groups` is below 1 or above `max_groups`, or if nothing can end a clip of open length.
        """
        layers = self._vocabulary.check_layers(layers)
        check_layout(layout)
        tables = [self._vocabulary.tables[layer] for layer in layers]
        min_groups = check_groups("min_groups", min_groups)
        max_groups = min_groups if max_groups is None else check_groups("max_groups", max_groups, min_groups)
        end_ids = self.output_end_ids(template)
        return AudioGrammar(tables, self.code_layout.counts(layers), layout, min_groups, max_groups, end_ids)

    def __call__(
        self,
        audio=None,
        text: str | Sequence[str] | None = None,
        audio_codes: AudioCodes | None = None,
        sampling_rate: int | None = None,
        layers: Layers = PROMPT_LAYERS,
        layout: str = DEFAULT_LAYOUT,
        add_special_tokens: bool = True,
        padding: bool | str | None = None,
        padding_side: str = "left",
        return_tensors: str | None = None,
        **kwargs,
    ) -> BatchFeature:
        """Prepares audio for the codec, or text with clips for the language model.

        Args:
            audio: Waveforms for the feature extractor.
            text: A text or several, with one `<audio>` per clip.
            audio_codes: The clips' codes in the placeholders' order: for a single text one clip, a batch or a list of
                clips; for a list of texts one of these per text.
            sampling_rate: The audio's, in Hz, for the feature extractor.
            layers: The clips' layers to write; None for all.
            layout: Their layout.
            add_special_tokens: Whether the tokenizer's beginning-of-sequence token comes first, if it has that habit.
            padding: Whether texts of a batch are padded to the longest; for audio, as the feature extractor takes it.
            padding_side: The side for texts: left, so that a language model continues each, or right.
            return_tensors: "pt" or "np" for tensors.
            kwargs: For the feature extractor.

        Returns:
            `input_values` and `padding_mask` for audio; `input_ids` and `attention_mask` for text, each a single list
            for a single text without `return_tensors`, otherwise with a batch dimension.

        Raises:
            ValueError: If clips and placeholders differ in number, or texts differ in length where a tensor is wanted.
            TypeError: For arguments that texts do not take.
        """
        if text is None and audio_codes is not None:
            raise ValueError("`audio_codes` go into a `text`, at its `<audio>` placeholders; got no text.")
        if audio is None and text is None:
            raise ValueError("Give `audio`, or `text` (with `audio_codes` for its `<audio>` placeholders).")
        if return_tensors is not None and return_tensors not in ("pt", "np"):
            raise ValueError(f"`return_tensors` is 'pt' or 'np', got {return_tensors!r}.")
        data = {}
        if audio is not None:
            kwargs |= {"return_tensors": return_tensors, **({} if padding is None else {"padding": padding})}
            data.update(self.feature_extractor(audio, sampling_rate=sampling_rate, **kwargs))
        elif kwargs:
            raise TypeError(f"Unexpected arguments for text: {', '.join(kwargs)}.")
        if text is not None:
            single = isinstance(text, str)
            items = [text] if single else texts("text", text)
            codes = [audio_codes] if single else codes_of_texts(audio_codes, len(items))
            special = true_or_false("add_special_tokens", add_special_tokens)
            leading = self._segment_encoder.leading_ids() if special else []
            segments = [list(interleave(item, clips, self.audio_token)) for item, clips in zip(items, codes)]
            batch = [leading + self.segments_to_ids(item, layers, layout) for item in segments]
            encoded = pad_ids(batch, self.tokenizer, padding, padding_side, as_tensor=return_tensors is not None)
            if single and return_tensors is None:
                encoded = {name: values[0] for name, values in encoded.items()}
            data.update(encoded)
        return BatchFeature(data, tensor_type=return_tensors)

    # ---- Files

    def to_dict(self) -> dict:
        """What processor_config.json holds; words and tables are in audio_words.json."""
        return {**super().to_dict(), "template": dataclasses.asdict(self.template)}

    def to_json_file(self, json_file_path: str | os.PathLike) -> None:
        """Writes processor_config.json, and audio_words.json beside it.

        `save_pretrained` calls this between noting which files there are and pushing those that are new.
        """
        super().to_json_file(json_file_path)
        content = {"words": self.words, "token_ids": [table.to_json() for table in self._vocabulary.tables]}
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
        words, token_ids = read_tables(cached_file(pretrained_model_name_or_path, WORDS_NAME, **hub_kwargs))
        return {**processor_dict, "words": words, "token_ids": token_ids}, unused


__all__ = ["FewShotTemplate", "LLMCodecProcessor"]
