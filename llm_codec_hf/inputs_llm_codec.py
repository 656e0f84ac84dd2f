# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Clips and labels in the forms that people bring: told from lists of them, read, and named in errors."""

import numbers
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from .audio_llm_codec import AUDIO_SUFFIXES, read_audio

FORMS = (
    "a path, an URL, the bytes of a file, an open binary file, an array of samples at the codec's rate, (rate, array), "
    "or a dict or row of `datasets` with `array` and `sampling_rate`, `bytes` or `path`"
)


@dataclass(frozen=True)
class Clip:
    """A clip as it came, and what errors call it: "Clip 3"."""

    audio: Any
    name: str


def is_one_clip(value: Any) -> bool:
    """Whether a value is one clip, rather than several."""
    if isinstance(value, (str, os.PathLike, bytes, bytearray, memoryview, Mapping, torch.Tensor)):
        return True
    if hasattr(value, "read") or hasattr(value, "get_all_samples"):
        return True
    if isinstance(value, np.ndarray):
        return value.dtype != object
    if isinstance(value, (list, tuple)):
        return _rate_and_samples(value) is not None or bool(value) and isinstance(value[0], numbers.Real)
    return False


def several(values: Any, what: str) -> Sequence | Iterator:
    """
    What holds several clips, as a sequence whose items are read when they are asked for, or as an iterator.

    Args:
        values: A list, a tuple, a column, a series, a dataset, or anything that can be iterated over.
        what: What errors call it.

    Raises:
        ValueError: for a table, and for what cannot be iterated over.
    """
    if hasattr(values, "iterrows"):  # a table of pandas, whose items are names of columns
        raise ValueError(f"{what} is a table: pass one of its columns, such as `table['audio']`.")
    if hasattr(values, "iloc"):  # a series of pandas, whose indices are labels
        return list(values)
    if getattr(values, "ndim", 1) > 0:  # an array of NumPy or PyTorch may be a number
        if isinstance(values, Sequence) or hasattr(values, "__len__") and hasattr(values, "__getitem__"):
            return values
        if isinstance(values, Iterable):
            return iter(values)
    raise ValueError(f"{what} is {FORMS}, or several of these; got {type(values).__name__}.")


def items(values: Iterable) -> Iterator:
    """The items of what holds several clips; an ImportError of `datasets`, which decodes by torchcodec, says more."""
    iterator = iter(values)
    while True:
        try:
            yield next(iterator)
        except StopIteration:
            return
        except ImportError as error:
            raise undecoded(error) from error


def undecoded(error: ImportError) -> ImportError:
    """The ImportError of a dataset that cannot decode its audio, with what does without that package."""
    return ImportError(f"{error} Or leave it undecoded: `dataset.cast_column('audio', datasets.Audio(decode=False))`.")


def read_clip(clip: Any, name: str, feature_extractor, channels: str | int | None = None) -> np.ndarray:
    """
    Reads a clip in any form.

    Args:
        clip: The clip; see [`FORMS`].
        name: What errors call it.
        feature_extractor ([`LLMCodecFeatureExtractor`]): Checks the audio, and resamples it.
        channels (`str` or `int`, *optional*): What to take of several channels: "mean", or the number of one. By
            default the mean of a file's, while arrays of several are refused.

    Returns:
        `np.ndarray`: `(samples,)` at the extractor's rate.

    Raises:
        ValueError: naming the clip, for what is no audio that can be used.
        OSError: naming it, for a file that cannot be read.
        ImportError: naming it, where a package is missing.
    """
    try:
        array, rate, is_file = _samples(clip, feature_extractor.sampling_rate)
    except ImportError as error:
        raise ImportError(f"{name}: {error}") from error
    except OSError as error:
        raise OSError(f"{name}: {error}") from error
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: {error}") from error
    channels = "mean" if is_file and channels is None else channels
    full = _with_path(clip, name)
    try:
        return feature_extractor.prepare(array, rate, resample=True, channels=channels, name=full)
    except ValueError as error:
        raise error if str(error).startswith(full) else ValueError(f"{full}: {error}") from error


def _samples(clip: Any, rate: int) -> tuple[Any, Any, bool]:
    """Samples and rate of a clip, and whether they are of a file."""
    if isinstance(clip, Mapping):
        return _of_dict(clip, rate)
    if hasattr(clip, "get_all_samples"):  # a decoder of `datasets`
        samples = clip.get_all_samples()
        return samples.data, samples.sample_rate, True
    if isinstance(clip, (str, os.PathLike, bytes, bytearray, memoryview)) or hasattr(clip, "read"):
        return *read_audio(_source(clip)), True
    if isinstance(clip, (list, tuple)) and (pair := _rate_and_samples(clip)):
        return *pair, False
    if isinstance(clip, (np.ndarray, torch.Tensor)) or isinstance(clip, (list, tuple)) and len(clip):
        return clip, rate, False
    kind = f"an empty {type(clip).__name__}" if isinstance(clip, (list, tuple)) else type(clip).__name__
    raise ValueError(f"a clip is {FORMS}; got {kind}.")


