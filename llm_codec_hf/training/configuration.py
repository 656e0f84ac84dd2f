# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""
A training run as data: one dataclass, written as YAML or as arguments of `llm-codec train`.

This module stands on the standard library, so that `llm-codec train --help` need not load torch.
"""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ..fields_llm_codec import from_fields
from ..files.run_settings import option


@dataclass
class TrainingConfig:
    """
    A training run. Every field says in its metadata, and in `llm-codec train --help`, what it is.

    The defaults are what measured best here, not always what the original used. Paper (arXiv 2406.10056) and released
    configuration disagree where a comment says so.

    Raises:
        ValueError: If a value means nothing; the message names the field.
    """

    data: str = option("", "folder of audio (a subfolder is a source), folder of shards, or name for `datasets`")
    output_dir: str = option("", "folder of the run; a run found there is resumed")
    data_split: str = option("train", "split of a dataset")
    data_config: str | None = option(None, "configuration of a dataset")
    audio_column: str = option("audio", "column of a dataset's audio")
    text_column: str = option("text", "column of what is said in it; it need not be there")
    streaming: bool = option(False, "read a dataset as it comes, from start to end; an interrupted run reads it again")
    shares: dict = option({}, "shares of the clips by source (subfolder of `data`) as JSON; the others share the rest")
    init_from: str | None = option(None, "folder of `save_warm_start` or of a run, whose weights this run begins with")
    eval_data: str | None = option(None, "folder of audio to evaluate on; by default other draws of `data`")

    # ---- The language model and its words
    language_model: str | None = option(None, "causal language model, id or folder; the embedded default's if none")
    words: str | None = option(None, "file of layer 0's words, one per line; by default single-token words by id")
    dictionary: str | None = option(None, "file of words that those single-token words are chosen from")
    num_words: int = option(4096, "words of layer 0, at most")
    min_letters: int = option(1, "letters of a word of layer 0, at least")
    num_tokens: int | None = option(None, "tokens of the other layers, the first by id; all by default")
    finest_tokens: int | None = option(None, "tokens of the last layer, at least `num_tokens`; as many by default")
    tokens: Literal["all", "words"] = option(
        "all", "tokens of the other layers: all but special and byte ones, or words"
    )
    template: dict = option({}, "fields of FewShotTemplate as JSON: how prompts are written; the original's by default")

    # ---- The codec
    codec: dict = option({}, "fields of LLMCodecConfig as JSON; the original's by default")
    semantic_channels: int = option(0, "latent channels that layer 0 has for itself; 0: it shares all with the others")

    # ---- The run
    max_steps: int = option(100_000, "steps after which the run ends")
    max_minutes: float = option(math.inf, "minutes after which it ends, whichever comes first")
    stop_minutes: float = option(math.inf, "minutes after which this process stops; the same command then goes on")
    batch_size: int = option(8, "clips per step and process")
    gradient_accumulation_steps: int = option(1, "batches per step")
    min_windows: int = option(
        4,
        "shortest clip, in windows (`pad_to_multiple_of`: 0.24 s of the original's, 0.12 s of spectral)",
    )
    max_windows: int = option(4, "longest clip, in windows")
    # released configuration: 2e-4 for both, times 0.999 per epoch
    learning_rate: float = option(1e-3, "peak; then half a cosine to a hundredth of it")
    discriminator_learning_rate: float = option(2e-4, "of the discriminator, on the same course")
    warmup_steps: int = option(200, "steps of rising learning rate")
    max_grad_norm: float = option(1.0, "gradients are scaled down to it")
    freeze_codes: bool = option(False, "train the decoder alone, from `init_from`: codes stay what they are")
    ema_decay: float = option(0.999, "of the averaged weights, which are evaluated and exported; 0 for none")
    mixed_precision: Literal["no", "bf16"] = option("no", "of accelerate")
    compile: bool = option(False, "compile the activations: on CPUs a step takes 0.6 of the time")
    dataloader_num_workers: int = option(0, "processes that read clips")
    seed: int = option(0, "of weights, data and noise")

    # ---- Quantization
    quantize_after: int = option(400, "steps of plain autoencoding, before the codebooks are fitted to the latents")
    fitted_clips: int = option(256, "clips whose latents they are fitted to")
    fitted_components: int = option(12, "principal components that the fit maps")
    layer_dropout: float = option(0.1, "share of clips decoded from the first layers alone")
    dead_code_weight: float = option(0.1, "pull on unused entries towards latents far from theirs")
    dead_after: float = option(4.0, "an entry is dead if unused for so many codes per entry of its layer")

    # ---- Losses: their weights; 0 leaves a loss out
    stft_weight: float = option(0.0, "multi-resolution STFT, full band (released configuration: 1)")
    sub_band_stft_weight: float = option(0.0, "multi-resolution STFT of 6 bands (released configuration: 1)")
    # released configuration: mel loss off, its weight 45 notwithstanding
    mel_weight: float = option(2.0, "log mel spectrograms of five resolutions")
    waveform_weight: float = option(2.0, "mean absolute difference of samples")
    commitment_weight: float = option(0.25, "latents to their entries (released configuration: 1)")
    codebook_weight: float = option(1.0, "entries to their latents, which moves the projections")
    adversarial_weight: float = option(0.0, "multi-frequency discriminator (released configuration: 1)")
    feature_matching_weight: float = option(20.0, "features of the discriminator, where there is one")
    adversary: Literal["least_squares", "hinge"] = option("least_squares", "its loss")
    adversarial_after: int = option(0, "steps before the adversary starts")
    discriminator_channels: list[int] = option([64, 128, 256, 512, 512, 512], "channels of its convolutions")
    discriminator_hop_lengths: list[int] = option([32, 64, 128, 256, 512, 1024], "hop lengths of its spectrograms")
    semantic_weight: float = option(0.0, "layer 0's mean to a text encoder's embedding of the clip's text")
    consistency_weight: float = option(0.0, "layer 1 to a speech encoder's frames")
    text_encoder: str | None = option(None, "id or folder; all-MiniLM-L6-v2 of PyPI if none")
    speech_encoder: str | None = option(None, "id or folder of a Whisper; Whisper base of PyPI if none")
    min_cover: float = option(0.7, "share of an utterance that a clip holds for its text to count")

    # ---- What Whisper hears
    feature_weight: float = option(0.0, "Whisper's hidden states of the decoded audio to those of the original")
    feature_layers: list[int] = option([2, 3], "layers of Whisper that the loss compares, from 1")
    feature_after: int = option(0, "steps before that loss starts")
    head_weight: float = option(0.0, "a head on layer 0 that predicts Whisper's hidden states")
    head_layers: list[int] = option([6], "layers of Whisper that the head predicts; 6 is the last of Whisper base")
    semantic_gradient: float = option(0.1, "share of the decoder's gradient that reaches `semantic_channels`")
    feature_encoder: str | None = option(None, "id or folder of a Whisper; Whisper base of PyPI if none")
    feature_precision: Literal["bfloat16", "float32"] = option("bfloat16", "of Whisper's matrix products")

    # ---- Augmentation
    min_speed: float = option(1.0, "speed of a clip, at least; it moves the pitch too")
    max_speed: float = option(1.0, "speed of a clip, at most")
    min_gain_db: float = option(-12.0, "gain of a clip, at least")
    max_gain_db: float = option(6.0, "gain of a clip, at most; peaks stay below 1")
    noise_chance: float = option(0.0, "share of clips with noise added")
    room_chance: float = option(0.0, "share of clips that are moved into a room")
    colour_chance: float = option(0.0, "share of clips that another microphone records")

    # ---- Logs
    log_steps: int = option(50, "steps between two lines of the log")
    eval_steps: int = option(1000, "steps between two evaluations, with audio and spectrograms")
    eval_clips: int = option(16, "clips of an evaluation")
    eval_metrics: list[str] = option(["mel_distance"], "metrics of llm_codec_hf.metrics, such as stoi, feature_r2, wer")
    eval_language: str | None = option("en", "language of the texts that `wer` counts; none: guessed per clip")
    save_steps: int = option(500, "steps between two checkpoints")
    tracker: str | None = option(None, "tracker of accelerate: tensorboard, wandb, …; log.jsonl is always there")

    def __post_init__(self):
        for problem in self._problems():
            raise ValueError(problem)

    def _problems(self):
        for name in ("data", "output_dir"):
            if not getattr(self, name):
                yield f"`{name}` is missing: name a folder."
        positive = "max_steps max_minutes stop_minutes batch_size gradient_accumulation_steps min_windows learning_rate"
        positive += " num_words min_letters warmup_steps max_grad_norm log_steps eval_steps save_steps eval_clips"
        positive += " min_speed fitted_clips"
        for name in positive.split():
            if not getattr(self, name) > 0:
                yield f"`{name}` must be above 0, got {getattr(self, name)!r}."
        if self.finest_tokens is not None and self.finest_tokens < (self.num_tokens or math.inf):
            yield f"`finest_tokens` ({self.finest_tokens}) is `num_tokens` ({self.num_tokens}) or more."
        if self.max_windows < self.min_windows:
            yield f"`max_windows` ({self.max_windows}) is below `min_windows` ({self.min_windows})."
        for name in ("layer_dropout", "noise_chance", "room_chance", "colour_chance", "min_cover", "semantic_gradient"):
            if not 0 <= getattr(self, name) <= 1:
                yield f"`{name}` is a share from 0 to 1, got {getattr(self, name)!r}."
        if not 0 <= self.ema_decay < 1:
            yield f"`ema_decay` is at least 0 and below 1, got {self.ema_decay!r}."
        if self.words and self.dictionary:
            yield "`words` are taken as they are: leave `dictionary` out."
        for low, high in (("min_gain_db", "max_gain_db"), ("min_speed", "max_speed")):
            if getattr(self, low) > getattr(self, high):
                yield f"`{low}` ({getattr(self, low)}) is above `{high}` ({getattr(self, high)})."
        for name in ("semantic_channels", "quantize_after", "feature_after", "adversarial_after"):
            if getattr(self, name) < 0:
                yield f"`{name}` must be 0 or more, got {getattr(self, name)!r}."
        if self.freeze_codes and not self.init_from:
            yield "`freeze_codes` keeps the codes of an earlier run: name its folder in `init_from`."
        for field_ in dataclasses.fields(self):
            value = getattr(self, field_.name)
            if field_.name.endswith("_weight") and not value >= 0:
                yield f"`{field_.name}` is a weight of 0 or more, got {value!r}."
            choices = getattr(field_.type, "__args__", ()) if getattr(field_.type, "__origin__", 0) is Literal else ()
            if choices and value not in choices:
                yield f"`{field_.name}` is one of {', '.join(choices)}; got {value!r}."
        if not any(getattr(self, f"{name}_weight") for name in ("stft", "sub_band_stft", "mel", "waveform")):
            yield "Every weight of a reconstruction loss is 0: set `mel_weight` or another."

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> "TrainingConfig":
        """
        A run from its fields.

        Raises:
            ValueError: If a run does not have such a field, or its value is of another type.
        """
        return from_fields(cls, fields, "A training run")
