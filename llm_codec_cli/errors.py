# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""What users are told when something goes wrong: one line that names the file, and no traceback."""

import sys
from collections.abc import Callable
from pathlib import Path


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
    return 2


def named(path: str | Path, job: Callable):
    """
    Does a job for a file.

    Args:
        path: The file.
        job: A function of the path.

    Returns:
        What the job returns.

    Raises:
        ValueError: If the job fails, with the file's name before the message.
    """
    try:
        return job(path)
    except BrokenPipeError:
        raise
    except (*user_errors(), RuntimeError) as error:  # decoders of audio raise RuntimeErrors
        message = str(error)
        raise ValueError(message if message.startswith(f"{path}: ") else f"{path}: {message}") from error
