# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Feature extractor of LLM-Codec: checks audio, makes it mono at one rate, and pads clips to a batch."""

import math
import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from transformers import BatchFeature
from transformers.feature_extraction_sequence_utils import SequenceFeatureExtractor
from transformers.utils import PaddingStrategy, TensorType, logging

from .tensors_llm_codec import MAX_PEAK

try:  # only to resample; the code that travels to the Hub asks for nothing else than torch, transformers and numpy
    import soxr
except ImportError:
    soxr = None

logger = logging.get_logger(__name__)

MAX_RATE = 1_000_000  # Hz
MAX_SAMPLES = 2**31  # of a batch; far more than a model takes at once
UNUSUAL_PEAK = 1.5
CANCELLED = 1e-3  # a mean of channels below this share of their peak (−60 dB): they are each other's opposites
AUDIBLE = 1e-3
INTEGERS = {  # dtype -> its value of silence, and its full scale
    np.dtype(np.int8): (0, 2**7),
    np.dtype(np.uint8): (2**7, 2**7),
    np.dtype(np.int16): (0, 2**15),
    np.dtype(np.int32): (0, 2**31),
}
TAKEN = "an array, a tensor or a list of floats in −1 … 1, or of int8, uint8, int16 or int32 samples"


class LLMCodecFeatureExtractor(SequenceFeatureExtractor):
    r"""
    Prepares audio for [`LLMCodecModel`].

    Args:
        feature_size (`int`, defaults to 1): Channels; the codec is mono.
        sampling_rate (`int`, defaults to 16000): Samples per second that the codec expects, in Hz.
        padding_value (`float`, defaults to 0.0): Value of padding.
        padding_side (`str`, defaults to `"right"`): Where clips are padded, `"right"` or `"left"`.

    Raises:
        ValueError: If a value means nothing.
    """

    model_input_names = ["input_values", "padding_mask"]

    def __init__(self, feature_size=1, sampling_rate=16000, padding_value=0.0, **kwargs):
        if feature_size != 1:
            raise ValueError(f"`feature_size` must be 1, the codec is mono; got {feature_size}.")
        _check_rate(sampling_rate)
        if kwargs.get("padding_side", "right") not in ("right", "left"):
            raise ValueError(f"`padding_side` is 'right' or 'left', got {kwargs['padding_side']!r}.")
        super().__init__(feature_size=feature_size, sampling_rate=sampling_rate, padding_value=padding_value, **kwargs)

    def __call__(
        self,
        raw_audio: np.ndarray | torch.Tensor | Sequence,
        sampling_rate: float | None = None,
        padding: bool | str | PaddingStrategy = True,
        truncation: bool = False,
        max_length: int | None = None,
        pad_to_multiple_of: int | None = None,
        return_tensors: str | TensorType | None = None,
        resample: bool = False,
        channels: str | int | None = None,
    ) -> BatchFeature:
        """
        Checks and pads one clip or a batch.

        Args:
            raw_audio (`np.ndarray`, `torch.Tensor`, `list[float]`, or a `list` of these):
                One clip or a list of clips. A clip is floats in −1 … 1, or int8, uint8, int16 or int32 samples, which
                are scaled by their type; of the shape `(samples,)` or `(channels, samples)`.
            sampling_rate (`float`, *optional*): The rate of all the clips, in Hz.
            padding (`bool`, `str` or [`~utils.PaddingStrategy`], *optional*, defaults to `True`):
                `True` or `"longest"`, `"max_length"`, or `False`.
            truncation (`bool`, *optional*, defaults to `False`): Whether to cut clips at `max_length`.
            max_length (`int`, *optional*): Samples to pad or cut to.
            pad_to_multiple_of (`int`, *optional*): Samples to whose multiple the batch is padded.
            return_tensors (`str`, *optional*): `"pt"` or `"np"`.
            resample (`bool`, *optional*, defaults to `False`):
                Whether to resample from `sampling_rate` (with soxr) rather than to refuse another rate.
            channels (`str` or `int`, *optional*):
                What to do with several channels: `"mean"`, or the number of the one to take. Refused by default.

        Returns:
            [`BatchFeature`]: `input_values`, `(batch, 1, samples)`, float32, and `padding_mask`, `(batch, samples)`,
            1 for audio and 0 for padding.

        Raises:
            ValueError: For audio that is empty, not finite, louder than 4 (+12 dB), of another shape, type or rate, or
                silent where its channels cancel; and for options that mean nothing.
        """
        _check_padding(padding, truncation, max_length, pad_to_multiple_of, return_tensors)
        self._check_clip_options(sampling_rate, resample, channels)
        is_batch = isinstance(raw_audio, (list, tuple)) and len(raw_audio) > 0 and not np.isscalar(raw_audio[0])
        clips = [
            self.prepare(clip, sampling_rate, resample, channels, f"Clip {i}" if is_batch else "The audio")
            for i, clip in enumerate(raw_audio if is_batch else [raw_audio])
        ]
        return self.pad_clips(clips, padding, truncation, max_length, pad_to_multiple_of, return_tensors)

    def pad_clips(
        self,
        clips: Sequence[np.ndarray],
        padding: bool | str | PaddingStrategy = True,
        truncation: bool = False,
        max_length: int | None = None,
        pad_to_multiple_of: int | None = None,
        return_tensors: str | TensorType | None = None,
    ) -> BatchFeature:
        """
        Makes a batch of clips that `prepare` has returned; their samples are not looked at again.

        Args:
            clips (`Sequence[np.ndarray]`): float32 `(samples,)` each, at the extractor's rate.
            padding, truncation, max_length, pad_to_multiple_of, return_tensors: As `__call__` takes them.

        Returns:
            [`BatchFeature`]: As `__call__` returns it.

        Raises:
            ValueError: If a clip is not of this kind, or longer than `max_length` where it is neither to be cut; if
                tensors are asked for and the clips differ in length; and for options that mean nothing.
        """
        _check_padding(padding, truncation, max_length, pad_to_multiple_of, return_tensors)
        for number, clip in enumerate(clips):
            if not (isinstance(clip, np.ndarray) and clip.dtype == np.float32 and clip.ndim == 1 and clip.size):
                shape, dtype = getattr(clip, "shape", None), getattr(clip, "dtype", type(clip).__name__)
                raise ValueError(
                    f"Clip {number} must be float32 of the shape (samples,), got {dtype} of the shape {shape}: "
                    "`prepare` it first."
                )
            if max_length is not None and len(clip) > max_length and not truncation:
                raise ValueError(
                    f"Clip {number} has {len(clip)} samples, more than the `max_length` of {max_length}: pass "
                    "`truncation=True` to cut it, or a greater `max_length`."
                )
        if truncation:
            clips = [clip[:max_length] for clip in clips]
        lengths = {len(clip) for clip in clips}
        if padding in (True, "longest", PaddingStrategy.LONGEST):
            length = max(lengths, default=0)
        elif padding in ("max_length", PaddingStrategy.MAX_LENGTH):
            length = max_length
        else:
            length = None
        multiple = pad_to_multiple_of or 1
        values, masks = [], []
        for clip in clips:
            target = -(-(len(clip) if length is None else length) // multiple) * multiple
            if target * len(clips) > MAX_SAMPLES:
                raise ValueError(f"{len(clips)} clips of {target} samples are more than the {MAX_SAMPLES} of a batch.")
            missing = target - len(clip)
            width = (0, missing) if self.padding_side == "right" else (missing, 0)
            values.append(np.pad(clip, width, constant_values=self.padding_value)[None])
            masks.append(np.pad(np.ones(len(clip), np.int64), width))
        if return_tensors is None:
            return BatchFeature({"input_values": values, "padding_mask": masks})
        if len({len(mask) for mask in masks}) > 1:
            raise ValueError(f"Clips of {sorted(lengths)} samples make no tensor; pass `padding=True`.")
        return BatchFeature(
            {"input_values": np.stack(values), "padding_mask": np.stack(masks)}, tensor_type=return_tensors
        )

    def prepare(
        self,
        clip: np.ndarray | torch.Tensor | Sequence[float],
        sampling_rate: float | None = None,
        resample: bool = False,
        channels: str | int | None = None,
        name: str = "The audio",
    ) -> np.ndarray:
        """
        Checks one clip, and makes it mono and of the extractor's rate.

        Args:
            clip (`np.ndarray`, `torch.Tensor` or `list[float]`): As `__call__` takes one.
            sampling_rate (`float`, *optional*): Its rate, in Hz.
            resample (`bool`, *optional*, defaults to `False`): Whether to resample it rather than to refuse its rate.
            channels (`str` or `int`, *optional*): What to do with several channels, as `__call__` takes it.
            name (`str`, *optional*, defaults to `"The audio"`): What messages call it.

        Returns:
            float32, `(samples,)`, at the extractor's rate; `pad_clips` makes a batch of such.

        Raises:
            ValueError: For audio that `__call__` refuses.
            ImportError: If it has to be resampled and soxr is missing.
        """
        sampling_rate = self._check_clip_options(sampling_rate, resample, channels)
        clip = _as_array(clip, name)
        if clip.dtype not in INTEGERS and not np.issubdtype(clip.dtype, np.floating):
            raise ValueError(f"{name} must be {TAKEN}; got {clip.dtype}.")
        if clip.size == 0:
            raise ValueError(f"{name} is empty (shape {clip.shape}); leave it out of the batch.")
        if clip.ndim not in (1, 2):
            raise ValueError(f"{name} must have the shape (samples,) or (channels, samples), got {clip.shape}.")
        if clip.dtype in INTEGERS:
            silence, scale = INTEGERS[clip.dtype]
            clip = (clip.astype(np.float32) - silence) / scale
        else:
            _check_levels(clip, name)
        clip = _to_mono(clip if clip.ndim == 2 else clip[None], name, channels).astype(np.float32)
        if sampling_rate == self.sampling_rate:
            return clip
        if soxr is None:
            raise ImportError("`resample=True` needs soxr: run `pip install soxr`.")
        length = math.ceil(len(clip) * self.sampling_rate / sampling_rate)
        if length > MAX_SAMPLES:
            raise ValueError(
                f"{name} would have {length} samples when resampled from {sampling_rate} Hz, more than {MAX_SAMPLES}."
            )
        clip = soxr.resample(clip, sampling_rate, self.sampling_rate)[:length]
        return np.pad(clip, (0, length - len(clip)))

    def _check_clip_options(self, sampling_rate: Any, resample: Any, channels: Any) -> float:
        """Checks what is said of a clip; returns its rate, if that is the extractor's or may be resampled."""
        if not isinstance(resample, (bool, np.bool_)):
            raise ValueError(f"`resample` is True or False, got {resample!r}.")
        if channels not in (None, "mean") and (not _is_whole(channels) or channels < 0):
            raise ValueError(f"`channels` is 'mean' or the number of a channel, from 0 on; got {channels!r}.")
        if sampling_rate is None:
            if resample:
                raise ValueError("`resample=True` needs the clips' `sampling_rate`.")
            logger.warning_once(
                f"No `sampling_rate` was passed to {type(self).__name__}; the audio is taken to be at "
                f"{self.sampling_rate} Hz. Pass it, so that a wrong rate is found."
            )
            return self.sampling_rate
        _check_rate(sampling_rate)
        if sampling_rate != self.sampling_rate and not resample:
            raise ValueError(
                f"The codec expects audio at {self.sampling_rate} Hz, got {sampling_rate} Hz. Pass `resample=True`, or "
                "resample it first."
            )
        return float(sampling_rate)


def _is_whole(value: Any) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, (bool, np.bool_))


