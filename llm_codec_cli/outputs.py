# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""What a command writes for each of its inputs: a file beside it, a file in a folder, or a stream of bytes."""

import os
import stat
import struct
import sys
from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from .errors import UsageError, named, note, report
from .inputs import Input, find_inputs, problem

STDOUT = "-"
MOST_BYTES = 2**32 - 1  # that a WAV header can state


def find_targets(
    args: Namespace, suffix: str, is_wanted: Callable[[Path], bool], kind: str
) -> tuple[dict[Input, str], int]:
    """
    What to write for each input. All that can be told beforehand is told here, before a model is loaded.

    Args:
        args: With `files`, `output`, `force`, `skip_existing` and `debug`.
        suffix: Of the files to write, unless `output` names one.
        is_wanted: Of `find_inputs`.
        kind: Of `find_inputs`.

    Returns:
        Input → the file to write, `-` for stdout; without those that cannot be done, which are reported. And the exit
        status so far.

    Raises:
        UsageError: If several results would go to one stream, or bytes to a terminal.
    """
    inputs, status = find_inputs(args.files, is_wanted, kind, args)
    targets = {source: _target(args, source, suffix) for source in inputs}
    streams = {target for target in targets.values() if is_stream(target)}
    if streams and len(targets) > 1:
        raise UsageError(f"{len(targets)} results cannot be written to one stream: name a folder as --output.")
    if STDOUT in streams and sys.stdout.isatty():
        raise UsageError("The result would be written to the terminal: add --output, or redirect it.")
    status = max(status, _refuse_doubles(args, targets), _refuse_inputs(args, targets))
    skipped = 0
    for source, target in list(targets.items()):
        if is_stream(target) or not os.path.exists(target) or args.force:
            continue
        del targets[source]
        if args.skip_existing:
            skipped += 1
        else:
            remedy = "choose another --output, add --force to overwrite it, or --skip_existing to leave it"
            status = problem(f"{target} exists; {remedy}.", args)
    if skipped:
        note(f"skipped {skipped} whose result exists.")
    _collect(targets.values())
    return targets, status


def _target(args: Namespace, source: Input, suffix: str) -> str:
    output = args.output
    if output is None:
        return STDOUT if source.is_pipe else str(Path(source.path).with_suffix(suffix))
    several = len(args.files) > 1 or Path(args.files[0]).is_dir()
    if is_stream(output):
        return STDOUT if output == "/dev/stdout" else output
    if several or os.path.isdir(output) or output.endswith(("/", os.sep)):
        return str(Path(output) / source.relative.with_suffix(suffix))
    return output


def _refuse_doubles(args: Namespace, targets: dict[Input, str]) -> int:
    """Takes out inputs that would be written to one file."""
    by_target, status = {}, 0
    for source, target in targets.items():
        by_target.setdefault(target, []).append(source)
    for target, sources in by_target.items():
        if len(sources) > 1:
            names = " and ".join(source.name for source in sources)
            status = problem(f"{names} would both be written to {target}; give them different names.", args)
            for source in sources:
                del targets[source]
    return status


def _refuse_inputs(args: Namespace, targets: dict[Input, str]) -> int:
    """Takes out inputs whose result would overwrite an input."""
    status, inputs = 0, {os.path.realpath(source.path) for source in targets}
    for source, target in list(targets.items()):
        if not is_stream(target) and os.path.realpath(target) in inputs:
            status = problem(f"{target} is an input; choose another --output.", args)
            del targets[source]
    return status


def _collect(targets: Iterable[str]) -> None:
    """Removes what killed commands left in the folders that are written to."""
    from llm_codec_hf.files.atomic import collect_folder

    for folder in {Path(target).parent for target in targets if not is_stream(target)}:
        if folder.is_dir():
            collect_folder(folder)


def for_each(targets: dict[Input, str], job: Callable[[Input, str], None], args: Namespace, status: int = 0) -> int:
    """
    Does a job for every input; one that fails is reported and the others go on. Prints the names of the files written.

    Args:
        targets: Input → what to write.
        job: Does it.
        args: With `debug`.
        status: The exit status so far.

    Returns:
        The exit status.
    """
    from transformers.utils import logging

    # on a terminal the results show the progress
    hidden = True if len(targets) == 1 or sys.stdout.isatty() else None
    for source, target in logging.tqdm(targets.items(), disable=hidden):
        try:
            named(source.name, job, source, target)
            if target != STDOUT:
                print(target, flush=True)
        except ValueError as error:
            if args.debug:
                raise
            status = report(error)
    return status


# ---- Streams of bytes


def is_stream(target: str) -> bool:
    """Whether a target is stdout, or a pipe or device, which is written from start to end."""
    if target in (STDOUT, "/dev/stdout"):
        return True
    try:
        mode = os.stat(target).st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


@contextmanager
def open_stream(target: str) -> Iterator[BinaryIO]:
    """Opens stdout or a pipe for bytes."""
    if target != STDOUT:
        with open(target, "wb") as file:
            yield file
        return
    yield sys.stdout.buffer
    sys.stdout.buffer.flush()


def wav_bytes(blocks: Iterable, length: int, sampling_rate: int) -> Iterator[bytes]:
    """
    A 16-bit WAV of one channel in pieces, for streams, where its header cannot be mended in the end.

    Args:
        blocks: Arrays of samples in −1 … 1, `(samples,)` each.
        length: Samples of all blocks together.
        sampling_rate: In Hz.
    """
    import soundfile

    size = min(2 * length, MOST_BYTES - 36)
    yield b"RIFF" + struct.pack("<I", 36 + size) + b"WAVE"
    yield b"fmt " + struct.pack("<IHHIIHH", 16, 1, 1, sampling_rate, 2 * sampling_rate, 2, 16)
    yield b"data" + struct.pack("<I", size)
    for block in blocks:
        raw = BytesIO()  # scaled, rounded and clipped as in files
        soundfile.write(raw, block, sampling_rate, "PCM_16", "LITTLE", "RAW")
        yield raw.getvalue()
