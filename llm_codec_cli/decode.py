# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""`llm-codec decode`."""

from argparse import ArgumentParser, Namespace

from .clips import is_codes, load_codes
from .codec import load_model
from .inputs import HELP, Input
from .options import add_model, add_output
from .outputs import find_targets, for_each, is_stream, open_stream, wav_bytes
from .progress import progress

TITLE = "Decodes files of codes to wav."
DETAILS = (
    "The wav is 16-bit, at the codec's rate, of the length that was encoded. Prints the files' names.\n"
    "Codes of stdin or a pipe go to stdout. A bad file stops no other; the status is then 1."
)
GOES_ON = "the same command with --skip_existing goes on"
EXAMPLES = (
    "decode bark.safetensors",
    "decode bark.safetensors --output again.wav",
    "decode codes/ --output decoded/ --skip_existing",
    "encode - <bark.wav | llm-codec decode - >again.wav",
)


def add_arguments(parser: ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument("files", nargs="+", metavar="CODES", help="what `llm-codec encode` wrote" + HELP)
    add_model(parser)
    add_output(parser, "bark.decoded.wav beside bark.safetensors")


def run(args: Namespace) -> int:
    """Runs the command."""
    # beside the codes there may be the audio that they were made of
    targets, status = find_targets(args, ".wav" if args.output else ".decoded.wav", is_codes, "file of codes")
    if not targets:
        return status
    from llm_codec_hf.audio_llm_codec import write_wav
    from llm_codec_hf.files.atomic import whole_file
    from llm_codec_hf.files.encoded_clip import decode_clip

    model = load_model(args)

    def decode(source: Input, target: str) -> None:
        clip = load_codes(source, model, args)
        with progress(source.relative.name, decode_clip(model, clip), clip.length, clip.sampling_rate) as blocks:
            if is_stream(target):
                with open_stream(target) as stream:
                    for piece in wav_bytes(blocks, clip.length, clip.sampling_rate):
                        stream.write(piece)
            else:
                with whole_file(target) as temporary:
                    write_wav(temporary, blocks, clip.sampling_rate)

    return for_each(targets, decode, args, status)
