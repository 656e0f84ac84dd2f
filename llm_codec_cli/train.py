# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""`llm-codec train`."""

from argparse import ArgumentParser, Namespace

TITLE = "Trains a codec for a language model."
DETAILS = (
    "On a folder of audio or a dataset, from the run's checkpoint where there is one. Prints the codec's folder.\n"
    "Several processes: `accelerate launch -m llm_codec_cli train ...`."
)
EXAMPLES = (
    "train --data clips/ --output_dir run",
    "train config.yaml --data clips/ --output_dir run --language_model meta-llama/Llama-3.2-1B",
)


def add_arguments(parser: ArgumentParser) -> None:
    """Adds the command's options."""
    from llm_codec_hf.training.configuration import arguments

    parser._add_container_actions(arguments())
    parser.add_argument("config", nargs="?", metavar="YAML", help="a file of these options, which arguments override")


def run(args: Namespace) -> int:
    """Runs the command."""
    from llm_codec_hf.training.command import run

    for line in run(args):
        print(line, flush=True)
    return 0
