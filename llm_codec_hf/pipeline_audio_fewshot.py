# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""`pipeline("audio-fewshot")`: a frozen language model answers about audio from a few examples in its prompt."""

import json
import os
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, Pipeline, PreTrainedModel
from transformers.dynamic_module_utils import custom_object_save
from transformers.utils import CONFIG_NAME

from .audio_llm_codec import read_audio
from .scoring_llm_codec import score_continuations


class AudioFewShotPipeline(Pipeline):
    """
    Classifies audio from a few examples: a codec writes each clip in words of a language model, and the language model
    reads the examples and scores every label as the query's continuation (arXiv 2406.10056, section 3.3).

    ```python
    >>> import llm_codec_hf
    >>> from transformers import pipeline

    >>> pipe = pipeline("audio-fewshot", model=codec, language_model=language_model)
    >>> pipe("query.wav", examples=[("bark.wav", "dog"), ("meow.wav", "cat")])
    [{'label': 'dog', 'score': 0.8}, {'label': 'cat', 'score': 0.2}]
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
        words = self.processor.tokenizer.name_or_path or "the codec"
        if language_model is None:
            raise ValueError(
                "Pass `language_model=`, the causal language model that reads the codec's words: an id, a folder or a "
                f"loaded model. The words are those of the tokenizer of {words}."
            )
        if isinstance(language_model, (str, os.PathLike)):
            tokenizer = AutoTokenizer.from_pretrained(language_model) if tokenizer is None else tokenizer
            language_model = AutoModelForCausalLM.from_pretrained(language_model, dtype="auto").to(self.device)
        if tokenizer is not None:
            self.processor.check_tokenizer(tokenizer)
        entries, needed = language_model.get_input_embeddings().weight.shape[0], self.processor.max_token_id + 1
        if entries < needed:
            raise ValueError(
                f"The language model embeds {entries} tokens, but the codec's words take token ids up to {needed - 1}: "
                f"it is not the language model of {words}."
            )
        self.language_model = language_model.eval()

    def save_pretrained(self, save_directory: str | os.PathLike, **kwargs: Any) -> None:
        """Saves the codec, its processor and this pipeline's code; the language model stays where it is."""
        super().save_pretrained(save_directory, **kwargs)
        self.processor.save_pretrained(save_directory, **kwargs)
        add_pipeline(save_directory)

    def _sanitize_parameters(self, prompt=None):
        return ({}, {}, {}) if prompt is None else ({}, {"prompt": prompt}, {"labels": prompt["labels"]})

    def __call__(
        self,
        audio,
        examples: list[tuple[Any, str]] | None = None,
        candidate_labels: list[str] | None = None,
        instruction: bool | str = True,
        repeats: int = 1,
        layers: tuple[int, ...] = (0,),
        layout: str = "layer_major",
        **kwargs,
    ):
        """
        Scores labels for audio.

        Args:
            audio: A clip: a path, an URL, the bytes of a file, an array at the codec's rate, or a dict of `raw` or
                `array` and `sampling_rate`. Or a list of clips, a generator, or a `datasets` column (`KeyDataset`).
            examples (`list[tuple]`): Pairs of a clip and its label, in the prompt's order.
            candidate_labels (`list[str]`, *optional*): Labels to score; the examples' by default.
            instruction (`bool` or `str`, *optional*, defaults to `True`): Whether the prompt names the labels first.
            repeats (`int`, *optional*, defaults to 1): How often the examples stand in the prompt.
            layers (`tuple[int]`, *optional*, defaults to `(0,)`): Layers of the codec in the prompt: `(0,)` for the
                semantic words alone.
            layout (`str`, *optional*, defaults to `"layer_major"`): `"layer_major"` or `"time_major"`.
            batch_size (`int`, *optional*): Clips a batch.

        Returns:
            `list[dict]` a clip, best first: `label`, and `score`, a softmax over the labels of the summed
            log-probability of the label's tokens and of its end.

        Raises:
            ValueError: for no examples, for an example whose label is no candidate, for audio that cannot be used, and
                for a prompt longer than the language model's context.
        """
        if not examples:
            raise ValueError("`examples` is empty: pass pairs of a clip and its label, such as [('bark.wav', 'dog')].")
        labels = list(candidate_labels or dict.fromkeys(label for _, label in examples))
        if strangers := sorted({label for _, label in examples} - set(labels)):
            raise ValueError(f"The examples have labels that are not among `candidate_labels` {labels}: {strangers}.")
        codes = self.encode([self.load_audio(clip) for clip, _ in examples])
        prompt = {
            "examples": [(clip, label) for clip, (_, label) in zip(codes, examples)],
            "labels": labels,
            "instruction": instruction,
            "repeats": repeats,
            "layers": layers,
            "layout": layout,
        }
        return super().__call__(audio, prompt=prompt, **kwargs)

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
        features = self.feature_extractor(
            array, sampling_rate=sampling_rate, resample=sampling_rate != rate, channels=channels
        )
        return features["input_values"][0][0]

    @torch.no_grad()
    def encode(self, clips: list[np.ndarray]) -> list[torch.LongTensor]:
        """Clips at the codec's rate → their codes, `(codes_per_group, groups)` each, on the CPU."""
        rate = self.feature_extractor.sampling_rate
        inputs = self.feature_extractor(clips, sampling_rate=rate, return_tensors="pt").to(self.model.device)
        output = self.model.encode(**inputs)
        return [codes[:, mask.bool()].cpu() for codes, mask in zip(output.audio_codes, output.audio_codes_mask)]

    def preprocess(self, audio):
        return {"audio": self.load_audio(audio)}

    def _forward(self, inputs, prompt):
        clips = inputs["audio"]
        clips = clips if isinstance(clips, list) else [clips]
        prompts = [self.processor.few_shot_prompt(query=codes, **prompt) for codes in self.encode(clips)]
        labels = [self.processor.label_ids(label) for label in prompt["labels"]]
        return {"scores": score_continuations(self.language_model, prompts, labels)}

    def postprocess(self, outputs, labels):
        scores = outputs["scores"].view(-1).softmax(dim=-1).tolist()
        ranked = sorted(zip(labels, scores), key=lambda pair: -pair[1])
        return [{"label": label, "score": score} for label, score in ranked]


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


__all__ = ["AudioFewShotPipeline", "add_pipeline"]