def _of_dict(clip: Mapping, rate: int) -> tuple[Any, Any, bool]:
    array = next((clip[key] for key in ("raw", "array") if clip.get(key) is not None), None)
    if array is not None:
        if clip.get("sampling_rate") is None:
            raise ValueError(f"a clip's dict with samples needs `sampling_rate`, in Hz; got the keys {list(clip)}.")
        return array, clip["sampling_rate"], False
    # as `datasets` has it undecoded; or a row of it
    for key, kinds in {"bytes": (bytes, bytearray, memoryview), "path": (str, os.PathLike), "audio": object}.items():
        if (value := clip.get(key)) is not None:
            if not isinstance(value, kinds):
                raise ValueError(f"`{key}` of a clip's dict is of type {type(value).__name__}.")
            return _samples(value, rate)
    raise ValueError(
        f"a clip's dict has `array` (or `raw`) and `sampling_rate`, or `bytes` or `path` of a file; got the keys "
        f"{list(clip)}{' without values' if {'array', 'raw', 'bytes', 'path', 'audio'} & set(clip) else ''}."
    )


def _source(clip: Any) -> Any:
    """A file as `read_audio` takes it, where it is there."""
    if not isinstance(clip, (str, os.PathLike)) or str(clip).startswith(("http://", "https://")):
        return clip
    if os.path.isdir(clip):
        raise ValueError(f"{os.fspath(clip)!r} is a folder: pass the files in it.")
    if not os.path.exists(clip):
        raise ValueError(f"There is no audio file {os.fspath(clip)!r}.")
    return clip


def _rate_and_samples(pair: Sequence) -> tuple[Any, int] | None:
    """Samples and rate of a pair of these, as gradio and scipy give `(rate, array)` and torchaudio `(tensor, rate)`."""
    if len(pair) != 2:
        return None
    for rate, array in (pair, pair[::-1]):
        if isinstance(rate, numbers.Integral) and isinstance(array, (np.ndarray, torch.Tensor)):
            if rate is pair[0] and array.ndim == 2:  # channels last
                array = array.T
            return array, int(rate)
    return None


def _with_path(clip: Any, name: str) -> str:
    """What an error about samples calls a clip: its name, and its path where it has one."""
    if isinstance(clip, Mapping):
        clip = clip["audio"] if clip.get("path") is None and "audio" in clip else clip.get("path")
    path = clip if isinstance(clip, (str, os.PathLike)) else getattr(clip, "name", None)  # of an open file
    return f"{name} ({os.fspath(path)!r:.200})" if isinstance(path, (str, os.PathLike)) else name


@torch.no_grad()
def encode_clips(codec, feature_extractor, clips: list[np.ndarray]) -> list[torch.LongTensor]:
    """
    Codes of clips, each what it has alone.

    Args:
        codec ([`LLMCodecModel`]): The codec, on its device.
        feature_extractor ([`LLMCodecFeatureExtractor`]): The codec's.
        clips (`list[np.ndarray]`): float32 `(samples,)` each, at the codec's rate, as the extractor's `prepare` and
            [`read_clip`] give them.

    Returns:
        `list[torch.LongTensor]`: `(codes_per_group, groups)` of each, on the CPU.

    Raises:
        ValueError: for clips that are not of this kind, and for none.
    """
    if not len(clips):
        raise ValueError("There are no clips to encode: pass a list of arrays of samples.")
    inputs = feature_extractor.pad_clips(clips, return_tensors="pt").to(codec.device)
    output = codec.encode(**inputs)
    return [codes[:, mask.bool()].cpu() for codes, mask in zip(output.audio_codes, output.audio_codes_mask)]


def names_audio(text: str) -> bool:
    """Whether a text names audio, rather than being one: an URL, a file, or what looks like a file of audio."""
    suffix = os.path.splitext(text)[1].lower()
    return text.startswith(("http://", "https://")) or os.path.isfile(text) or suffix in AUDIO_SUFFIXES


# ---- Examples and labels


