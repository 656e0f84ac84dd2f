# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""`llm-codec tokenize`."""

from argparse import ArgumentParser, Namespace

from .errors import FAILED, note, usage
from .fields import add_fields, given_fields, import_alone

TITLE = "Encodes a corpus of audio to a dataset of codes."
DETAILS = (
    "A folder, a manifest, Parquet, WebDataset shards or an id of `datasets` becomes Parquet for `load_dataset`. A\n"
    "bad file becomes a row of errors/ and stops no other; the status is then 1. Prints the folder's name."
)
GOES_ON = "the same command goes on where it stopped"
EXAMPLES = (
    "tokenize clips/ --output_dir codes",
    "tokenize manifest.jsonl --output_dir codes --workers 4",
    "tokenize clips/ --output_dir codes --retry_errors",
    """tokenize clips/ --output_dir codes --executor slurm --executor_options '{"partition": "gpu", "time": "8:00"}'""",
)


def add_arguments(parser: ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument("source", metavar="SOURCE", help="a folder, a manifest, .parquet, .tar, or a dataset's id")
    add_fields(parser, import_alone("llm_codec_hf.corpus.configuration").TokenizeConfig, skip=("source",))


def run(args: Namespace) -> int:
    """Runs the command."""
    from llm_codec_hf.corpus.configuration import TokenizeConfig
    from llm_codec_hf.corpus.run import tokenize

    with usage():
        config = TokenizeConfig(**given_fields(args, TokenizeConfig))
    summary = tokenize(config)
    print(config.output_dir, flush=True)
    note(f"{summary.clips} clips, {summary.seconds / 3600:.2f} hours of audio, are encoded.")
    if summary.errors:
        where = f"{config.output_dir}/errors says why; --retry_errors tries again"
        note(f"{summary.errors} clips could not be encoded: {where}.")
    begun = config.executor == "slurm"  # its jobs go on after the command
    if summary.unfinished:
        state = "with Slurm; when they have ended, the same command sums up" if begun else f"unfinished; {GOES_ON}"
        note(f"{summary.unfinished} of {summary.tasks} tasks are {state}.")
    return FAILED if summary.errors or summary.unfinished and not begun else 0
