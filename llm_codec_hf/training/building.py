# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""From a configuration to a trainer, and from a trained codec to its folder."""

import dataclasses
import inspect
import json
from pathlib import Path

import yaml
from accelerate import Accelerator
from accelerate.utils import set_seed

from ..arguments_llm_codec import unknown_option
from ..configuration_llm_codec import LLMCodecConfig
from ..embedded.whisper_features import SAMPLING_RATE, make_whisper_features
from ..files.atomic import whole_folder, write_whole
from ..files.codec_folder import save_codec
from ..modeling_llm_codec import LLMCodecModel
from .card import make_card
from .codebooks import ProjectedCodebooks
from .configuration import TrainingConfig
from .data import open_clips
from .guidance import Guidance, make_speech_encoder, make_text_encoder
from .hearing import Hearing
from .learner import Learner
from .semantic_head import SemanticHead
from .trainer import CodecTrainer, make_accelerator
from .vocabulary import Vocabulary, open_vocabulary
from .warm_start import load_warm_start


def make_trainer(config: TrainingConfig, accelerator: Accelerator | None = None) -> tuple[CodecTrainer, Vocabulary]:
    """
    Makes all that a run needs: reads the language model's embeddings, lists the audio, draws the first weights.

    Raises:
        ValueError: If the parts of the configuration do not fit together, or the data has no usable audio.
    """
    accelerator = accelerator or make_accelerator(config)
    codec = dict(config.codec)
    known = [name for name in inspect.signature(LLMCodecConfig).parameters if name != "kwargs"]
    for name in codec:  # the config itself takes any, as later versions may have more
        if name not in known:
            raise ValueError(str(unknown_option(name, known, "`codec`")))
    vocabulary = open_vocabulary(config)
    num_layers = len(codec.get("vq_strides", LLMCodecConfig().vq_strides))
    tables = vocabulary.tables(num_layers)
    sizes = [len(table) for table in tables]
    if config.semantic_channels and codec.get("encoder_type") == "spectral":
        codec["encoder_options"] = {**codec.get("encoder_options", {}), "semantic_channels": config.semantic_channels}
    codec_config = LLMCodecConfig(**{**codec, "codebook_sizes": sizes})

    options = {"split": config.data_split, "config": config.data_config, "streaming": config.streaming}
    options |= {"audio_column": config.audio_column, "text_column": config.text_column}
    options = {} if Path(config.data).is_dir() else options
    clips = open_clips(config.data, codec_config.sampling_rate, config.seed, config.shares, **options)
    eval_clips = open_clips(config.eval_data, codec_config.sampling_rate, config.seed) if config.eval_data else None
    hearing = make_hearing(config, codec_config.sampling_rate)
    set_seed(config.seed)
    model = LLMCodecModel(codec_config)
    codebooks = ProjectedCodebooks(tables, codec_config.latent_dim, config.semantic_channels)
    guidance = None
    if config.semantic_weight or config.consistency_weight:
        guidance = Guidance(
            codec_config.latent_dim,
            make_text_encoder(config.text_encoder) if config.semantic_weight else None,
            make_speech_encoder(config.speech_encoder) if config.consistency_weight else None,
            config.min_cover,
        )
    head = None
    if config.head_weight:
        own = codebooks.channels[0]
        head = SemanticHead(own.stop - own.start, hearing.whisper.width * len(config.head_layers))
    learner = Learner(model, codebooks, guidance, head, config.semantic_gradient, config.freeze_codes)
    trainer = CodecTrainer(learner, config, clips, eval_clips, accelerator, hearing)
    if config.init_from and not trainer.checkpoint.is_file():
        load_warm_start(trainer, config.init_from)
    return trainer, vocabulary


def make_hearing(config: TrainingConfig, sampling_rate: int) -> Hearing | None:
    """
    What Whisper hears, if a loss has a weight that needs it.

    Raises:
        ImportError: If the packages of the default Whisper are missing.
        ValueError: If the codec's sampling rate is not Whisper's, or Whisper lacks a layer.
    """
    layers = (config.feature_layers if config.feature_weight else []) + (
        config.head_layers if config.head_weight else []
    )
    if not layers:
        return None
    if sampling_rate != SAMPLING_RATE:
        raise ValueError(
            f"Whisper hears audio of {SAMPLING_RATE} Hz, the codec has {sampling_rate} Hz: set `feature_weight` and "
            "`head_weight` to 0."
        )
    whisper = make_whisper_features(config.feature_encoder, config.feature_precision == "bfloat16")
    return Hearing(whisper, layers)


def export(trainer: CodecTrainer, vocabulary: Vocabulary, folder: str | Path) -> Path:
    """
    Writes the trained codec in inference form, with its processor, card and configuration: `from_pretrained` and
    `pipeline("audio-fewshot")` load it. The trainer is of no use afterwards.

    Args:
        trainer (`CodecTrainer`): When its `train` has returned.
        vocabulary (`Vocabulary`): The codec's.
        folder (`str` or `Path`): Written whole or not at all.

    Returns:
        The folder.
    """
    folder = Path(folder)
    model = trainer.learner.fold().to("cpu")
    fields = dataclasses.asdict(trainer.config)
    # paths of one machine say nothing to others
    for name in ("data", "eval_data", "output_dir", "words", "dictionary", "init_from"):
        fields[name] = fields[name] and Path(fields[name]).name
    with whole_folder(folder, overwrite=True) as temporary:
        save_codec(model, vocabulary.processor(model.config, trainer.config.template), temporary)
        (temporary / "training.yaml").write_text(yaml.safe_dump(fields, sort_keys=False), encoding="utf-8")
        (temporary / "README.md").write_text(make_card(trainer, model), encoding="utf-8")
    return folder


def write_skipped(skipped: list[tuple[str, str]], path: Path) -> None:
    """Lists the clips that could not be read, with the reason, as a line of JSON each."""
    lines = [json.dumps({"name": name, "reason": reason}, ensure_ascii=False) + "\n" for name, reason in skipped]
    write_whole(path, "".join(lines))


def export_checkpoint(config: TrainingConfig, folder: str | Path) -> Path:
    """
    Exports a run as it was last saved, while it may still go on.

    Args:
        config: The run's, with its `output_dir`.
        folder: As `export` takes it.

    Returns:
        The folder.

    Raises:
        ValueError: If the run has no checkpoint, or none that quantizes.
    """
    trainer, vocabulary = make_trainer(config)
    if not trainer.checkpoint.is_file():
        raise ValueError(
            f"{config.output_dir} holds no checkpoint: name the `output_dir` of a run that has been saved."
        )
    trainer.load()
    if not trainer.fitted:
        raise ValueError(f"The run in {config.output_dir} does not quantize yet, at step {trainer.step}.")
    trainer.averages.put()
    return export(trainer, vocabulary, folder)
