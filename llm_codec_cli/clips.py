# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Clips of a command: audio is encoded, files of codes are loaded, block by block and by their checks."""

from argparse import Namespace
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from .inputs import Input
from .progress import progress

DEFAULT_MODEL = "embedded_default"  # how files of codes name the codec that ships with the package
CODES_SUFFIX = ".safetensors"


def is_audio(path: Path) -> bool:
    """Whether a file's name is that of audio."""
    from llm_codec_hf.files.audio_files import is_audio

    return is_audio(path)


def is_codes(path: Path) -> bool:
    """Whether a file's name is that of codes."""
    return path.suffix == CODES_SUFFIX


def encode_file(source: Input, model, feature_extractor, args: Namespace, content: BinaryIO | None = None):
    """
    Encodes audio, block by block.

    Args:
        source: The input.
        model: The codec.
        feature_extractor: Its feature extractor.
        args: With `resample`, `channels`, `allow_truncated` and `model`.
        content: What a pipe held, where it was read already.

    Returns:
        Its `EncodedClip`.

    Raises:
        ValueError: If its rate or channels are not the codec's and neither --resample nor --channels says what to do.
    """
    from llm_codec_hf.audio_llm_codec import open_audio, read_blocks
    from llm_codec_hf.files.encoded_clip import BLOCK_S, encode_clip

    with open_audio(content or source.open(), args.allow_truncated) as audio:
        rate, expected = audio.samplerate, feature_extractor.sampling_rate
        needed = [] if args.resample or rate == expected else ["--resample"]
        needed += [] if args.channels is not None or audio.channels == 1 else ["--channels mean"]
        if needed:
            raise ValueError(
                f"The audio has {audio.channels} channel(s) at {rate} Hz, the codec takes one at {expected} Hz: "
                f"add {' '.join(needed)}."
            )
        model_id = args.model or DEFAULT_MODEL
        with progress(source.relative.name, read_blocks(audio, BLOCK_S * rate), audio.frames or 0, rate) as blocks:
            return encode_clip(model, feature_extractor, blocks, rate, model_id, args.resample, args.channels)


def load_codes(source: Input, model, args: Namespace, content: BinaryIO | None = None):
    """
    Loads a file of codes.

    Args:
        source: The input.
        model: The codec.
        args: With `model`.
        content: What a pipe held, where it was read already.

    Returns:
        Its `EncodedClip`.

    Raises:
        ValueError: If it is none, or another codec wrote it.
    """
    from llm_codec_hf.files.encoded_clip import EncodedClip

    clip = EncodedClip.load(content or source.open())
    if not args.model and clip.model != DEFAULT_MODEL:
        raise ValueError(f"The codes were written by another codec: add --model {clip.model}.")
    clip.check_fits(model)
    return clip


def load_or_encode(source: Input, model, feature_extractor, args: Namespace):
    """The `EncodedClip` of an input that is audio or codes: a pipe is told by how it begins, others by their names."""
    if not source.is_pipe:
        if is_codes(Path(source.path)):
            return load_codes(source, model, args)
        return encode_file(source, model, feature_extractor, args)
    opened = source.open()
    data = Path(opened).read_bytes() if isinstance(opened, str) else opened.read()
    named_content = BytesIO(data)
    named_content.name = source.name
    if data[8:9] == b"{" and int.from_bytes(data[:8], "little") < len(data):  # the header of safetensors
        return load_codes(source, model, args, named_content)
    return encode_file(source, model, feature_extractor, args, named_content)
