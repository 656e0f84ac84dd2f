# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""What the commands of `llm-codec` do. Each imports what it needs of torch and transformers when it runs."""

import contextlib
import json
import os
import sys
from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import zip_longest
from pathlib import Path

from safetensors import SafetensorError

DEFAULT_MODEL = "embedded_default"  # how files of codes name the codec that ships with the package
USER_ERRORS = (ValueError, OSError, ImportError, SafetensorError)


# ---- The commands


def encode(args: Namespace) -> int:
    from .feature_extraction_llm_codec import LLMCodecFeatureExtractor

    targets = _targets(args, ".safetensors")
    model, feature_extractor = _load_model(args), LLMCodecFeatureExtractor.from_pretrained(_model_path(args))

    def encode_file(path: Path) -> None:
        clip = _encode_file(path, model, feature_extractor, args)
        with _new_file(targets[path]) as temporary:
            clip.save(temporary)
        print(targets[path])

    return _for_each(targets, encode_file, args)


def decode(args: Namespace) -> int:
    from .audio_llm_codec import write_wav
    from .files.encoded_clip import decode_clip

    # beside the codes there may be the audio that they were made of
    targets = _targets(args, ".wav" if args.output else ".decoded.wav")
    model = _load_model(args)

    def decode_file(path: Path) -> None:
        clip = _load_codes(path, model.config, args)
        blocks = decode_clip(model, clip)
        with _new_file(targets[path]) as temporary, _progress(path, blocks, clip.length, clip.sampling_rate) as blocks:
            write_wav(temporary, blocks, clip.sampling_rate)
        print(targets[path])

    return _for_each(targets, decode_file, args)


def words(args: Namespace) -> int:
    from .processing_llm_codec import LLMCodecProcessor

    path = args.audio_or_codes
    _check_file(path)
    config, processor = _load_config(args), LLMCodecProcessor.from_pretrained(_model_path(args))
    if path.suffix == ".safetensors":
        clip = _named(path, lambda path: _load_codes(path, config, args))
    else:
        model = _load_model(args)
        clip = _named(path, lambda path: _encode_file(path, model, processor.feature_extractor, args))
    for layer in processor.codes_to_words(clip.audio_codes, args.layers):
        print(_on_one_line(" ".join(layer)))
    return 0