def _check_rate(sampling_rate: Any) -> None:
    is_real = isinstance(sampling_rate, numbers.Real) and not isinstance(sampling_rate, (bool, np.bool_))
    if not is_real or not 1 <= sampling_rate <= MAX_RATE:  # which NaN is not either
        raise ValueError(f"`sampling_rate` is a number of Hz from 1 to {MAX_RATE}, got {sampling_rate!r}.")


def _check_padding(
    padding: Any, truncation: Any, max_length: Any, pad_to_multiple_of: Any, return_tensors: Any
) -> None:
    """Checks the options of a batch, each and together."""
    strategies = [True, False, *(strategy.value for strategy in PaddingStrategy)]
    if not isinstance(padding, (bool, str)) or padding not in strategies:
        raise ValueError(f"`padding` is True, False, 'longest', 'max_length' or 'do_not_pad'; got {padding!r}.")
    if not isinstance(truncation, (bool, np.bool_)):
        raise ValueError(f"`truncation` is True or False, got {truncation!r}.")
    for name, value in (("max_length", max_length), ("pad_to_multiple_of", pad_to_multiple_of)):
        if value is not None and (not _is_whole(value) or not 1 <= value <= MAX_SAMPLES):
            raise ValueError(f"`{name}` is a number of samples from 1 to {MAX_SAMPLES}, got {value!r}.")
    pads_to_it = padding == "max_length"
    if max_length is None and (truncation or pads_to_it):
        raise ValueError(f"`{'truncation' if truncation else 'padding'}` needs `max_length`, the samples to keep.")
    if max_length is not None and not (truncation or pads_to_it):
        raise ValueError("`max_length` needs `truncation=True` to cut to it, or `padding='max_length'` to pad to it.")
    if return_tensors is not None and return_tensors not in ("pt", "np", TensorType.PYTORCH, TensorType.NUMPY):
        raise ValueError(f"`return_tensors` is 'pt' or 'np', got {return_tensors!r}.")


