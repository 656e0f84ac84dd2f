# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""`pipeline("audio-fewshot")`: a frozen language model answers about audio from a few examples in its prompt."""

import itertools
import json
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from transformers import Pipeline, PreTrainedModel
from transformers.dynamic_module_utils import custom_object_save
from transformers.utils import CONFIG_NAME

from .audio_llm_codec import AUDIO_SUFFIXES, read_audio
from .backend_llm_codec import InProcessBackend, check_embeddings, load_language_model
from .code_layout_llm_codec import CodeLayout
from .requests_llm_codec import GenerateRequest, ScoreRequest
from .scoring_llm_codec import check_way, references, score

DEFAULT_SCORING = "support_shuffled"


class AudioFewShotPipeline(Pipeline):
    """
    Labels or makes audio from a few examples: a codec writes each clip in words of a language model, and the language
    model reads the examples and scores every label as the query's continuation, or writes the codes of a clip
    (arXiv 2406.10056, section 3.3).

    ```python
    >>> import llm_codec_hf
    >>> from transformers import pipeline

    >>> pipe = pipeline("audio-fewshot", model=codec, language_model=language_model)
    >>> pipe("query.wav", examples=[("bark.wav", "dog"), ("meow.wav", "cat")])
    [{'label': 'dog', 'score': 0.8}, {'label': 'cat', 'score': 0.2}]
    >>> pipe("an audio of 1+1", examples=[("an audio of 1", "one.wav"), ("an audio of 2", "two.wav")], output="audio")
    {'audio': array([...], dtype=float32), 'sampling_rate': 16000}
    ```

    Args:
        model ([`LLMCodecModel`]): The codec.
        processor ([`LLMCodecProcessor`]): The codec's words.
        language_model (`str` or [`PreTrainedModel`]): A causal language model of the codec's vocabulary: an id, a
            folder, or one that is loaded. It stays on its device; one loaded here goes to the pipeline's.
        tokenizer (`PreTrainedTokenizerBase`, *optional*): Checked against the codec's words.

    Raises:
        ValueError: where the language model or the tokenizer does not fit the codec's words.
    """

    _load_processor = True
    _load_image_processor = False
    _load_video_processor = False
    _load_feature_extractor = False
    _load_tokenizer = False

    def __init__(self, *args, language_model: str | PreTrainedModel | None = None, tokenizer=None, **kwargs):
        super().__init__(*args, **kwargs)
        if self.processor is None:
            raise ValueError("`processor` is missing: pass the codec's `LLMCodecProcessor`, which holds its words.")
        # Batches are lists of clips that the codec's own feature extractor pads; a tokenizer would ask for a pad token.
        self.feature_extractor, self.tokenizer = self.processor.feature_extractor, None
        if language_model is None:
            raise ValueError(
                "Pass `language_model=`, the causal language model that reads the codec's words: an id, a folder or a "
                "loaded model. The words are those of the tokenizer of "
                f"{self.processor.tokenizer.name_or_path or 'the codec'}."
            )
        if isinstance(language_model, (str, os.PathLike)):
            language_model = load_language_model(language_model, self.processor, self.device, tokenizer=tokenizer)
        else:
            if tokenizer is not None:
                self.processor.check_tokenizer(tokenizer)
            check_embeddings(language_model, self.processor)
        self.language_model = language_model.eval()
        self.backend = InProcessBackend(self.language_model)

    def save_pretrained(self, save_directory: str | os.PathLike, **kwargs: Any) -> None:
        """Saves the codec, its processor and this pipeline's code; the language model stays where it is."""
        super().save_pretrained(save_directory, **kwargs)
        self.processor.save_pretrained(save_directory, **kwargs)
        add_pipeline(save_directory)

    def _sanitize_parameters(self, support=None):
        return ({}, {}, {}) if support is None else ({}, {"support": support}, {"labels": support["labels"]})

    def __call__(
        self,
        audio,
        examples: list[tuple[Any, Any]] | None = None,
        candidate_labels: list[str] | None = None,
        instruction: bool | str | None = None,
        repeats: int = 1,
        layers: tuple[int, ...] | None = None,
        layout: str = "layer_major",
        output: str = "label",
        scoring: str = DEFAULT_SCORING,
        seconds: float | tuple[float, float] | None = None,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int = 0,
        iterator: bool = False,
        **kwargs,
    ):
        """
        Labels audio, or makes audio, by examples.

        Args:
            audio: A clip: a path, an URL, the bytes of a file, an array at the codec's rate, or a dict of `raw` or
                `array` and `sampling_rate`. Or a list of clips, a generator, or a `datasets` column (`KeyDataset`).
                With `output="audio"` a clip or a text, or a list of either.
            examples (`list[tuple]`): The demonstrations in the prompt's order: pairs of a clip and its label, or, with
                `output="audio"`, of a text or a clip and the clip that answers it.
            candidate_labels (`list[str]`, *optional*): Labels to score; the examples' by default.
            instruction (`bool` or `str`, *optional*): Whether the prompt names the labels first, or a text that comes
                first. By default the labels are named, and there is no text before examples of audio.
            repeats (`int`, *optional*, defaults to 1): How often the examples stand in the prompt.
            layers (`tuple[int]`, *optional*): Layers of the codec in the prompt: by default the semantic words, `(0,)`,
                for labels, and all for audio.
            layout (`str`, *optional*, defaults to `"layer_major"`): `"layer_major"` or `"time_major"`.
            output (`str`, *optional*, defaults to `"label"`): `"label"` or `"audio"`.
            scoring (`str`, *optional*): How labels are scored, a key of `scoring_llm_codec.SCORINGS`. "batch" takes the
                clips that run together (`batch_size`).
            seconds (`float` or a pair, *optional*): Length of the audio made, or its least and greatest; by default
                what the examples' have.
            temperature (`float`, *optional*, defaults to 0): 0 makes the most probable audio; above, ids are drawn.
            top_p (`float`, *optional*, defaults to 1): Draws from the most probable ids of this probability together.
            seed (`int`, *optional*, defaults to 0): Seed of the draws, and of the words that labels are calibrated by.
            iterator (`bool`, *optional*, defaults to `False`): Whether audio comes in pieces, as soon as it is
                determined: an iterator over what is otherwise returned, whose `audio` one after the other is the same.
            batch_size (`int`, *optional*): Clips a batch.

        Returns:
            `list[dict]` a clip, best first: `label` and `score`, a softmax over the labels. With `output="audio"` a
            `dict` a query: `audio`, `(samples,)` float32, and `sampling_rate`.

        Raises:
            ValueError: for no examples, for an example whose label is no candidate, for audio that cannot be used, and
                for a prompt longer than the language model's context.
        """
        if not examples:
            raise ValueError("`examples` is empty: pass pairs of a clip and its label, such as [('bark.wav', 'dog')].")
        written = {"layers": layers, "layout": layout}
        if output == "audio":
            if candidate_labels is not None:
                raise ValueError("`candidate_labels` are for `output='label'`; audio has none.")
            drawn = {"temperature": temperature, "top_p": top_p, "seed": seed}
            return self._make_audio(audio, examples, instruction or False, repeats, written, seconds, drawn, iterator)
        if output != "label":
            raise ValueError(f"`output` is 'label' or 'audio', got {output!r}.")
        check_way(scoring)
        labels = list(candidate_labels or dict.fromkeys(label for _, label in examples))
        if strangers := sorted({str(label) for _, label in examples} - set(labels)):
            raise ValueError(f"The examples have labels that are not among `candidate_labels` {labels}: {strangers}.")
        written["layers"] = (0,) if layers is None else layers
        codes = self.encode([self.load_audio(clip) for clip, _ in examples])
        prefix = self.processor.few_shot_support(
            [(clip, label) for clip, (_, label) in zip(codes, examples)],
            labels,
            instruction is None or instruction,
            repeats,
            **written,
        )
        support = {"labels": labels, "prefix": prefix, "written": written, "scoring": scoring, "reference": None}
        self.backend.read(prefix)
        if nothing := references(scoring, codes, seed):
            support["reference"] = self._log_probs(nothing, support)
        return super().__call__(audio, support=support, **kwargs)

    def load_audio(self, audio) -> np.ndarray:
        """A clip in any form that `__call__` takes → `(samples,)` at the codec's rate."""
        rate, channels = self.feature_extractor.sampling_rate, None
        if isinstance(audio, (str, os.PathLike, bytes)):
            is_path = not isinstance(audio, bytes) and not str(audio).startswith(("http://", "https://"))
            if is_path and not os.path.isfile(audio):
                raise ValueError(f"There is no audio file {os.fspath(audio)!r}.")
            array, sampling_rate = read_audio(audio)
            channels = "mean"
        elif hasattr(audio, "get_all_samples"):  # a decoder of `datasets`
            samples = audio.get_all_samples()
            array, sampling_rate, channels = samples.data, samples.sample_rate, "mean"
        elif isinstance(audio, dict):
            array, sampling_rate = audio.get("raw", audio.get("array")), audio.get("sampling_rate")
            if array is None or sampling_rate is None:
                raise ValueError(
                    f"A clip's dict needs `raw` or `array`, and `sampling_rate`; got the keys {sorted(audio)}."
                )
        else:
            array, sampling_rate = audio, rate
        return self.feature_extractor.prepare(array, sampling_rate, resample=True, channels=channels)

    def encode(self, clips: list[np.ndarray]) -> list[torch.LongTensor]:
        """Clips at the codec's rate → their codes, `(codes_per_group, groups)` each, on the CPU."""
        return encode_clips(self.model, self.feature_extractor, clips)

    # ---- Labels

    def preprocess(self, audio):
        return {"audio": self.load_audio(audio)}

    def _forward(self, inputs, support):
        clips = inputs["audio"]
        scores = self._log_probs(self.encode(clips if isinstance(clips, list) else [clips]), support)
        scores = score(support["scoring"], scores, support["reference"], self._label_ids(support))
        return {"scores": scores}

    def postprocess(self, outputs, labels):
        scores = outputs["scores"].view(-1).softmax(dim=-1).tolist()
        ranked = sorted(zip(labels, scores), key=lambda pair: -pair[1])
        return [{"label": label, "score": score} for label, score in ranked]

    def _label_ids(self, support) -> list[list[int]]:
        return [self.processor.label_ids(label) for label in support["labels"]]

    def _log_probs(self, queries, support) -> torch.FloatTensor:
        """Log-probabilities `(queries, labels)` of the labels after clips' codes or texts."""
        labels = self._label_ids(support)
        prompts = [support["prefix"] + self.processor.few_shot_query(q, **support["written"]) for q in queries]
        return torch.stack(self.backend.score([ScoreRequest(prompt, labels) for prompt in prompts]))

    # ---- Audio

    def _make_audio(self, queries, examples, instruction, repeats, written, seconds, drawn, iterator):
        single = not isinstance(queries, list)
        queries = [queries] if single else queries
        if iterator and not single:
            raise ValueError("`iterator=True` takes one query at a time.")
        inputs = self._texts_or_codes([source for source, _ in examples] + queries)
        clips = [self.load_audio(clip) for _, clip in examples]
        outputs = self.encode(clips)
        prefix = self.processor.few_shot_support(
            list(zip(inputs, outputs)), instruction=instruction, repeats=repeats, **written
        )
        groups, length = self._output_length(outputs, clips, seconds)
        grammar = self.processor.audio_grammar(*groups, **written)
        requests = [
            GenerateRequest(
                prefix + self.processor.few_shot_query(query, **written), grammar.max_ids, constraint=grammar, **drawn
            )
            for query in inputs[len(examples) :]
        ]
        self.backend.read(prefix)
        if iterator:
            return self._stream_audio(requests[0], grammar, written["layers"], length)
        answers = [
            self._decode(grammar.read(ids), written["layers"], length) for ids in self.backend.generate(requests)
        ]
        return answers[0] if single else answers

    def _texts_or_codes(self, values: list) -> list:
        """Texts as they are, or clips as their codes."""
        texts = [isinstance(value, str) and not names_audio(value) for value in values]
        if all(texts):
            return values
        if any(texts):
            raise ValueError(
                f"The inputs must be all texts or all clips; {values[texts.index(True)]!r} is no audio file, but "
                f"{values[texts.index(False)]!r:.60} is audio."
            )
        return self.encode([self.load_audio(value) for value in values])

    def _output_length(self, outputs, clips, seconds) -> tuple[tuple[int, int], int | None]:
        """Groups that the audio made has at least and at most, and its samples where they are known."""
        config = self.model.config
        if seconds is None:
            groups = [codes.shape[1] for codes in outputs]
            lengths = {len(clip) for clip in clips}
            return (min(groups), max(groups)), lengths.pop() if len(lengths) == 1 else None
        pair = seconds if isinstance(seconds, tuple) else (seconds, seconds)
        samples = [round(value * config.sampling_rate) for value in pair]
        multiple = config.pad_to_multiple_of
        groups = tuple(-(-n // multiple) * multiple // config.group_length for n in samples)
        if not 1 <= groups[0] <= groups[1]:
            raise ValueError(f"`seconds` is a positive length, or its least and greatest; got {seconds}.")
        return groups, samples[0] if samples[0] == samples[1] else None

    def _all_layers(self, codes: torch.LongTensor, layers: tuple[int, ...] | None) -> torch.LongTensor:
        """Codes of some layers → `(1, codes_per_group, groups)` on the codec's device."""
        return CodeLayout(self.model.config.vq_strides).all_rows(codes, layers)[None].to(self.model.device)

    @torch.no_grad()
    def _decode(self, codes: torch.LongTensor, layers: tuple[int, ...] | None, length: int | None) -> dict:
        audio = self.model.decode(self._all_layers(codes, layers), length=length).audio_values
        return self._answer(audio)

    @torch.no_grad()
    def _stream_audio(self, request: GenerateRequest, grammar, layers, length: int | None) -> Iterator[dict]:
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
            fresh = self._all_layers(codes[:, groups:], layers) if codes.shape[1] > groups else None
            output = self.model.decode_stream(fresh, decoding, flush=done)
            groups, decoding = codes.shape[1], output.state
            audio = output.audio_values if length is None else output.audio_values[..., : length - samples]
            if audio.shape[-1]:
                samples += audio.shape[-1]
                yield self._answer(audio)

    def _answer(self, audio: torch.Tensor) -> dict:
        return {"audio": audio[0, 0].float().cpu().numpy(), "sampling_rate": self.model.config.sampling_rate}


@torch.no_grad()
def encode_clips(codec, feature_extractor, clips: list[np.ndarray]) -> list[torch.LongTensor]:
    """
    Codes of clips, each what it has alone.

    Args:
        codec ([`LLMCodecModel`]): The codec, on its device.
        feature_extractor ([`LLMCodecFeatureExtractor`]): The codec's.
        clips (`list[np.ndarray]`): float32 `(samples,)` each, at the codec's rate, as the extractor's `prepare` gives
            them.

    Returns:
        `list[torch.LongTensor]`: `(codes_per_group, groups)` of each, on the CPU.

    Raises:
        ValueError: for clips that are not of this kind.
    """
    inputs = feature_extractor.pad_clips(clips, return_tensors="pt").to(codec.device)
    output = codec.encode(**inputs)
    return [codes[:, mask.bool()].cpu() for codes, mask in zip(output.audio_codes, output.audio_codes_mask)]


def names_audio(text: str) -> bool:
    """Whether a text names audio, rather than being one: an URL, a file, or what looks like a file of audio."""
    suffix = os.path.splitext(text)[1].lower()
    return text.startswith(("http://", "https://")) or os.path.isfile(text) or suffix in AUDIO_SUFFIXES


def add_pipeline(folder: str | os.PathLike) -> None:
    """Adds this pipeline to a saved codec: its code, and where to find it in config.json."""
    custom_object_save(AudioFewShotPipeline, folder)
    path = os.path.join(folder, CONFIG_NAME)
    with open(path, encoding="utf-8") as file:
        config = json.load(file)
    implementation = f"{__name__.rpartition('.')[2]}.{AudioFewShotPipeline.__name__}"
    config["custom_pipelines"] = {"audio-fewshot": {"impl": implementation, "pt": ["AutoModel"], "type": "audio"}}
    with open(path + ".tmp", "w", encoding="utf-8") as file:
        json.dump(config, file, indent=2, sort_keys=True)
    os.replace(path + ".tmp", path)


__all__ = ["AudioFewShotPipeline", "add_pipeline", "encode_clips"]
