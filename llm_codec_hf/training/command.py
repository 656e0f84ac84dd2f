# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""`llm-codec train`: from arguments to a run and its codec."""

import argparse
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

from ..files.atomic import write_whole
from .configuration import TrainingConfig, read_yaml


def run(args: argparse.Namespace) -> Iterator[str]:
    """
    Does what `llm-codec train` was asked.

    Yields:
        Lines to print.

    Raises:
        ValueError: for a configuration that means nothing, and for data without usable audio.
    """
    fields = {field.name for field in dataclasses.fields(TrainingConfig)}
    given = {name: value for name, value in vars(args).items() if name in fields}
    config = TrainingConfig.from_dict((read_yaml(args.config) if args.config else {}) | given)

    from .building import export, make_trainer

    trainer, vocabulary = make_trainer(config)
    finished = trainer.train()
    if not trainer.accelerator.is_main_process:
        return
    write_skipped(trainer.clips.skipped, Path(config.output_dir) / "skipped.jsonl")
    if finished:
        yield f"{export(trainer, vocabulary, Path(config.output_dir) / 'codec')}"
    else:
        yield f"Stopped at step {trainer.step} of {config.max_steps}; the same command goes on."


def write_skipped(skipped: list[tuple[str, str]], path: Path) -> None:
    """Lists what could not be read, a line each."""
    lines = [json.dumps({"name": name, "reason": reason}, ensure_ascii=False) + "\n" for name, reason in skipped]
    write_whole(path, "".join(lines))
