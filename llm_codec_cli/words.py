# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""`llm-codec words`."""

from argparse import ArgumentParser, Namespace

from .clips import is_audio, is_codes, load_or_encode
from .codec import load_model, model_path
from .errors import named, report
from .inputs import HELP, find_inputs
from .options import add_audio, add_model, layers

TITLE = "Prints the words of clips."
DETAILS = (
    "A line per layer: words of the first layer, tokens of the others; if there are several clips, the clip's name\n"
    "before them, with a tab between. A bad file stops no other; the status is then 1."
)
EXAMPLES = ("words bark.wav", "words bark.safetensors --layers 0", "words clips/ --layers 0", "words - <bark.wav")


def add_arguments(parser: ArgumentParser) -> None:
    """Adds the command's options."""
    text = "audio, or a .safetensors of codes" + HELP
    parser.add_argument("files", nargs="+", metavar="AUDIO_OR_CODES", help=text)
    parser.add_argument("--layers", type=layers, help="the layers to print, such as 0,2; all by default")
    add_model(parser)
    add_audio(parser)


def run(args: Namespace) -> int:
    """Runs the command."""
    inputs, status = find_inputs(
        args.files, lambda path: is_audio(path) or is_codes(path), "audio or file of codes", args
    )
    if not inputs:
        return status
    from llm_codec_hf import LLMCodecProcessor

    model = load_model(args)  # its codebooks tell whether codes are its own
    processor = LLMCodecProcessor.from_pretrained(model_path(args))
    for source in inputs:
        try:
            clip = named(source.name, load_or_encode, source, model, processor.feature_extractor, args)
            words = processor.codes_to_words(clip.audio_codes, args.layers)
        except ValueError as error:
            if args.debug:
                raise
            status = report(error)
            continue
        for layer in words:
            print(*[source.name] * (len(inputs) > 1), _on_one_line(" ".join(layer)), sep="\t", flush=True)
    return status


def _on_one_line(text: str) -> str:
    """Line ends and control characters, which tokens may hold, as escapes."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
