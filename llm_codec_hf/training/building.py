# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""From a configuration to a trainer, and from a trained codec to its folder."""

import dataclasses
import json
from pathlib import Path

import yaml
from accelerate import Accelerator
from accelerate.utils import set_seed

from ..configuration_llm_codec import LLMCodecConfig
from ..files.atomic import whole_folder, write_whole
from ..files.codec_folder import save_codec
from ..modeling_llm_codec import LLMCodecModel
from .card import make_card
from .codebooks import ProjectedCodebooks
from .configuration import TrainingConfig
from .data import open_clips
from .guidance import Guidance, make_speech_encoder, make_text_encoder
from .learner import Learner
from .trainer import CodecTrainer, make_accelerator
from .vocabulary import Vocabulary, open_vocabulary


def make_trainer(config: TrainingConfig, accelerator: Accelerator | None = None) -> tuple[CodecTrainer, Vocabulary]:
    """
    Makes all that a run needs: reads the language model's embeddings, lists the audio, draws the first weights.

    Raises:
        ValueError: for a configuration whose parts do not fit together, and for data without usable audio.
    """
    accelerator = accelerator or make_accelerator(config)
    vocabulary = open_vocabulary(config)
    codec = dict(config.codec)
    num_layers = len(codec.get("vq_strides", LLMCodecConfig().vq_strides))
    tables = vocabulary.tables(num_layers)
    sizes = [len(table) for table in tables]
    if "encoder_dim" in codec and "latent_dim" not in codec:
        rates = codec.get("encoder_rates", LLMCodecConfig().encoder_rates)
        codec["latent_dim"] = codec["encoder_dim"] * 2 ** len(rates)
    codec_config = LLMCodecConfig(**{**codec, "codebook_sizes": sizes})

    options = {"split": config.data_split, "config": config.data_config, "streaming": config.streaming}
    options = {} if Path(config.data).is_dir() else options
    clips = open_clips(config.data, codec_config.sampling_rate, config.seed, **options)
    eval_clips = open_clips(config.eval_data, codec_config.sampling_rate, config.seed) if config.eval_data else None
    set_seed(config.seed)
    model, codebooks = LLMCodecModel(codec_config), ProjectedCodebooks(tables, codec_config.latent_dim)
    guidance = None
    if config.semantic_weight or config.consistency_weight:
        guidance = Guidance(
            codec_config.latent_dim,
            make_text_encoder(config.text_encoder) if config.semantic_weight else None,
            make_speech_encoder(config.speech_encoder) if config.consistency_weight else None,
            config.min_cover,
        )
    return CodecTrainer(Learner(model, codebooks, guidance), config, clips, eval_clips, accelerator), vocabulary


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
    for name in ("data", "eval_data", "output_dir", "words", "dictionary"):
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
