# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""
The command line, `llm-codec`: audio to words of a language model, words to audio, and answers about audio.

A module per command: `add_arguments(parser)` gives the parser the command's options and needs the standard library
alone; `run(args)` does the work, imports what that takes, and returns the exit status. So help and usage errors come at
once, while torch and transformers take seconds to import.

Results go to stdout, one per line; what went wrong goes to stderr, one error per line. The exit status is 0 where all
went right, 1 where something failed (one file of many, or the work itself), 2 where the command line makes no sense, so
that nothing was done, and 130 after Ctrl-C.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from .errors import INTERRUPTED, report, user_errors
from .options import underscored

COMMANDS = ("encode", "decode", "words", "tokenize", "classify", "evaluate", "train", "convert", "app", "demo")


def main(argv: Sequence[str] | None = None) -> int:
    """
    Runs the command line.

    Args:
        argv: The arguments; those of the process by default.

    Returns:
        The exit status: 0, 1 where something failed, 2 for a wrong command line, 130 after Ctrl-C.
    """
    argv = underscored(sys.argv[1:] if argv is None else argv)
    args = make_parser(argv).parse_args(argv)
    if hasattr(sys.stdout, "reconfigure"):  # names of files may be no text; they are written as the bytes that they are
        sys.stdout.reconfigure(errors="surrogateescape")
    try:
        status = args.run(args)
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # the reader of our output has gone, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        if args.debug:
            raise
        print(f"llm-codec: interrupted{args.goes_on}.", file=sys.stderr)
        return INTERRUPTED
    except user_errors() as error:
        if args.debug:
            raise
        return report(error)


def make_parser(argv: Sequence[str]) -> argparse.ArgumentParser:
    """
    Makes the parser of some arguments: it knows every command, and the options of the one that the arguments name.

    Args:
        argv: The arguments that will be parsed.

    Returns:
        The parser. In what it parses, `run` is the command's function.
    """
    parser = argparse.ArgumentParser(
        prog="llm-codec",
        description="Audio in words of a frozen language model: a codec, and what a language model says about audio.",
        epilog=_examples(("demo", "words bark.wav", "encode bark.wav", "classify bark.wav --examples clips/"))
        + "\nexit status: 0 all went right, 1 something failed, 2 the command line makes no sense\n"
        + "`llm-codec COMMAND --help` says more about a command.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show program's version number and exit")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    named = next((argument for argument in argv if not argument.startswith("-")), None)
    for name in COMMANDS:
        module = import_module(f".{name}", __name__)
        command = commands.add_parser(
            name,
            help=module.TITLE.rstrip("."),
            description=f"{module.TITLE}\n{module.DETAILS}",
            epilog=_examples(module.EXAMPLES),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if name == named:
            goes_on = getattr(module, "GOES_ON", None)
            command.set_defaults(run=module.run, goes_on=f"; {goes_on}" if goes_on else "")
            command.add_argument("--debug", action="store_true", help="show the traceback of an error")
            module.add_arguments(command)
    return parser


class _Version(argparse.Action):
    """Prints the version, which is looked up only then."""

    def __call__(self, parser, namespace, values, option_string=None):
        from importlib.metadata import PackageNotFoundError, version

        try:
            print("llm-codec", version("llm-codec-hf"))
        except PackageNotFoundError:
            print("llm-codec, version unknown: the package llm-codec-hf is not installed")
        parser.exit()


def _examples(lines: Sequence[str]) -> str:
    return "examples:\n" + "".join(f"  llm-codec {line}\n" for line in lines)


__all__ = ["main"]
