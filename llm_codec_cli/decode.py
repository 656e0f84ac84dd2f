# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""`llm-codec decode`."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from .codec import load_model
from .files import find_targets, for_each, load_codes
from .options import add_model, add_output
from .progress import progress

TITLE = "Decodes files of codes to wav."
DETAILS = "The wav is 16-bit, at the codec's rate, of the length that was encoded. Prints the files' names."
EXAMPLES = (
    "decode bark.safetensors",
    "decode bark.safetensors --output again.wav",
    "decode codes/*.safetensors --output decoded/",
)


def add_arguments(parser: ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument("files", nargs="+", type=Path, metavar="CODES", help="what `llm-codec encode` wrote")
    add_model(parser)
    add_output(parser, "bark.decoded.wav beside bark.safetensors")


def run(args: Namespace) -> int:
    """Runs the command."""
    from llm_codec_hf.audio_llm_codec import write_wav
    from llm_codec_hf.files.atomic import whole_file
    from llm_codec_hf.files.encoded_clip import decode_clip

    # beside the codes there may be the audio that they were made of
    targets = find_targets(args, ".wav" if args.output else ".decoded.wav")
    model = load_model(args)

    def decode(path: Path) -> None:
        clip = load_codes(path, model, args)
        blocks = decode_clip(model, clip)
        with whole_file(targets[path]) as temporary, progress(path, blocks, clip.length, clip.sampling_rate) as blocks:
            write_wav(temporary, blocks, clip.sampling_rate)
        print(targets[path])

    return for_each(targets, decode, args)
