# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Options that several commands have, and the types of options; argparse puts the types' names into its messages."""

import argparse
import warnings
from collections.abc import Sequence


def add_model(parser: argparse.ArgumentParser) -> None:
    """Adds the options that choose the codec and where it runs."""
    parser.add_argument("--model", metavar="M", help="the codec, an id or a folder; the embedded one by default")
    parser.add_argument("--device", metavar="D", help="cpu, cuda, cuda:1, …; an accelerator if there is one")


def add_output(parser: argparse.ArgumentParser, default: str) -> None:
    """Adds the options that say where results are written; `default` describes where by default."""
    parser.add_argument(
        "--output",
        metavar="OUT",
        help=f"file to write, - for stdout, or for several inputs the folder to write to, where folders keep their "
        f"tree; by default {default}, and stdout for what comes from stdin or a pipe",
    )
    existing = parser.add_mutually_exclusive_group()
    existing.add_argument("--force", action="store_true", help="overwrite files that exist")
    existing.add_argument(
        "--skip_existing", action="store_true", help="leave out inputs whose result exists: goes on with a killed batch"
    )


def add_audio(parser: argparse.ArgumentParser) -> None:
    """Adds the options that say what to do with audio of another rate, of several channels, or that is cut."""
    parser.add_argument("--resample", action="store_true", help="resample audio of another rate, rather than refuse it")
    parser.add_argument(
        "--channels",
        type=channels,
        metavar="mean|N",
        help="average several channels, or take number N, counted from 0; refused by default",
    )
    parser.add_argument("--allow_truncated", action="store_true", help="take what is there of a file that is cut")


def layers(text: str) -> tuple[int, ...]:
    """Quantizer layers, such as `0,2`."""
    return tuple(int(layer) for layer in text.split(","))


def labels(text: str) -> list[str]:
    """Labels with commas between them."""
    return text.split(",")


def channels(text: str) -> str | int:
    """`mean`, or the number of a channel."""
    return text if text == "mean" else int(text)


def count(text: str) -> int:
    """An integer of 1 or more."""
    if int(text) < 1:
        raise ValueError
    return int(text)


def seconds(text: str) -> float:
    """A number of seconds above 0."""
    if not 0 < float(text) < float("inf"):
        raise ValueError
    return float(text)


def underscored(argv: Sequence[str]) -> list[str]:
    """
    Arguments in which the names of options have underscores, as `--output_dir`; dashes are an older spelling.

    Args:
        argv: Arguments as given.

    Returns:
        The same, without dashes inside the names of options.
    """
    result = []
    for i, argument in enumerate(argv):
        if argument == "--":  # files follow
            return [*result, *argv[i:]]
        name, equals, value = argument.partition("=")
        if name.startswith("--") and "-" in name[2:]:
            new = "--" + name[2:].replace("-", "_")
            warnings.warn(f"The option {name} is now written {new}.", DeprecationWarning, stacklevel=3)
            argument = new + equals + value
        result.append(argument)
    return result
