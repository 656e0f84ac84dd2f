# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""`llm-codec encode`."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from .codec import load_model, model_path
from .files import encode_file, find_targets, for_each
from .options import add_audio, add_model, add_output

TITLE = "Encodes audio to files of codes."
DETAILS = "Prints the files' names."
EXAMPLES = (
    "encode bark.wav",
    "encode music.flac --resample --channels mean --output music.safetensors",
    "encode clips/*.wav --output codes/",
)


def add_arguments(parser: ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument("files", nargs="+", type=Path, metavar="AUDIO", help="wav, flac, ogg, mp3, …")
    add_model(parser)
    add_output(parser, "bark.safetensors beside bark.wav")
    add_audio(parser)


def run(args: Namespace) -> int:
    """Runs the command."""
    from llm_codec_hf import LLMCodecFeatureExtractor
    from llm_codec_hf.files.atomic import whole_file

    targets = find_targets(args, ".safetensors")
    model, feature_extractor = load_model(args), LLMCodecFeatureExtractor.from_pretrained(model_path(args))

    def encode(path: Path) -> None:
        clip = encode_file(path, model, feature_extractor, args)
        with whole_file(targets[path]) as temporary:
            clip.save(temporary)
        print(targets[path])

    return for_each(targets, encode, args)
