# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""What users are told when something goes wrong: one line that names the file, no traceback, and the exit status."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

FAILED = 1  # a file, some of several, or the work itself
WRONG_USAGE = 2  # the command line says what makes no sense; nothing was done. It is argparse's status, too
INTERRUPTED = 130  # as shells report a process that Ctrl-C ended


class UsageError(ValueError):
    """A command line that makes no sense: the exit status is then `WRONG_USAGE`."""


@contextmanager
def usage() -> Iterator[None]:
    """What is refused inside this block is the fault of the command line: a ValueError becomes a `UsageError`."""
    try:
        yield
    except ValueError as error:
        raise UsageError(str(error)) from error


def user_errors() -> tuple[type[Exception], ...]:
    """The errors that are told in one line; all others are faults of the program and keep their traceback."""
    from safetensors import SafetensorError

    return (ValueError, OSError, ImportError, SafetensorError)


def report(error: Exception) -> int:
    """
    Says on stderr, on one line, what went wrong.

    Returns:
        The exit status.
    """
    print("llm-codec: error:", " ".join(str(error).split()), file=sys.stderr)
    return WRONG_USAGE if isinstance(error, UsageError) else FAILED


def note(text: str) -> None:
    """Says on stderr, on one line, what is good to know and no error."""
    print("llm-codec: note:", " ".join(text.split()), file=sys.stderr)


def named(name: str, job: Callable, *arguments):
    """
    Does a job for a file.

    Args:
        name: What messages call the file.
        job: A function.
        arguments: What it takes.

    Returns:
        What the job returns.

    Raises:
        ValueError: If the job fails, with the file's name before the message.
    """
    try:
        return job(*arguments)
    except BrokenPipeError:
        raise
    except (*user_errors(), RuntimeError) as error:  # decoders of audio raise RuntimeErrors
        message = str(error)
        raise ValueError(message if message.startswith(f"{name}: ") else f"{name}: {message}") from error
