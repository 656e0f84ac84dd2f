# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""`llm-codec train`."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from .errors import usage
from .fields import add_fields, given_fields, import_alone

TITLE = "Trains a codec for a language model."
DETAILS = (
    "On a folder of audio or a dataset, from the run's checkpoint where there is one. Prints the codec's folder.\n"
    "Several processes: `accelerate launch -m llm_codec_cli train ...`."
)
GOES_ON = "the same command goes on from the last checkpoint"
EXAMPLES = (
    "train --data clips/ --output_dir run",
    "train config.yaml --data clips/ --output_dir run --language_model meta-llama/Llama-3.2-1B",
)


def add_arguments(parser: ArgumentParser) -> None:
    """Adds the command's options."""
    add_fields(parser, import_alone("llm_codec_hf.training.configuration").TrainingConfig)
    parser.add_argument("config", nargs="?", metavar="YAML", help="a file of these options, which arguments override")


def run(args: Namespace) -> int:
    """Runs the command."""
    from llm_codec_hf.files.run_settings import read_fields
    from llm_codec_hf.training.building import export, make_trainer, write_skipped
    from llm_codec_hf.training.configuration import TrainingConfig

    with usage():
        fields = read_fields(args.config, TrainingConfig) if args.config else {}
        config = TrainingConfig.from_dict(fields | given_fields(args, TrainingConfig))
    trainer, vocabulary = make_trainer(config)
    finished = trainer.train()
    if not trainer.accelerator.is_main_process:
        return 0
    write_skipped(trainer.clips.skipped, Path(config.output_dir) / "skipped.jsonl")
    if finished:
        print(export(trainer, vocabulary, Path(config.output_dir) / "codec"))
    else:
        print(f"Stopped at step {trainer.step} of {config.max_steps}; the same command goes on.")
    return 0
