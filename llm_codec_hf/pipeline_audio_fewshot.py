# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""`pipeline("audio-fewshot")`: a frozen language model answers about audio from a few examples in its prompt."""

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset
from transformers import Pipeline, PreTrainedModel

from .arguments_llm_codec import unknown_option, whole_number
from .audio_answers_llm_codec import AudioAnswers
from .backend_llm_codec import InProcessBackend, check_embeddings, load_language_model
from .code_layout_llm_codec import check_layout
from .inputs_llm_codec import (
    Clip,
    encode_clips,
    example_pairs,
    is_one_clip,
    items,
    named_labels,
    read_clip,
    several,
    undecoded,
)
from .requests_llm_codec import MOST_SEED, GenerateRequest
from .scoring_llm_codec import check_way, score
from .support_llm_codec import SupportScorer

DEFAULT_SCORING = "support_shuffled"
OPTIONS = (
    "examples",
    "candidate_labels",
    "instruction",
    "repeats",
    "layers",
    "layout",
    "output",
    "scoring",
    "seconds",
    "temperature",
    "top_p",
    "seed",
    "iterator",
    "channels",
    "batch_size",
    "num_workers",
)


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
        language_model (`str` or [`PreTrainedModel`]): A causal language model: an id, a folder, or one that is loaded.
            It stays on its device; one loaded here goes to the pipeline's, and has the pipeline's `dtype`. The default
            of the embedded codec is the packaged one. One of another vocabulary than the codec's reads the words of
            layer 0 in its own tokens.
        tokenizer (`PreTrainedTokenizerBase`, *optional*): The language model's. Of one that is loaded already it says
            how it writes the words; without, they are taken to be those of the codec's own vocabulary.
        language_model_kwargs (`dict`, *optional*): For a language model that is loaded here, arguments of
            `from_pretrained`: `dtype`, `quantization_config`, `device_map`, `revision`, …

    Raises:
        ValueError: where the tokenizer cannot write the codec's words, or the model does not embed them.
        ImportError: where the packaged language model is not installed; the message says how to install it.
    """

    # Finds the language model of a codec that has none given, by the codec's path; set by the package, as what travels
    # to the Hub holds no language model
    find_language_model: Callable[[str], str | None] | None = None

    _load_processor = True
    _load_image_processor = False
    _load_video_processor = False
    _load_feature_extractor = False
    _load_tokenizer = False

    def __init__(
        self,
        *args,
        language_model: str | PreTrainedModel | None = None,
        tokenizer=None,
        language_model_kwargs: dict[str, Any] | None = None,
        dtype: str | torch.dtype | None = None,
        **kwargs,
    ):
        super().__init__(*args, dtype=dtype, **kwargs)
        if self.processor is None:
            raise ValueError(
                f"`processor` is missing: {self.model.name_or_path or 'the codec'} has no processor_config.json with "
                "audio_words.json and a tokenizer, so pass the codec's `LLMCodecProcessor`, which holds its words."
            )
        if hasattr(self.model, "check_weights"):
            self.model.check_weights()
        # Batches are lists of clips that the codec's own feature extractor pads; a tokenizer would ask for a pad token.
        self.feature_extractor, self.tokenizer = self.processor.feature_extractor, None
        if language_model is None and self.find_language_model is not None:
            language_model = self.find_language_model(self.model.name_or_path)
        if language_model is None:
            raise ValueError(
                "Pass `language_model=`, the causal language model that reads the codec's words: an id, a folder or a "
                "loaded model. The words are those of the tokenizer of "
                f"{self.processor.tokenizer.name_or_path or 'the codec'}."
            )
        self.codec_processor = self.processor  # the other may be of a language model of another vocabulary
        if isinstance(language_model, (str, os.PathLike)):
            options = {"dtype": dtype or "auto", **(language_model_kwargs or {})}
            language_model, self.processor = load_language_model(
                language_model, self.processor, self.device, tokenizer=tokenizer, **options
            )
        elif not hasattr(language_model, "get_input_embeddings"):
            raise ValueError(
                "`language_model` is an id, a folder or a loaded causal language model; got "
                f"{type(language_model).__name__}."
            )
        else:
            if language_model_kwargs:
                raise ValueError(
                    "`language_model_kwargs` are for a language model that is loaded here, but `language_model` is "
                    "loaded already: pass its id or folder, or load it with these arguments."
                )
            if tokenizer is not None:
                self.processor = self.processor.fitting(tokenizer)
            check_embeddings(language_model, self.processor)
        self.language_model = language_model.eval()
        self.backend = InProcessBackend(self.language_model)

    def save_pretrained(self, save_directory: str | os.PathLike, **kwargs: Any) -> None:
        """Saves the codec, its processor and this pipeline's code; the language model stays where it is."""
        super().save_pretrained(save_directory, **kwargs)
        self.codec_processor.save_pretrained(save_directory, **kwargs)

    def _sanitize_parameters(self, support=None, **unknown):
        for name in unknown:
            raise unknown_option(name, OPTIONS, "pipeline('audio-fewshot')")
        if support is None:
            return {}, {}, {}
        return {"channels": support["channels"]}, {"support": support}, {"support": support}

    def __call__(
        self,
        audio,
        examples=None,
        candidate_labels: Sequence[str] | None = None,
        instruction: bool | str | None = None,
        repeats: int = 1,
        layers: tuple[int, ...] | None = None,
        layout: str = "layer_major",
        output: str = "label",
        scoring: str | None = None,
        seconds: float | tuple[float, float] | None = None,
        temperature: float | None = None,
        top_p: float | None = None,
        seed: int = 0,
        iterator: bool | None = None,
        channels: str | int | None = None,
        batch_size: int | None = None,
        num_workers: int | None = None,
        **unknown,
    ):
        """
        Labels audio, or makes audio, by examples.

        Args:
            audio: A clip: a path, an URL, the bytes of a file, an open binary file, an array at the codec's rate,
                `(rate, array)`, a decoder of `datasets`, or a dict or row with `array` (or `raw`) and `sampling_rate`,
                with `bytes` or `path`, or with one of these as `audio`. Or several: a list, a tuple, a column or a
                series of clips, which gives a list; a dataset, a generator or another iterator, which gives an
                iterator. With `output="audio"` a clip or a text, or several of either.
            examples: The demonstrations in the prompt's order, any iterable of them: pairs of a clip and its label, or,
                with `output="audio"`, of a text or a clip and the clip that answers it; or rows of a dataset with
                `audio` and `label`.
            candidate_labels (`list[str]`, *optional*): Labels to score, or a `ClassLabel` of `datasets`; the examples'
                by default. A label that is a number is the place of its name among them.
            instruction (`bool` or `str`, *optional*): Whether the prompt names the labels first, or a text that comes
                first. By default the labels are named, and there is no text before examples of audio.
            repeats (`int`, *optional*, defaults to 1): How often the examples stand in the prompt.
            layers (`tuple[int]`, *optional*): Layers of the codec in the prompt: by default the semantic words, `(0,)`,
                for labels, and all for audio.
            layout (`str`, *optional*, defaults to `"layer_major"`): `"layer_major"` or `"time_major"`.
            output (`str`, *optional*, defaults to `"label"`): `"label"` or `"audio"`.
            scoring (`str`, *optional*): How labels are scored, a key of `scoring_llm_codec.SCORINGS`; by default
                `"support_shuffled"`. "batch" calibrates by all clips of the call, whatever `batch_size` is.
            seconds (`float` or a pair, *optional*): Length of the audio made, or its least and greatest; by default
                what the examples' have.
            temperature (`float`, *optional*, defaults to 0): 0 makes the most probable audio; above, ids are drawn.
            top_p (`float`, *optional*, defaults to 1): Draws from the most probable ids of this probability together;
                it needs a `temperature` above 0.
            seed (`int`, *optional*, defaults to 0): Seed of the draws, and of the words that labels are calibrated by.
            iterator (`bool`, *optional*, defaults to `False`): Whether audio comes in pieces, as soon as it is
                determined: an iterator over what is otherwise returned, whose `audio` one after the other is the same.
            channels (`str` or `int`, *optional*): What to take of several channels: `"mean"`, or the number of one. By
                default the mean of a file's; arrays of several are refused.
            batch_size (`int`, *optional*): Clips per batch.
            num_workers (`int`, *optional*): Processes that read clips, for labels.

        Returns:
            A `list[dict]` per clip, best first: `label` and `score`, a softmax over the labels. With `output="audio"` a
            `dict` per query: `audio`, `(samples,)` float32, and `sampling_rate`.

        Raises:
            ValueError: for no examples, for an example whose label is no candidate, for audio that cannot be used, for
                options that do not fit each other, and for a prompt longer than the language model's context; the
                message names the clip or the option.
            TypeError: for an option that does not exist.
        """
        for name in unknown:
            raise unknown_option(name, OPTIONS, "pipeline('audio-fewshot')")
        whole_number("repeats", repeats, 1)
        whole_number("seed", seed, 0, MOST_SEED)
        if batch_size is not None:
            whole_number("batch_size", batch_size, 1)
        if num_workers is not None:
            whole_number("num_workers", num_workers, 0)
        if not (instruction is None or isinstance(instruction, (bool, str))):
            raise ValueError(f"`instruction` is True, False or a text; got {instruction!r}.")
        if isinstance(channels, bool) or not (channels is None or channels == "mean" or isinstance(channels, int)):
            raise ValueError(f"`channels` is 'mean' or the number of a channel; got {channels!r}.")
        if not (iterator is None or isinstance(iterator, bool)):
            raise ValueError(f"`iterator` is True or False; got {iterator!r}.")
        if not isinstance(output, str) or output not in ("label", "audio"):
            raise ValueError(f"`output` is 'label' or 'audio', got {output!r}.")
        check_layout(layout)
        of_label = {"candidate_labels": candidate_labels, "scoring": scoring, "num_workers": num_workers}
        of_audio = {"seconds": seconds, "temperature": temperature, "top_p": top_p, "iterator": iterator}
        other, given = ("audio", of_audio) if output == "label" else ("label", of_label)
        if strange := [name for name, value in given.items() if value is not None]:
            raise ValueError(f"`{strange[0]}` is for `output={other!r}`; this call has `output={output!r}`.")
        pairs = example_pairs(examples)
        if output == "audio":
            layers = self.processor.code_layout.check_layers(layers)
            drawn = {
                "temperature": 0.0 if temperature is None else temperature,
                "top_p": 1.0 if top_p is None else top_p,
                "seed": seed,
            }
            GenerateRequest([0], 1, **drawn)  # their checks
            if drawn["top_p"] < 1 and not drawn["temperature"]:
                raise ValueError("`top_p` says what is drawn from, and nothing is drawn: pass a `temperature` above 0.")
            written = {"layers": layers, "layout": layout}
            answers = AudioAnswers(self.model, self.processor, self.backend, written, channels)
            prompt = {"instruction": instruction or False, "repeats": repeats}
            return answers.answer(audio, pairs, prompt, seconds, drawn, iterator, batch_size)
        scoring = DEFAULT_SCORING if scoring is None else scoring
        check_way(scoring)
        names, labels = named_labels([label for _, label in pairs], candidate_labels)
        layers = self.processor.code_layout.check_layers((0,) if layers is None else layers)
        written = {"layers": layers, "layout": layout}
        instruction = instruction is None or instruction
        support = {"labels": labels, "written": written, "scoring": scoring, "channels": channels}
        return self._label(audio, pairs, names, instruction, repeats, seed, support, batch_size, num_workers)

    def load_audio(self, audio, channels: str | int | None = None) -> np.ndarray:
        """
        Reads a clip.

        Args:
            audio: A clip in any form that `__call__` takes.
            channels (`str` or `int`, *optional*): As of `__call__`.

        Returns:
            `np.ndarray`: `(samples,)` at the codec's rate.

        Raises:
            ValueError: for audio that cannot be used; the message names the clip.
            OSError: for a file that cannot be read.
        """
        return read_clip(audio, "The clip", self.feature_extractor, channels)

    def encode(self, clips: list[np.ndarray]) -> list[torch.LongTensor]:
        """Clips at the codec's rate → their codes, `(codes_per_group, groups)` each, on the CPU."""
        return encode_clips(self.model, self.feature_extractor, clips)

    # ---- Labels

    def _label(self, audio, pairs, names, instruction, repeats, seed, support, batch_size, num_workers):
        """Labels one clip, or several."""
        single, raw = is_one_clip(audio), support["scoring"] == "batch"
        values = None if single else several(audio, "`audio`")
        if single and raw:
            raise ValueError("`scoring='batch'` calibrates by the clips that are asked together: pass several.")
        clips = [
            read_clip(clip, f"Example {i}", self.feature_extractor, support["channels"])
            for i, (clip, _) in enumerate(pairs)
        ]
        codes = self.encode(clips)
        support["scorer"] = self._scorer(codes, names, support, instruction, repeats, seed)
        support["scorer"].prepare(support["scoring"])
        if single:
            return super().__call__(Clip(audio, "The clip"), support=support)
        if hasattr(values, "__len__"):
            clips = Clips(values)
        else:
            clips = (Clip(clip, f"Clip {i}") for i, clip in enumerate(items(values)))
        answers = self.get_iterator(
            clips,
            num_workers if num_workers is not None else self._num_workers or 0,
            batch_size if batch_size is not None else self._batch_size or 1,
            *self._sanitize_parameters(support=support),
        )
        if raw:
            answers = self._calibrate_together(list(answers), support)
        return iter(answers) if is_lazy(audio) else list(answers)

    def preprocess(self, clip, channels=None):
        return {"audio": read_clip(clip.audio, clip.name, self.feature_extractor, channels)}

    def _forward(self, inputs, support):
        clips = inputs["audio"]
        codes = self.encode(clips if isinstance(clips, list) else [clips])
        way = "raw" if support["scoring"] == "batch" else support["scoring"]  # all clips of the call calibrate
        return {"scores": support["scorer"].scores(codes, way)[way]}

    def postprocess(self, outputs, support):
        scores = outputs["scores"].view(-1)
        return scores if support["scoring"] == "batch" else ranked(support["labels"], scores)

    @staticmethod
    def _calibrate_together(log_probs: list[torch.FloatTensor], support) -> list[list[dict]]:
        if not log_probs:
            return []
        if len(log_probs) == 1:
            raise ValueError("`scoring='batch'` calibrates by the clips that are asked together: pass several.")
        return [ranked(support["labels"], row) for row in score("batch", torch.stack(log_probs))]

    def _scorer(self, codes, names, support, instruction, repeats, seed) -> SupportScorer:
        """Scores queries behind the examples, as the processor writes them."""
        labels, written = support["labels"], support["written"]

        def write_support(places: Sequence[int]) -> list[int]:
            pairs = [(codes[place], names[place]) for place in places]
            return self.processor.few_shot_support(pairs, labels, instruction, repeats, **written)

        return SupportScorer(
            self.backend,
            codes,
            [labels.index(name) for name in names],
            [self.processor.label_ids(label) for label in labels],
            write_support,
            lambda query: self.processor.few_shot_query(query, **written),
            word_rows=self.processor.codes_per_layer[0],
            seed=seed,
        )


class Clips(Dataset):
    """Several clips, each read when it is asked for."""

    def __init__(self, values: Sequence):
        self.values = values

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, index: int) -> Clip:
        try:
            clip = self.values[index]
        except ImportError as error:
            raise undecoded(error) from error
        return Clip(clip, f"Clip {index}")


def is_lazy(values: Any) -> bool:
    """Whether answers to these come as an iterator: to datasets, and to what can be read once."""
    return (
        isinstance(values, Dataset)
        or hasattr(values, "features")
        and hasattr(values, "column_names")
        or (not hasattr(values, "__len__"))
    )


def ranked(labels: Sequence[str], scores: torch.FloatTensor) -> list[dict[str, Any]]:
    """Labels and the softmax of their scores, best first."""
    pairs = sorted(zip(labels, scores.softmax(dim=-1).tolist()), key=lambda pair: -pair[1])
    return [{"label": label, "score": value} for label, value in pairs]


__all__ = ["AudioFewShotPipeline"]
