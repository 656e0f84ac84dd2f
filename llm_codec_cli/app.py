# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""`llm-codec app`."""

from argparse import ArgumentParser, Namespace

from .options import seconds

TITLE = "Opens the app in the browser."
DETAILS = (
    "Hear a codec, let a language model name sounds and make some, and compare with other codecs. It listens on this\n"
    "machine alone, and ends with Ctrl-C. Needs the extra `app`."
)
EXAMPLES = ("app", "app --model OUT --language_model meta-llama/Llama-2-7b-hf", "app --host 0.0.0.0 --port 8000")


def add_arguments(parser: ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument("--model", nargs="+", default=[], metavar="M", help="codecs to offer beside the embedded one")
    parser.add_argument(
        "--language_model", nargs="+", default=[], metavar="LM", help="language models to offer beside the packaged one"
    )
    parser.add_argument("--device", nargs="+", metavar="D", help="devices to offer; an accelerator and the CPU, if any")
    parser.add_argument("--host", default="127.0.0.1", help="where to listen, by default %(default)s; 0.0.0.0 is all")
    parser.add_argument("--port", type=int, metavar="N", help="by default the first that is free from 7860 on")
    parser.add_argument("--max_file_size", default="32mb", metavar="SIZE", help="of an upload, by default %(default)s")
    parser.add_argument(
        "--max_seconds", type=seconds, default=600.0, metavar="S", help="of a clip to listen to, by default %(default)g"
    )
    parser.add_argument("--share", action="store_true", help="make a public address, by a server of Gradio's makers")
    parser.add_argument("--open", action="store_true", help="open the address in a browser")


def run(args: Namespace) -> int:
    """Runs the command."""
    import threading

    from llm_codec_hf.app.clips import Limits
    from llm_codec_hf.app.interface import serve
    from llm_codec_hf.app.models import Models

    from .codec import find_device, load_config

    for model in args.model:  # what is none is refused now, and not when a visitor chooses it
        load_config(Namespace(model=model))
    devices = [str(find_device(name)) for name in args.device] if args.device else None
    with serve(
        Models(args.model, args.language_model, devices),
        Limits(seconds=args.max_seconds),
        host=args.host,
        port=args.port,
        share=args.share,
        max_file_size=args.max_file_size,
        open_browser=args.open,
    ) as addresses:
        for address in addresses:
            print(address, flush=True)
        threading.Event().wait()  # until Ctrl-C
    return 0
