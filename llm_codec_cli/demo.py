# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""`llm-codec demo`."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

TITLE = "Runs the demo."
DETAILS = "Real clips: their words, the language model's answers, and a reconstruction with a picture of it."
EXAMPLES = ("demo", "demo --output_dir out")


def add_arguments(parser: ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument(
        "--output_dir", type=Path, default=Path("llm-codec-demo"), metavar="DIR", help="by default %(default)s"
    )


def run(args: Namespace) -> int:
    """Runs the command."""
    from llm_codec_hf.embedded.demo import run

    for line in run(args.output_dir):
        print(line, flush=True)
    return 0
