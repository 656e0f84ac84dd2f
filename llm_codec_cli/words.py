# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""`llm-codec words`."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from .codec import load_model, model_path
from .errors import named
from .files import check_file, encode_file, load_codes
from .options import add_audio, add_model, layers

TITLE = "Prints the words of a clip."
DETAILS = "A line per layer: words of the first layer, tokens of the others."
EXAMPLES = ("words bark.wav", "words bark.safetensors --layers 0")


def add_arguments(parser: ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument("audio_or_codes", type=Path, metavar="AUDIO_OR_CODES", help="audio, or a .safetensors of codes")
    parser.add_argument("--layers", type=layers, help="the layers to print, such as 0,2; all by default")
    add_model(parser)
    add_audio(parser)


def run(args: Namespace) -> int:
    """Runs the command."""
    from llm_codec_hf import LLMCodecProcessor

    path = args.audio_or_codes
    check_file(path)
    model = load_model(args)  # its codebooks tell whether codes are its own
    processor = LLMCodecProcessor.from_pretrained(model_path(args))
    if path.suffix == ".safetensors":
        clip = named(path, lambda path: load_codes(path, model, args))
    else:
        clip = named(path, lambda path: encode_file(path, model, processor.feature_extractor, args))
    for layer in processor.codes_to_words(clip.audio_codes, args.layers):
        print(_on_one_line(" ".join(layer)))
    return 0


def _on_one_line(text: str) -> str:
    """Line ends and control characters, which tokens may hold, as escapes."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
