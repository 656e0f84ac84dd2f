# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""The files of a command: what is read, what is written, and a bad one that stops no other."""

import os
import sys
from argparse import Namespace
from collections.abc import Callable, Sequence
from pathlib import Path

from .errors import named, report
from .progress import progress

DEFAULT_MODEL = "embedded_default"  # how files of codes name the codec that ships with the package


def encode_file(path: Path, model, feature_extractor, args: Namespace):
    """
    Encodes an audio file, block by block.

    Returns:
        Its `EncodedClip`.

    Raises:
        ValueError: If its rate or channels are not the codec's and neither --resample nor --channels says what to do.
    """
    from llm_codec_hf.audio_llm_codec import open_audio, read_blocks
    from llm_codec_hf.files.encoded_clip import BLOCK_S, encode_clip

    with open_audio(path, args.allow_truncated) as audio:
        rate, expected = audio.samplerate, feature_extractor.sampling_rate
        needed = [] if args.resample or rate == expected else ["--resample"]
        needed += [] if args.channels is not None or audio.channels == 1 else ["--channels mean"]
        if needed:
            raise ValueError(
                f"The audio has {audio.channels} channel(s) at {rate} Hz, the codec takes one at {expected} Hz: "
                f"add {' '.join(needed)}."
            )
        model_id = args.model or DEFAULT_MODEL
        with progress(path, read_blocks(audio, BLOCK_S * rate), audio.frames or 0, rate) as blocks:
            return encode_clip(model, feature_extractor, blocks, rate, model_id, args.resample, args.channels)


def load_codes(path: Path, model, args: Namespace):
    """
    Loads a file of codes.

    Returns:
        Its `EncodedClip`.

    Raises:
        ValueError: If it is none, or another codec wrote it.
    """
    from llm_codec_hf.files.encoded_clip import EncodedClip

    clip = EncodedClip.load(path)
    if not args.model and clip.model != DEFAULT_MODEL:
        raise ValueError(f"The codes were written by another codec: add --model {clip.model}.")
    clip.check_fits(model)
    return clip


def check_file(path: Path) -> None:
    """
    Checks that a file is there.

    Raises:
        ValueError: If it is not.
    """
    if not path.is_file():
        raise ValueError(f"There is no file {str(path)!r}.")


def find_targets(args: Namespace, suffix: str) -> dict[Path, Path]:
    """
    The file to write for each input. What can be refused is refused here, before a model is loaded.

    Args:
        args: With `files`, `output` and `force`.
        suffix: Of the files to write, unless `output` names one.

    Raises:
        ValueError: If an input is missing, or a file would be overwritten.
    """
    output = Path(args.output) if args.output else None
    is_folder = output and (len(args.files) > 1 or output.is_dir() or args.output.endswith(("/", os.sep)))
    targets, sources = {}, {}
    for path in args.files:
        check_file(path)
        target = output / path.with_suffix(suffix).name if is_folder else output or path.with_suffix(suffix)
        if sources.setdefault(target, path) != path:
            raise ValueError(f"{sources[target]} and {path} would both be written to {target}.")
        if target in args.files:
            raise ValueError(f"{target} is an input; choose another --output.")
        if target.exists() and not args.force:
            raise ValueError(f"{target} exists; choose another --output, or add --force to overwrite it.")
        targets[path] = target
    return targets


def for_each(paths: Sequence[Path], job: Callable[[Path], None], args: Namespace) -> int:
    """
    Does a job for every file; one that fails is reported and the others go on.

    Returns:
        The exit status.
    """
    from transformers.utils import logging

    status = 0
    # on a terminal the results show the progress
    for path in logging.tqdm(paths, disable=True if len(paths) == 1 or sys.stdout.isatty() else None):
        try:
            named(path, job)
        except ValueError as error:
            if args.debug:
                raise
            status = report(error)
    return status