def example_pairs(examples: Any) -> list[tuple[Any, Any]]:
    """
    Examples as a list of pairs, read once.

    Args:
        examples: Any iterable of pairs of a clip and its label (or of what is asked and what is answered), or of rows
            with `audio` and `label`; class labels of a dataset get their names.

    Raises:
        ValueError: for none, and for what is no pair, with its number.
    """
    usage = "pass pairs of a clip and its label, such as [('bark.wav', 'dog')]"
    if isinstance(examples, Mapping) and not hasattr(examples, "features"):
        raise ValueError(f"`examples` is a dict: {usage}; `.items()` gives pairs of a dict.")
    if examples is None or is_one_clip(examples) and not isinstance(examples, (np.ndarray, list, tuple)):
        raise ValueError(f"`examples` is empty: {usage}." if examples is None else f"`examples` is one clip: {usage}.")
    names = getattr((getattr(examples, "features", None) or {}).get("label"), "names", None)
    pairs = []
    for i, example in enumerate(items(several(examples, "`examples`"))):
        if isinstance(example, Mapping):
            if not {"audio", "label"} <= set(example):
                raise ValueError(f"Example {i} has the columns {list(example)}, not `audio` and `label`: {usage}.")
            label = example["label"]
            is_number = isinstance(label, numbers.Integral) and not isinstance(label, bool)
            pairs.append((example["audio"], names[label] if names and is_number and 0 <= label < len(names) else label))
            continue
        is_pair = isinstance(example, (tuple, list)) or isinstance(example, np.ndarray) and example.ndim == 1
        if not is_pair or len(example) != 2:
            raise ValueError(f"Example {i} is no pair but {_shown(example)}: {usage}.")
        pairs.append(tuple(example))
    if not pairs:
        raise ValueError(f"`examples` is empty: {usage}.")
    return pairs


def _shown(value: Any) -> str:
    """A value in an error, short."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else f"{text[:80]} …"


def named_labels(given: Sequence[Any], candidates: Any = None) -> tuple[list[str], list[str]]:
    """
    Labels of examples, and the labels to choose from, as texts.

    Args:
        given (`Sequence`): The label of each example: a text, or the number of a class label.
        candidates (*optional*): The labels to choose from, in their order, or a `ClassLabel` of `datasets`; a number is
            then the place of its label. By default those of the examples, numbers as they are written.

    Raises:
        ValueError: for what is no label, with its number; for candidates that are none or twice the same, and for an
            example whose label is not among them.
    """
    if candidates is not None:
        candidates = _candidates(candidates)
    labels = [_text(label, f"The label of example {i}") for i, label in enumerate(given)]
    if candidates is None:
        return labels, list(dict.fromkeys(labels))
    for i, label in enumerate(given):
        if not isinstance(label, str) and labels[i] not in candidates and int(labels[i]) < len(candidates):
            labels[i] = candidates[int(labels[i])]
    if strangers := sorted(set(labels) - set(candidates)):
        raise ValueError(f"The examples have labels that are not among `candidate_labels` {candidates}: {strangers}.")
    return labels, candidates


def _candidates(candidates: Any) -> list[str]:
    candidates = getattr(candidates, "names", candidates)  # of a ClassLabel
    is_list = isinstance(candidates, Iterable) and getattr(candidates, "ndim", 1) > 0
    if not is_list or isinstance(candidates, (str, Mapping, set, frozenset)):
        kind = "one text" if isinstance(candidates, str) else f"of type {type(candidates).__name__}"
        raise ValueError(
            f"`candidate_labels` is a list of labels, such as ['dog', 'cat']; it is {kind}: {_shown(candidates)}."
        )
    labels = [_text(label, f"Label {i} of `candidate_labels`") for i, label in enumerate(candidates)]
    if not labels:
        raise ValueError("`candidate_labels` is empty: pass labels to choose from, or None for those of the examples.")
    if twice := sorted({label for label in labels if labels.count(label) > 1}):
        raise ValueError(f"`candidate_labels` has {twice} more than once: pass each label once.")
    return labels


def _text(label: Any, what: str) -> str:
    if isinstance(label, (np.ndarray, torch.Tensor)) and label.ndim == 0:
        label = label.item()
    if isinstance(label, str) and label.strip():
        return str(label)
    if isinstance(label, numbers.Integral) and not isinstance(label, bool) and label >= 0:
        return str(int(label))
    hint = ", which is how `datasets` writes none" if label in (None, -1) else ""
    raise ValueError(f"{what} is a text or the number of a class label; got {_shown(label)}{hint}.")


__all__ = [
    "Clip",
    "encode_clips",
    "example_pairs",
    "is_one_clip",
    "items",
    "named_labels",
    "names_audio",
    "read_clip",
    "several",
    "undecoded",
]
