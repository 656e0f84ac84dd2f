# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""What a command reads: files, pipes, stdin, and folders of files."""

import sys
from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from .errors import UsageError, note, report

STDIN = "-"
HELP = "; - is stdin, and a folder stands for what is in it"


@dataclass(frozen=True)
class Input:
    """
    A file that a command reads.

    Attributes:
        path: As it was given, or found in a folder; `-` is stdin, and may be an URL where a command takes such.
        relative: Where it is in the folder that was given, or its name: its place in a folder of results.
    """

    path: str
    relative: Path

    @property
    def name(self) -> str:
        """What messages call it."""
        return "<stdin>" if self.path == STDIN else self.path

    @property
    def is_pipe(self) -> bool:
        """Whether it is stdin or another file that is read once, such as `<(...)` of a shell; nothing is beside it."""
        return self.path == STDIN or Path(self.path).exists() and not Path(self.path).is_file()

    def open(self) -> "str | BinaryIO":
        """What readers of the library take: the path, or stdin."""
        return sys.stdin.buffer if self.path == STDIN else self.path


def find_inputs(
    paths: Sequence[str], is_wanted: Callable[[Path], bool], kind: str, args: Namespace, urls: bool = False
) -> tuple[list[Input], int]:
    """
    Finds the files that a command is to read. What is missing is reported and stops no other.

    Args:
        paths: Files, folders, pipes, `-`.
        is_wanted: Whether a file of a folder is one to read, by its name. The others are noted on stderr.
        kind: What such files are, for messages: "audio".
        args: With `debug`.
        urls: Whether `http(s)://` URLs are taken.

    Returns:
        The files, those of a folder by their paths; and the exit status so far.

    Raises:
        UsageError: If `-` is given twice.
    """
    if list(paths).count(STDIN) > 1:
        raise UsageError("`-` stands for stdin, which can be read once; it is given several times.")
    found, status = [], 0
    for path in paths:
        if path == STDIN:
            found.append(Input(path, Path("stdin")))
        elif urls and path.startswith(("http://", "https://")):
            found.append(Input(path, Path(path.rpartition("/")[2])))
        elif Path(path).is_dir():
            inputs = _in_folder(path, is_wanted, kind)
            found += inputs
            if not inputs:
                status = problem(f"{path}: The folder has no {kind}.", args)
        elif Path(path).exists():
            found.append(Input(path, Path(Path(path).name)))
        else:
            status = problem(f"There is no file {path!r}.", args)
    return found, status


def problem(message: str, args: Namespace) -> int:
    """
    Reports what is wrong with one file of several.

    Returns:
        The exit status.

    Raises:
        ValueError: With `--debug`.
    """
    if args.debug:
        raise ValueError(message)
    return report(ValueError(message))


def _in_folder(folder: str, is_wanted: Callable[[Path], bool], kind: str) -> list[Input]:
    from llm_codec_hf.files.audio_files import list_files

    files, left_out = list_files(folder)
    for name, reason in left_out:
        note(f"{Path(folder, name)} is left out: {reason}.")
    others = [path for path in files if not is_wanted(path)]
    if others:
        names = ", ".join(path.relative_to(folder).as_posix() for path in others[:3])
        more = f" and {len(others) - 3} more" if len(others) > 3 else ""
        note(f"{folder}: left out {names}{more}, by the name no {kind}.")
    return [Input(str(path), path.relative_to(folder)) for path in files if is_wanted(path)]
