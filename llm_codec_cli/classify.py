# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""`llm-codec classify`."""

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

from .codec import find_device, load_config, model_path
from .errors import named
from .options import add_model, count, labels, layers

TITLE = "Labels audio by examples."
DETAILS = (
    "A language model reads the examples and scores every label. Prints label and score, best first,\n"
    "with a tab between, and the query's name before them if there are several. Takes audio of any rate."
)
EXAMPLES = (
    "classify bark.wav --examples clips/",
    "classify a.wav b.wav --examples clips/ --labels dog,cat --shots 3 --json",
    "classify bark.wav --examples clips/ --model OUT --language_model meta-llama/Llama-2-7b-hf",
)


def add_arguments(parser: ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument("query", nargs="+", metavar="QUERY", help="audio files or URLs")
    parser.add_argument("--examples", required=True, type=Path, metavar="DIR", help="a subfolder of clips per label")
    parser.add_argument("--labels", type=labels, metavar="A,B", help="labels to choose from; all by default")
    parser.add_argument("--shots", type=count, metavar="N", help="examples per label, first by name; all by default")
    parser.add_argument("--layers", type=layers, default=(0,), help="layers in the prompt: 0 (default), or 0,1,2")
    parser.add_argument("--no_instruction", action="store_true", help="leave out the sentence that names the labels")
    parser.add_argument("--json", action="store_true", help="print a JSON object per query")
    add_model(parser)
    parser.add_argument("--language_model", metavar="LM", help="the language model, an id or a folder")


def run(args: Namespace) -> int:
    """Runs the command."""
    examples = find_examples(args.examples, args.labels, args.shots)
    if args.model and not args.language_model:
        raise ValueError("--model needs --language_model too: the one whose words the codec writes.")
    from transformers import pipeline

    from llm_codec_hf.embedded import default_language_model

    load_config(args)  # a model of another kind is refused
    pipe = pipeline(
        "audio-fewshot",
        model=model_path(args),
        language_model=args.language_model or str(default_language_model()),
        device=find_device(args.device),
    )
    answers = pipe(
        [named(path, pipe.load_audio) for path in args.query],
        examples=[(named(path, pipe.load_audio), label) for path, label in examples],
        instruction=not args.no_instruction,
        layers=args.layers,
    )
    for path, answer in zip(args.query, answers):
        if args.json:
            print(json.dumps({"audio": path, "labels": answer}, ensure_ascii=False))
            continue
        for line in answer:
            print(*[path] * (len(args.query) > 1), line["label"], f"{line['score']:.4f}", sep="\t")
    return 0


def find_examples(folder: Path, labels: list[str] | None, shots: int | None) -> list[tuple[str, str]]:
    """
    Lists examples in a folder with a subfolder per label.

    Args:
        folder: The folder.
        labels: The labels to take; all by default.
        shots: Clips per label, the first by name; all by default.

    Returns:
        Pairs of a clip's path and its label: the first clip of each label, then the second of each, …

    Raises:
        ValueError: If a folder is missing, or a label has too few clips.
    """
    if not folder.is_dir():
        raise ValueError(f"There is no folder {str(folder)!r}.")
    clips = {}
    for label in labels or sorted(path.name for path in _visible(folder) if path.is_dir()):
        if not (folder / label).is_dir():
            raise ValueError(f"There is no label {label!r}: {folder} has no such subfolder.")
        files = sorted(path for path in _visible(folder / label) if path.is_file())
        if len(files) < (shots or 1):
            raise ValueError(f"The label {label!r} has {len(files)} clips, {shots or 1} wanted.")
        clips[label] = [(str(path), label) for path in files[:shots]]
    if not clips:
        raise ValueError(f"{folder} has no subfolders; it takes one per label, with its clips in it.")
    return [pair for shot in zip_longest(*clips.values()) for pair in shot if pair]


def _visible(folder: Path) -> Iterator[Path]:
    return (path for path in folder.iterdir() if not path.name.startswith("."))
