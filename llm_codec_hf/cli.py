# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""
The command line, `llm-codec`: audio to words of a language model, words to audio, and answers about audio.

Results go to stdout, a line each; what went wrong goes to stderr, a line each, and the exit status is then 2.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from . import __version__, cli_commands


def main(argv: Sequence[str] | None = None) -> int:
    """
    Runs the command line.

    Args:
        argv: The arguments; those of the process by default.

    Returns:
        The exit status: 0, or 2 where something went wrong.
    """
    parser = make_parser()
    args, args.arguments = parser.parse_known_args(argv)
    args.given = list(sys.argv[1:] if argv is None else argv)[1:]
    if args.arguments and args.run is not cli_commands.convert:
        parser.error(f"unrecognized arguments: {' '.join(args.arguments)}")
    try:
        status = args.run(args)
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # the reader of our output has gone, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except cli_commands.USER_ERRORS as error:
        if args.debug:
            raise
        return cli_commands.report(error)


def make_parser() -> argparse.ArgumentParser:
    """The parser; in what it parses, `run` is the command's function."""
    parser = argparse.ArgumentParser(
        prog="llm-codec",
        description="Audio in words of a frozen language model: a codec, and what a language model says about audio.",
        epilog=_examples("demo", "words bark.wav", "encode bark.wav", "classify bark.wav --examples clips/")
        + "\n`llm-codec COMMAND --help` says more about a command.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"llm-codec {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    command = _add(
        commands,
        cli_commands.encode,
        "Encodes audio to files of codes.",
        "Prints the files' names.",
        "encode bark.wav",
        "encode music.flac --resample --channels mean --output music.safetensors",
        "encode clips/*.wav --output codes/",
    )
    command.add_argument("files", nargs="+", type=Path, metavar="AUDIO", help="wav, flac, ogg, mp3, …")
    _add_model(command)
    _add_output(command, "bark.safetensors beside bark.wav")
    _add_audio(command)

    command = _add(
        commands,
        cli_commands.decode,
        "Decodes files of codes to wav.",
        "The wav is 16-bit, at the codec's rate, of the length that was encoded. Prints the files' names.",
        "decode bark.safetensors",
        "decode bark.safetensors --output again.wav",
        "decode codes/*.safetensors --output decoded/",
    )
    command.add_argument("files", nargs="+", type=Path, metavar="CODES", help="what `llm-codec encode` wrote")
    _add_model(command)
    _add_output(command, "bark.decoded.wav beside bark.safetensors")

    command = _add(
        commands,
        cli_commands.words,
        "Prints the words of a clip.",
        "A line a layer: words of the first layer, tokens of the others.",
        "words bark.wav",
        "words bark.safetensors --layers 0",
    )
    command.add_argument(
        "audio_or_codes", type=Path, metavar="AUDIO_OR_CODES", help="audio, or a .safetensors of codes"
    )
    command.add_argument("--layers", type=layers, help="the layers to print, such as 0,2; all by default")
    _add_model(command)
    _add_audio(command)

    command = _add(
        commands,
        cli_commands.classify,
        "Labels audio by examples.",
        "A language model reads the examples and scores every label. Prints label and score, best first,\n"
        "with a tab between, and the query's name before them if there are several. Takes audio of any rate.",
        "classify bark.wav --examples clips/",
        "classify a.wav b.wav --examples clips/ --labels dog,cat --shots 3 --json",
        "classify bark.wav --examples clips/ --model OUT --language_model meta-llama/Llama-2-7b-hf",
    )
    command.add_argument("query", nargs="+", metavar="QUERY", help="audio files or URLs")
    command.add_argument("--examples", required=True, type=Path, metavar="DIR", help="a subfolder of clips a label")
    command.add_argument("--labels", type=labels, metavar="A,B", help="labels to choose from; all by default")
    command.add_argument("--shots", type=count, metavar="N", help="examples a label, first by name; all by default")
    command.add_argument("--layers", type=layers, default=(0,), help="layers in the prompt: 0 (default), or 0,1,2")
    command.add_argument("--no-instruction", action="store_true", help="leave out the sentence that names the labels")
    command.add_argument("--json", action="store_true", help="print a JSON object a query")
    _add_model(command)
    command.add_argument("--language_model", metavar="LM", help="the language model, an id or a folder")

    command = _add(
        commands,
        cli_commands.evaluate,
        "Measures few-shot accuracy, and how sure it is.",
        "Draws episodes, asks the language model and its controls, and writes a folder: every answer, a summary and a\n"
        "report with pictures. A run that was stopped goes on where it stopped. Prints the report's name.",
        "evaluate --list",
        "evaluate percussion --root AUDIO/tasks --output_dir results",
        "evaluate clips/ --ways 2 --shots 1 3 5 --episodes 100 --output_dir results",
        "evaluate --scp acc_9way_1_shot.scp",
        "evaluate clips/ --server http://127.0.0.1:8000/v1 --output_dir results",
    )
    command.add_argument("tasks", nargs="*", metavar="TASK", help="a task's name, its YAML file, or a folder of clips")
    command.add_argument("--list", action="store_true", help="print the tasks that ship with the package")
    command.add_argument("--root", metavar="DIR", help="the folder that the tasks' folders of clips are in")
    command.add_argument("--scp", metavar="FILE", help="episodes of the original's kind; says what they are worth")
    command.add_argument(
        "--audio_root", metavar="DIR", help="what the entries of --scp are relative to; then asks them"
    )
    command.add_argument("--output_dir", metavar="DIR", help="the folder to write, or to go on with")
    command.add_argument("--ways", type=count, nargs="+", metavar="N", help="labels to choose from")
    command.add_argument("--shots", type=count, nargs="+", metavar="K", help="examples a label")
    command.add_argument("--episodes", type=count, metavar="N", help="episodes of each number of ways and of shots")
    command.add_argument("--queries_per_support", type=count, metavar="N", help="queries that share their examples")
    command.add_argument("--repeats", type=count, metavar="N", help="how often the examples stand in the prompt")
    command.add_argument("--seconds", type=float, metavar="S", help="how much of a clip is taken")
    command.add_argument("--layers", type=layers, help="layers of the codec in the prompt, such as 0 or 0,1,2")
    command.add_argument("--seed", type=int, metavar="N", help="of the episodes")
    command.add_argument("--no-instruction", action="store_true", help="leave out the sentence that names the labels")
    command.add_argument("--template", metavar="JSON", help="fields of a FewShotTemplate, as JSON")
    command.add_argument(
        "--scoring", metavar="S", default="support_shuffled", help="what stands for the model; by default %(default)s"
    )
    command.add_argument(
        "--generated", nargs="*", default=(), metavar="G", help="ways besides: generated, prefix_match, uniaudio"
    )
    command.add_argument("--temperature", type=float, default=0.0, metavar="T", help="of audio answers; 0 by default")
    command.add_argument("--top_p", type=float, default=1.0, metavar="P", help="of audio answers that are drawn")
    command.add_argument("--language_model", metavar="LM", help="the language model, an id or a folder")
    command.add_argument("--dtype", default="auto", metavar="T", help="of the language model: bfloat16, float32, …")
    command.add_argument("--server", metavar="URL", help="ask a served model; its key from OPENAI_API_KEY, if any")
    command.add_argument("--batch_size", type=count, default=64, metavar="N", help="prompts at once, at most")
    command.add_argument("--num_processes", type=count, default=1, metavar="N", help="processes, by accelerate")
    _add_model(command)

    from .training.configuration import arguments

    command = _add(
        commands,
        cli_commands.train,
        "Trains a codec for a language model.",
        "On a folder of audio or a dataset, from the run's checkpoint where there is one. Prints the codec's folder.\n"
        "Several processes: `accelerate launch -m llm_codec_hf.cli train ...`.",
        "train --data clips/ --output_dir run",
        "train config.yaml --data clips/ --output_dir run --language_model meta-llama/Llama-3.2-1B",
        parents=[arguments()],
    )
    command.add_argument("config", nargs="?", metavar="YAML", help="a file of these options, which arguments override")
    _add(
        commands,
        cli_commands.convert,
        "Converts a checkpoint of the original implementation.",
        "Takes the options of `python -m conversion.convert_original_checkpoint`, whose --help lists them.",
        "convert --checkpoint_path X.pth --config_path X.yaml --words_path X.npy --tokenizer X.model --output_dir OUT",
        usage="llm-codec convert [-h] [--debug] OPTION...",
        allow_abbrev=False,
    )
    command = _add(
        commands,
        cli_commands.demo,
        "Runs the demo.",
        "Real clips: their words, the language model's answers, and a reconstruction with a picture of it.",
        "demo",
        "demo --output_dir out",
    )
    command.add_argument(
        "--output_dir", type=Path, default=Path("llm-codec-demo"), metavar="DIR", help="by default %(default)s"
    )
    return parser


def _add(
    commands, run: Callable[[argparse.Namespace], int], title: str, more: str, *examples: str, **kwargs
) -> argparse.ArgumentParser:
    """Adds a command, of the name of its function."""
    command = commands.add_parser(
        run.__name__,
        help=title.rstrip("."),
        description=f"{title}\n{more}",
        epilog=_examples(*examples),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        **kwargs,
    )
    command.set_defaults(run=run)
    command.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return command


def _examples(*lines: str) -> str:
    return "examples:\n" + "".join(f"  llm-codec {line}\n" for line in lines)


def _add_model(command: argparse.ArgumentParser) -> None:
    command.add_argument("--model", metavar="M", help="the codec, an id or a folder; the embedded one by default")
    command.add_argument("--device", metavar="D", help="cpu, cuda, cuda:1, …; an accelerator if there is one")


def _add_output(command: argparse.ArgumentParser, default: str) -> None:
    command.add_argument(
        "--output",
        metavar="OUT",
        help=f"file to write, or for several inputs the folder to write to; by default {default}",
    )
    command.add_argument("--force", action="store_true", help="overwrite files that exist")


def _add_audio(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--resample", action="store_true", help="resample audio of another rate, rather than refuse it"
    )
    command.add_argument(
        "--channels",
        type=channels,
        metavar="mean|N",
        help="average several channels, or take number N, counted from 0; refused by default",
    )


# ---- Types of arguments: argparse puts their names into its messages


def layers(text: str) -> tuple[int, ...]:
    return tuple(int(layer) for layer in text.split(","))


def labels(text: str) -> list[str]:
    return text.split(",")


def channels(text: str) -> str | int:
    return text if text == "mean" else int(text)


def count(text: str) -> int:
    if int(text) < 1:
        raise ValueError
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
