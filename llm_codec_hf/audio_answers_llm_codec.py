# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Answers that are audio: a language model goes on with the codes of a clip, and the codec decodes them."""

import itertools
from collections.abc import Iterator
from typing import Any

import torch

from .arguments_llm_codec import real_number
from .code_layout_llm_codec import MAX_GROUPS, CodeLayout
from .inputs_llm_codec import encode_clips, is_one_clip, items, names_audio, read_clip, several
from .requests_llm_codec import GenerateRequest


class AudioAnswers:
    """
    Makes audio by examples.

    Args:
        codec ([`LLMCodecModel`]): Decodes what was written.
        processor ([`LLMCodecProcessor`]): Writes the prompts, and reads what was written.
        backend ([`~requests_llm_codec.Backend`]): The language model.
        written (`dict`): `layers` and `layout` of codes in the prompt.
        channels (`str` or `int`, *optional*): What to take of several channels.
    """

    def __init__(self, codec, processor, backend, written: dict[str, Any], channels: str | int | None = None):
        self.codec, self.processor, self.backend = codec, processor, backend
        self.written, self.channels = written, channels

    def answer(
        self,
        audio: Any,
        pairs: list[tuple[Any, Any]],
        prompt: dict[str, Any],
        seconds: float | tuple[float, float] | None,
        drawn: dict[str, Any],
        iterator: bool | None = None,
        batch_size: int | None = None,
    ) -> dict | list[dict] | Iterator[dict]:
        """
        Answers a clip or a text, or several.

        Args:
            audio: The query, or several.
            pairs: Examples: a text or a clip, and the clip that answers it.
            prompt: `instruction` and `repeats`.
            seconds: Length of an answer, or its least and greatest; by default what the examples' answers have.
            drawn: `temperature`, `top_p` and `seed`.
            iterator: Whether the answer to one query comes in pieces.
            batch_size: Queries at once, at most.

        Returns:
            `audio`, `(samples,)` float32, and `sampling_rate` of each query; or an iterator over the pieces of one.
        """
        groups, length = self._groups(seconds)
        single = is_one_clip(audio)
        queries = [audio] if single else list(items(several(audio, "The query")))
        if iterator and not single:
            raise ValueError("`iterator=True` takes one query at a time.")
        asked = [(source, f"The input of example {i}") for i, (source, _) in enumerate(pairs)]
        asked += [(query, "The query" if single else f"Query {i}") for i, query in enumerate(queries)]
        inputs = self._texts_or_codes(asked)
        clips = [self._read(clip, f"The answer of example {i}") for i, (_, clip) in enumerate(pairs)]
        outputs = self._encode(clips)
        if groups is None:
            groups = min(codes.shape[1] for codes in outputs), max(codes.shape[1] for codes in outputs)
            length = len(clips[0]) if len(set(map(len, clips))) == 1 else None
        prefix = self.processor.few_shot_support(list(zip(inputs, outputs)), **prompt, **self.written)
        grammar = self.processor.audio_grammar(*groups, **self.written)
        requests = [
            GenerateRequest(
                prefix + self.processor.few_shot_query(query, **self.written),
                grammar.max_ids,
                constraint=grammar,
                **drawn,
            )
            for query in inputs[len(pairs) :]
        ]
        if not requests:
            return []
        self.backend.read(prefix)
        if iterator:
            return self._stream(requests[0], grammar, length)
        size = batch_size or len(requests)
        parts = [requests[start : start + size] for start in range(0, len(requests), size)]
        answers = [self._decode(grammar.read(ids), length) for part in parts for ids in self.backend.generate(part)]
        return answers[0] if single else answers

    def _read(self, clip: Any, name: str):
        return read_clip(clip, name, self.processor.feature_extractor, self.channels)

    def _encode(self, clips: list) -> list[torch.LongTensor]:
        return encode_clips(self.codec, self.processor.feature_extractor, clips)

    def _texts_or_codes(self, asked: list[tuple[Any, str]]) -> list:
        """Texts as they are, or clips as their codes."""
        values = [value for value, _ in asked]
        texts = [isinstance(value, str) and not names_audio(value) for value in values]
        if all(texts):
            return values
        if any(texts):
            raise ValueError(
                f"The inputs must be all texts or all clips; {values[texts.index(True)]!r} is no audio file, but "
                f"{values[texts.index(False)]!r:.60} is audio."
            )
        return self._encode([self._read(value, name) for value, name in asked])

    def _groups(self, seconds) -> tuple[tuple[int, int] | None, int | None]:
        """Groups that an answer has at least and at most, and its samples where they are known."""
        if seconds is None:
            return None, None
        pair = tuple(seconds) if isinstance(seconds, (tuple, list)) else (seconds, seconds)
        if len(pair) != 2:
            raise ValueError(f"`seconds` is a length, or a pair of the least and the greatest; got {seconds!r}.")
        config = self.codec.config
        longest = MAX_GROUPS * config.group_length / config.sampling_rate
        least, most = (real_number("seconds", value, 0, longest, above=True) for value in pair)
        if least > most:
            raise ValueError(f"`seconds` is a length, or a pair of the least and the greatest; got {seconds!r}.")
        samples = [max(1, round(value * config.sampling_rate)) for value in (least, most)]
        multiple = config.pad_to_multiple_of
        groups = tuple(-(-n // multiple) * multiple // config.group_length for n in samples)
        return groups, samples[0] if samples[0] == samples[1] else None

    def _all_layers(self, codes: torch.LongTensor) -> torch.LongTensor:
        """Codes of some layers → `(1, codes_per_group, groups)` on the codec's device."""
        layout = CodeLayout(self.codec.config.vq_strides)
        return layout.all_rows(codes, self.written["layers"])[None].to(self.codec.device)

    @torch.no_grad()
    def _decode(self, codes: torch.LongTensor, length: int | None) -> dict:
        return self._answer(self.codec.decode(self._all_layers(codes), length=length).audio_values)

    @torch.no_grad()
    def _stream(self, request: GenerateRequest, grammar, length: int | None) -> Iterator[dict]:
        """The pieces of what `_decode` gives, each as soon as the ids determine it."""
        reading, decoding, groups, samples = grammar.start(), None, 0, 0
        for token_id in itertools.chain(self.backend.stream(request), [None]):
            done = token_id is None
            if done:
                codes = grammar.codes(reading)
            else:
                reading = grammar.step(reading, token_id)
                codes = grammar.determined(reading)
            if codes.shape[1] == groups and not done:
                continue
            fresh = self._all_layers(codes[:, groups:]) if codes.shape[1] > groups else None
            output = self.codec.decode_stream(fresh, decoding, flush=done)
            groups, decoding = codes.shape[1], output.state
            audio = output.audio_values if length is None else output.audio_values[..., : length - samples]
            if audio.shape[-1]:
                samples += audio.shape[-1]
                yield self._answer(audio)

    def _answer(self, audio: torch.Tensor) -> dict:
        return {"audio": audio[0, 0].float().cpu().numpy(), "sampling_rate": self.codec.config.sampling_rate}


__all__ = ["AudioAnswers"]
