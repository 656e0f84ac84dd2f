# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""`llm-codec encode`."""

from argparse import ArgumentParser, Namespace

from .clips import CODES_SUFFIX, encode_file, is_audio
from .codec import load_model, model_path
from .inputs import HELP, Input
from .options import add_audio, add_model, add_output
from .outputs import find_targets, for_each, is_stream, open_stream

TITLE = "Encodes audio to files of codes."
DETAILS = (
    "Prints the files' names. Audio of stdin or a pipe goes to stdout. A bad file stops no other; the status is then 1."
)
GOES_ON = "the same command with --skip_existing goes on"
EXAMPLES = (
    "encode bark.wav",
    "encode music.flac --resample --channels mean --output music.safetensors",
    "encode clips/ --output codes/ --skip_existing",
    "encode - <bark.wav >bark.safetensors",
)


def add_arguments(parser: ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument("files", nargs="+", metavar="AUDIO", help="wav, flac, ogg, mp3, …" + HELP)
    add_model(parser)
    add_output(parser, "bark.safetensors beside bark.wav")
    add_audio(parser)


def run(args: Namespace) -> int:
    """Runs the command."""
    targets, status = find_targets(args, CODES_SUFFIX, is_audio, "audio")
    if not targets:
        return status
    from llm_codec_hf import LLMCodecFeatureExtractor

    model, feature_extractor = load_model(args), LLMCodecFeatureExtractor.from_pretrained(model_path(args))

    def encode(source: Input, target: str) -> None:
        clip = encode_file(source, model, feature_extractor, args)
        if is_stream(target):
            with open_stream(target) as stream:
                stream.write(clip.to_bytes())
        else:
            clip.save(target)

    return for_each(targets, encode, args, status)
