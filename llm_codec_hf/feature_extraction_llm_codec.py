# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Feature extractor of LLM-Codec: checks audio, makes it mono at one rate, and pads clips to a batch."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from transformers import BatchFeature
from transformers.feature_extraction_sequence_utils import SequenceFeatureExtractor
from transformers.utils import PaddingStrategy, TensorType, logging

try:  # only to resample; the code that travels to the Hub asks for nothing else than torch, transformers and numpy
    import soxr
except ImportError:
    soxr = None

logger = logging.get_logger(__name__)

# Louder than any floating-point audio: such values are integer samples stored as floats.
_MAX_PEAK = 256.0


class LLMCodecFeatureExtractor(SequenceFeatureExtractor):
    r"""
    Prepares audio for [`LLMCodecModel`].

    Args:
        feature_size (`int`, defaults to 1): Channels; the codec is mono.
        sampling_rate (`int`, defaults to 16000): Samples a second that the codec expects, in Hz.
        padding_value (`float`, defaults to 0.0): Value of padding.
        padding_side (`str`, defaults to `"right"`): Where clips are padded, `"right"` or `"left"`.
    """

    model_input_names = ["input_values", "padding_mask"]

    def __init__(self, feature_size=1, sampling_rate=16000, padding_value=0.0, **kwargs):
        if feature_size != 1:
            raise ValueError(f"`feature_size` must be 1, the codec is mono; got {feature_size}.")
        super().__init__(feature_size=feature_size, sampling_rate=sampling_rate, padding_value=padding_value, **kwargs)

    def __call__(
        self,
        raw_audio: np.ndarray | torch.Tensor | Sequence,
        sampling_rate: int | None = None,
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
                One clip or a list of clips. A clip is floats in −1 … 1, int16 or int32 samples; of the shape
                `(samples,)`, or `(channels, samples)`.
            sampling_rate (`int`, *optional*): The rate of all the clips, in Hz.
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
            ValueError: for audio that is empty, not finite, of another shape, type or rate.
        """
        sampling_rate = self._check_rate(sampling_rate, resample)
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
        Makes a batch of clips that `prepare` has returned; they are not looked at again.

        Args:
            clips (`Sequence[np.ndarray]`): float32 `(samples,)` each, at the extractor's rate.
            padding, truncation, max_length, pad_to_multiple_of, return_tensors: As `__call__` takes them.

        Returns:
            [`BatchFeature`]: As `__call__` returns it.

        Raises:
            ValueError: If a clip is not of this kind, or if `return_tensors` is asked for and the clips differ in
                length.
        """
        for number, clip in enumerate(clips):
            if not (isinstance(clip, np.ndarray) and clip.dtype == np.float32 and clip.ndim == 1 and clip.size):
                shape, dtype = getattr(clip, "shape", None), getattr(clip, "dtype", type(clip).__name__)
                raise ValueError(
                    f"Clip {number} must be float32 of the shape (samples,), got {dtype} of the shape {shape}: "
                    "`prepare` it first."
                )
        features = self.pad(
            BatchFeature({"input_values": list(clips)}),
            padding=padding,
            max_length=max_length,
            truncation=truncation,
            pad_to_multiple_of=pad_to_multiple_of,
            return_attention_mask=True,
        )
        features = BatchFeature(
            {
                "input_values": [np.asarray(clip, dtype=np.float32)[None] for clip in features["input_values"]],
                "padding_mask": [np.asarray(mask, dtype=np.int64) for mask in features["attention_mask"]],
            }
        )
        if return_tensors is not None:
            lengths = {clip.shape[-1] for clip in features["input_values"]}
            if len(lengths) > 1:
                raise ValueError(f"Clips of {sorted(lengths)} samples make no tensor; pass `padding=True`.")
            features = BatchFeature({k: np.stack(v) for k, v in features.items()}, tensor_type=return_tensors)
        return features

    def _check_rate(self, sampling_rate: int | None, resample: bool) -> int:
        """The rate of the clips, if it is the extractor's or they may be resampled."""
        if sampling_rate is None:
            if resample:
                raise ValueError("`resample=True` needs the clips' `sampling_rate`.")
            logger.warning_once(
                f"No `sampling_rate` was passed to {type(self).__name__}; the audio is taken to be at "
                f"{self.sampling_rate} Hz. Pass it, so that a wrong rate is found."
            )
            return self.sampling_rate
        if sampling_rate != self.sampling_rate and not resample:
            raise ValueError(
                f"The codec expects audio at {self.sampling_rate} Hz, got {sampling_rate} Hz. Pass `resample=True`, or "
                "resample it first."
            )
        return sampling_rate

    def prepare(
        self,
        clip: np.ndarray | torch.Tensor | Sequence[float],
        sampling_rate: int | None = None,
        resample: bool = False,
        channels: str | int | None = None,
        name: str = "The audio",
    ) -> np.ndarray:
        """
        Checks one clip, and makes it mono and of the extractor's rate.

        Args:
            clip (`np.ndarray`, `torch.Tensor` or `list[float]`): As `__call__` takes one.
            sampling_rate (`int`, *optional*): Its rate, in Hz.
            resample (`bool`, *optional*, defaults to `False`): Whether to resample it rather than to refuse its rate.
            channels (`str` or `int`, *optional*): What to do with several channels, as `__call__` takes it.
            name (`str`, *optional*, defaults to `"The audio"`): What messages call it.

        Returns:
            float32, `(samples,)`, at the extractor's rate; `pad_clips` makes a batch of such.

        Raises:
            ValueError: For audio that is empty, not finite, of another shape, type or rate.
            ImportError: If it has to be resampled and soxr is missing.
        """
        sampling_rate = self._check_rate(sampling_rate, resample)
        if isinstance(clip, torch.Tensor):
            clip = clip.detach().cpu().float().numpy() if clip.is_floating_point() else clip.detach().cpu().numpy()
        try:
            clip = np.asarray(clip)
        except ValueError as error:
            raise ValueError(f"{name} is no array of samples: {error}") from error
        if clip.dtype in (np.int16, np.int32):
            clip = clip.astype(np.float32) / -float(np.iinfo(clip.dtype).min)
        elif not np.issubdtype(clip.dtype, np.floating):
            raise ValueError(f"{name} must be floats in −1 … 1, int16 or int32, got {clip.dtype}.")
        if clip.size == 0:
            raise ValueError(f"{name} is empty (shape {clip.shape}); leave it out of the batch.")
        if clip.ndim not in (1, 2):
            raise ValueError(f"{name} must have the shape (samples,) or (channels, samples), got {clip.shape}.")
        if clip.ndim == 2:
            clip = _to_mono(clip, name, channels)
        clip = clip.astype(np.float32)
        if not np.isfinite(clip).all():
            bad = int((~np.isfinite(clip)).sum())
            raise ValueError(f"{name} has {bad} NaN or infinite samples of {clip.size}; clean it first.")
        if (peak := float(np.abs(clip).max())) > _MAX_PEAK:
            raise ValueError(
                f"{name} has a peak of {peak:g}, but floating-point audio lies in −1 … 1: pass integer samples as "
                "int16, or divide by 32768."
            )
        if sampling_rate != self.sampling_rate:
            if soxr is None:
                raise ImportError("`resample=True` needs soxr: run `pip install soxr`.")
            length = math.ceil(len(clip) * self.sampling_rate / sampling_rate)
            clip = soxr.resample(clip, sampling_rate, self.sampling_rate)[:length]
            clip = np.pad(clip, (0, length - len(clip)))
        return clip


def _to_mono(clip: np.ndarray, name: str, channels: str | int | None) -> np.ndarray:
    if clip.shape[0] == 1:
        return clip[0]
    if clip.shape[0] > clip.shape[1]:
        raise ValueError(f"{name} has the shape {clip.shape}; expected (channels, samples), so transpose it.")
    if channels == "mean":
        return clip.mean(axis=0)
    if isinstance(channels, int) and 0 <= channels < clip.shape[0]:
        return clip[channels]
    raise ValueError(
        f"{name} has {clip.shape[0]} channels (shape {clip.shape}) and the codec is mono: pass `channels='mean'` or a "
        f"channel's number 0 … {clip.shape[0] - 1}" + ("." if channels is None else f", got {channels!r}.")
    )


__all__ = ["LLMCodecFeatureExtractor"]