def _as_array(clip: Any, name: str) -> np.ndarray:
    """A clip as an array of numbers; what only looks like one, such as the bytes of a file, is refused."""
    if isinstance(clip, (str, bytes, bytearray, memoryview, dict)) or hasattr(clip, "read"):
        raise ValueError(
            f"{name} must be {TAKEN}; got {type(clip).__name__}. Files are read by the pipeline, or by "
            "`llm_codec_hf.audio_llm_codec.read_audio`."
        )
    try:
        if isinstance(clip, torch.Tensor):
            clip = clip.detach().cpu()
            return (clip.float() if clip.is_floating_point() else clip).numpy()
        return np.asarray(clip)
    except (ValueError, TypeError, OverflowError, RuntimeError) as error:
        raise ValueError(f"{name} is no array of samples: {error}") from error


def _check_levels(clip: np.ndarray, name: str) -> None:
    """Refuses floats that are no audio in −1 … 1."""
    finite = np.isfinite(clip)
    if not finite.all():
        raise ValueError(f"{name} has {int((~finite).sum())} NaN or infinite samples of {clip.size}; clean it first.")
    peak = float(np.abs(clip).max())
    if peak > MAX_PEAK or (peak > 1 and not (clip % 1).any()):
        raise ValueError(
            f"{name} has a peak of {peak:g}, but floating-point audio lies in −1 … 1 (up to {MAX_PEAK:g} is taken): "
            "pass integer samples as int16, or divide them by 32768; scale audio of unit variance back."
        )
    if peak > UNUSUAL_PEAK:
        logger.warning_once(
            f"There is audio with a peak above {UNUSUAL_PEAK:g}; floating-point audio lies in −1 … 1. Is it normalised "
            "to unit variance? The codec has learnt from audio that is not."
        )


def _to_mono(clip: np.ndarray, name: str, channels: str | int | None) -> np.ndarray:
    """`(channels, samples)` → `(samples,)`."""
    count = clip.shape[0]
    if count > 1 and count > clip.shape[1]:
        raise ValueError(f"{name} has the shape {clip.shape}; expected (channels, samples), so transpose it.")
    if channels is not None and channels != "mean":
        if channels < count:
            return clip[channels]
        raise ValueError(
            f"{name} has {count} channel{'s' * (count > 1)}; pass `channels='mean'` or a channel's number 0 … "
            f"{count - 1}, got {channels}."
        )
    if count == 1:
        return clip[0]
    if channels is None:
        raise ValueError(
            f"{name} has {count} channels (shape {clip.shape}) and the codec is mono: pass `channels='mean'` or a "
            f"channel's number 0 … {count - 1}."
        )
    mono = clip.mean(axis=0)
    if (peak := float(np.abs(clip).max())) > AUDIBLE and np.abs(mono).max() < CANCELLED * peak:
        raise ValueError(
            f"{name} has channels that cancel: their mean is silent. Take one of them, such as `channels=0`."
        )
    return mono


__all__ = ["LLMCodecFeatureExtractor"]
