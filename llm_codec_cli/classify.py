# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""`llm-codec classify`."""

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

from .clips import is_audio
from .codec import find_device, load_config, model_path
from .errors import UsageError, named, note, report
from .inputs import HELP, Input, find_inputs
from .options import add_model, count, labels, layers

TITLE = "Labels audio by examples."
DETAILS = (
    "A language model reads the examples and scores every label. Prints label and score, best first,\n"
    "with a tab between, and the query's name before them if there are several. Takes audio of any rate.\n"
    "A bad query stops no other; the status is then 1."
)
EXAMPLES = (
    "classify bark.wav --examples clips/",
    "classify a.wav b.wav --examples clips/ --labels dog,cat --shots 3 --json",
    "classify bark.wav --examples clips/ --model OUT --language_model meta-llama/Llama-2-7b-hf",
    "classify recordings/ --examples clips/",
)


def add_arguments(parser: ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument("query", nargs="+", metavar="QUERY", help="audio files or URLs" + HELP)
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
    if args.model and not args.language_model:
        raise UsageError("--model needs --language_model too: the one whose words the codec writes.")
    examples = find_examples(args.examples, args.labels, args.shots)
    queries, status = find_inputs(args.query, is_audio, "audio", args, urls=True)
    if not queries:
        return status
    from transformers import pipeline

    from llm_codec_hf.embedded import default_language_model

    load_config(args)  # a model of another kind is refused
    pipe = pipeline(
        "audio-fewshot",
        model=model_path(args),
        language_model=args.language_model or str(default_language_model()),
        device=find_device(args.device),
    )
    demonstrations = [(named(path, _load, path, pipe), label) for path, label in examples]
    clips = {}
    for query in queries:
        try:
            clips[query] = named(query.name, _load, query.open(), pipe)
        except ValueError as error:
            if args.debug:
                raise
            status = report(error)
    options = {"examples": demonstrations, "instruction": not args.no_instruction, "layers": args.layers}
    for query, answer in _answers(pipe, clips, options):
        if isinstance(answer, ValueError):
            if args.debug:
                raise answer
            status = report(answer)
        elif args.json:
            content = {"audio": query.name, "labels": answer}
            print(json.dumps(content, ensure_ascii=False, allow_nan=False), flush=True)
        else:
            for line in answer:
                print(*[query.name] * (len(queries) > 1), line["label"], f"{line['score']:.4f}", sep="\t", flush=True)
    return status


def _load(source, pipe):
    """A clip at the codec's rate, the mean of its channels, as the pipeline reads files."""
    from llm_codec_hf.audio_llm_codec import read_audio

    return pipe.feature_extractor.prepare(*read_audio(source), resample=True, channels="mean")


def _answers(pipe, clips: dict, options: dict) -> Iterator[tuple[Input, "list[dict] | ValueError"]]:
    """Each query with its answer, or why it has none. They are asked together, and alone where one of them fails."""
    if not clips:
        return
    try:
        yield from zip(clips, pipe(list(clips.values()), **options), strict=True)
    except (ValueError, RuntimeError) as together:
        for query, clip in clips.items():
            try:
                if len(clips) == 1:
                    raise ValueError(f"{query.name}: {together}") from together
                (answer,) = named(query.name, lambda clip=clip: pipe([clip], **options))
            except ValueError as error:
                answer = error
            yield query, answer


def find_examples(folder: Path, labels: list[str] | None, shots: int | None) -> list[tuple[str, str]]:
    """
    Lists examples in a folder with a subfolder per label. What is no audio by its name is left out, and noted.

    Args:
        folder: The folder.
        labels: The labels to take; all by default.
        shots: Clips per label, the first by name; all by default.

    Returns:
        Pairs of a clip's path and its label: the first clip of each label, then the second of each, …

    Raises:
        UsageError: If a folder is missing, or a label has too few clips.
    """
    if not folder.is_dir():
        raise UsageError(f"There is no folder {str(folder)!r}.")
    clips = {}
    for label in labels or sorted(path.name for path in _visible(folder) if path.is_dir()):
        if not (folder / label).is_dir():
            raise UsageError(f"There is no label {label!r}: {folder} has no such subfolder.")
        paths = sorted(path for path in _visible(folder / label) if path.is_file())
        files = [path for path in paths if is_audio(path)]
        if others := [str(path) for path in paths if path not in files]:
            note(f"left out of the examples, by their names no audio: {', '.join(others)}.")
        if len(files) < (shots or 1):
            raise UsageError(f"The label {label!r} has {len(files)} clips, {shots or 1} wanted.")
        clips[label] = [(str(path), label) for path in files[:shots]]
    if not clips:
        raise UsageError(f"{folder} has no subfolders; it takes one per label, with its clips in it.")
    return [pair for shot in zip_longest(*clips.values()) for pair in shot if pair]


def _visible(folder: Path) -> Iterator[Path]:
    return (path for path in folder.iterdir() if not path.name.startswith("."))