def classify(args: Namespace) -> int:
    examples = _examples(args.examples, args.labels, args.shots)
    if args.model and not args.language_model:
        raise ValueError("--model needs --language_model too: the one whose words the codec writes.")
    from transformers import pipeline

    from .embedded import default_language_model

    _load_config(args)  # a model of another kind is refused
    pipe = pipeline(
        "audio-fewshot",
        model=_model_path(args),
        language_model=args.language_model or str(default_language_model()),
        device=_device(args.device),
    )
    answers = pipe(
        [_named(path, pipe.load_audio) for path in args.query],
        examples=[(_named(path, pipe.load_audio), label) for path, label in examples],
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


def evaluate(args: Namespace) -> int:
    try:
        from .evaluation.command import run
    except ImportError as error:
        raise ImportError(f"{error}: evaluation needs `pip install 'llm-codec-hf[eval]'`.") from error

    for line in run(args):
        print(line, flush=True)
    return 0


def train(args: Namespace) -> int:
    from .training.command import run

    try:
        for line in run(args):
            print(line, flush=True)
    except ModuleNotFoundError as error:
        raise ImportError(f"{error}: training needs `pip install 'llm-codec-hf[train]'`.") from error
    return 0


def convert(args: Namespace) -> int:
    from llm_codec_hf.conversion.convert import main

    try:
        main(args.arguments)
    except SystemExit as end:
        if isinstance(end.code, str):
            raise ValueError(end.code.removeprefix("error: ")) from end
        raise
    return 0


def demo(args: Namespace) -> int:
    from .embedded.demo import run

    for line in run(args.output_dir):
        print(line, flush=True)
    return 0


# ---- Models


def _model_path(args: Namespace) -> str:
    from .embedded import default_codec

    return args.model or str(default_codec())


def _load_config(args: Namespace):
    from transformers import AutoConfig

    from .configuration_llm_codec import LLMCodecConfig

    try:
        config = AutoConfig.from_pretrained(_model_path(args))
    except (OSError, ValueError) as error:
        raise ValueError(f"--model {_model_path(args)}: {error}") from error
    if not isinstance(config, LLMCodecConfig):
        raise ValueError(f"--model {_model_path(args)}: this is a {config.model_type}, not an llm_codec.")
    return config


def _load_model(args: Namespace):
    from .modeling_llm_codec import LLMCodecModel

    config, device = _load_config(args), _device(args.device)
    return LLMCodecModel.from_pretrained(_model_path(args), config=config, use_safetensors=True).to(device).eval()


def _device(name: str | None):
    import torch

    if name is None:
        return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:  # an AssertionError where torch is built without CUDA
        raise ValueError(f"--device {name}: {str(error).splitlines()[0]}") from error


# ---- Files


def _encode_file(path: Path, model, feature_extractor, args: Namespace):
    """An audio file's codes, if its rate and channels are the codec's or --resample and --channels say what to do."""
    from .audio_llm_codec import open_audio, read_blocks
    from .files.encoded_clip import BLOCK_S, encode_clip

    with open_audio(path) as audio:
        rate, expected = audio.samplerate, feature_extractor.sampling_rate
        needed = [] if args.resample or rate == expected else ["--resample"]
        needed += [] if args.channels is not None or audio.channels == 1 else ["--channels mean"]
        if needed:
            raise ValueError(
                f"The audio has {audio.channels} channel(s) at {rate} Hz, the codec takes one at {expected} Hz: "
                f"add {' '.join(needed)}."
            )
        model_id = args.model or DEFAULT_MODEL
        with _progress(path, read_blocks(audio, BLOCK_S * rate), audio.frames, rate) as blocks:
            return encode_clip(model, feature_extractor, blocks, rate, model_id, args.resample, args.channels)


def _load_codes(path: Path, config, args: Namespace):
    """A file of codes, if this codec wrote them, as far as can be told."""
    from .files.encoded_clip import EncodedClip

    clip = EncodedClip.load(path)
    if not args.model and clip.model != DEFAULT_MODEL:
        raise ValueError(f"The codes were written by another codec: add --model {clip.model}.")
    clip.check_fits(config)
    return clip


def _check_file(path: Path) -> None:
    if not path.is_file():
        raise ValueError(f"There is no file {str(path)!r}.")


def _targets(args: Namespace, suffix: str) -> dict[Path, Path]:
    """The file to write for each input; what can be refused is refused here, before a model is loaded."""
    output = Path(args.output) if args.output else None
    is_folder = output and (len(args.files) > 1 or output.is_dir() or args.output.endswith(("/", os.sep)))
    targets, sources = {}, {}
    for path in args.files:
        _check_file(path)
        target = output / path.with_suffix(suffix).name if is_folder else output or path.with_suffix(suffix)
        if sources.setdefault(target, path) != path:
            raise ValueError(f"{sources[target]} and {path} would both be written to {target}.")
        if target in args.files:
            raise ValueError(f"{target} is an input; choose another --output.")
        if target.exists() and not args.force:
            raise ValueError(f"{target} exists; choose another --output, or add --force to overwrite it.")
        targets[path] = target
    return targets


@contextlib.contextmanager
def _new_file(path: Path) -> Iterator[Path]:
    """A temporary name beside a path, which becomes the path once all is written, and vanishes otherwise."""
    from .files.atomic import whole_file

    with whole_file(path) as temporary:
        yield temporary


def _examples(folder: Path, labels: list[str] | None, shots: int | None) -> list[tuple[str, str]]:
    """Pairs of a clip's path and its label: the first clip of each label, then the second of each, …"""
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
        raise ValueError(f"{folder} has no subfolders; it takes one a label, with its clips in it.")
    return [pair for shot in zip_longest(*clips.values()) for pair in shot if pair]


def _visible(folder: Path) -> Iterator[Path]:
    return (path for path in folder.iterdir() if not path.name.startswith("."))


# ---- Errors, text


def _named(path: str | Path, job: Callable):
    """Does a job for a file, whose name goes before the message of what fails."""
    try:
        return job(path)
    except BrokenPipeError:
        raise
    except (*USER_ERRORS, RuntimeError) as error:  # decoders of audio raise RuntimeErrors
        raise ValueError(f"{path}: {error}") from error


def _for_each(paths: Sequence[Path], job: Callable[[Path], None], args: Namespace) -> int:
    """Does a job for every file; one that fails is reported and the others go on.

    Returns:
        The exit status.
    """
    from transformers.utils import logging

    status = 0
    # on a terminal the results show the progress
    for path in logging.tqdm(paths, disable=True if len(paths) == 1 or sys.stdout.isatty() else None):
        try:
            _named(path, job)
        except ValueError as error:
            if args.debug:
                raise
            status = report(error)
    return status


@contextlib.contextmanager
def _progress(path: Path, blocks: Iterable, length: int, sampling_rate: int) -> Iterator[Iterator]:
    """Blocks of samples, whose passing a bar shows on a terminal, in seconds, if they are several."""
    from transformers.utils import logging

    from .files.encoded_clip import BLOCK_S

    seconds = length // sampling_rate
    disable = None if seconds >= 2 * BLOCK_S else True
    with logging.tqdm(total=seconds, unit="s", desc=path.name, leave=False, disable=disable) as bar:

        def passing():
            passed = 0
            for block in blocks:
                yield block
                seconds = passed // sampling_rate
                passed += block.shape[-1]
                bar.update(passed // sampling_rate - seconds)

        yield passing()


def report(error: Exception) -> int:
    """Says on stderr, on one line, what went wrong.

    Returns:
        The exit status.
    """
    print("llm-codec: error:", " ".join(str(error).split()), file=sys.stderr)
    return 2


def _on_one_line(text: str) -> str:
    """Line ends and control characters, which tokens may hold, as escapes."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
