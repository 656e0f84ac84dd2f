# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""A clip's codes as a file: safetensors with one tensor, `audio_codes`, and metadata that says what decodes it."""

import dataclasses
import json
import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from ..audio_llm_codec import parts
from ..configuration_llm_codec import LLMCodecConfig
from ..feature_extraction_llm_codec import LLMCodecFeatureExtractor
from ..modeling_llm_codec import LLMCodecModel

FORMAT = "llm_codec.audio_codes"
FORMAT_VERSION = "1"
BLOCK_S = 10  # seconds of a block of a long clip: enough for speed, and little memory


@dataclass(frozen=True)
class EncodedClip:
    """
    A clip's codes and what decoding them takes. Every field but the codes is a string of the file's metadata, JSON
    unless it is text; `format` and `format_version` stand beside them. In the file the codes are int32.

    Args:
        audio_codes: int64, `(codes_per_group, groups)`, as `LLMCodecModel.encode` gives them for one clip.
        model: The id or folder of the codec that wrote them.
        length: Samples at `sampling_rate` to which the decoded audio is cut: the groups reach further.
        sampling_rate: The codec's rate, in Hz.
        original_length: Samples of the audio as it came, before resampling.
        original_sampling_rate: Its rate, in Hz.
        hop_length: Samples a latent frame of the codec.
        vq_strides: Frames that a code of each of its layers spans.
        codebook_sizes: Entries of each of its layers.

    Raises:
        ValueError: where the codes are not those of `length` samples of such a codec.
    """

    audio_codes: torch.LongTensor
    model: str
    length: int
    sampling_rate: int
    original_length: int
    original_sampling_rate: int
    hop_length: int
    vq_strides: list[int]
    codebook_sizes: list[int]

    def __post_init__(self):
        numbers = {name: value for name, value in vars(self).items() if name not in ("audio_codes", "model")}
        for name, value in numbers.items():
            values = value if name in ("vq_strides", "codebook_sizes") else [value]
            if not isinstance(values, list) or not values or any(type(v) is not int or v < 1 for v in values):
                raise ValueError(f"`{name}` takes positive integers, got {value!r}.")
        counts = [self.vq_strides[0] // stride for stride in self.vq_strides]
        if 0 in counts or len(counts) != len(self.codebook_sizes):
            raise ValueError(f"`vq_strides` {self.vq_strides} and `codebook_sizes` {self.codebook_sizes} do not fit.")
        codes, group_length = self.audio_codes, self.hop_length * self.vq_strides[0]
        if codes.is_floating_point() or codes.ndim != 2 or len(codes) != sum(counts):
            raise ValueError(
                f"`audio_codes` must be integers of the shape ({sum(counts)}, groups), got {codes.dtype} of the shape "
                f"{tuple(codes.shape)}."
            )
        if codes.shape[1] * group_length < self.length:
            raise ValueError(
                f"{codes.shape[1]} groups of {group_length} samples do not reach the `length` of {self.length}."
            )
        sizes = torch.tensor(self.codebook_sizes).repeat_interleave(torch.tensor(counts))
        if ((codes < 0) | (codes >= sizes[:, None])).any():
            raise ValueError(f"`audio_codes` has codes outside the `codebook_sizes` {self.codebook_sizes}.")

    def save(self, path: str | os.PathLike) -> None:
        """Writes the file."""
        values = {name: value for name, value in vars(self).items() if name != "audio_codes"}
        metadata = {name: v if isinstance(v, str) else json.dumps(v) for name, v in values.items()}
        metadata |= {"format": FORMAT, "format_version": FORMAT_VERSION}
        content = save({"audio_codes": self.audio_codes.int().contiguous()}, metadata)
        Path(path).write_bytes(content)  # `save_file` would make a file that its owner alone can read

    @classmethod
    def load(cls, path: str | os.PathLike) -> "EncodedClip":
        """
        Reads a file that `save` wrote.

        Raises:
            OSError: where there is no such file.
            ValueError: for a file of another kind, of another version, or damaged.
        """
        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                if metadata.get("format") != FORMAT:
                    raise ValueError("This safetensors file holds no audio codes; `llm-codec encode` writes such.")
                if metadata.get("format_version") != FORMAT_VERSION:
                    raise ValueError(
                        f"The codes are in version {metadata.get('format_version')} of the file format, this program "
                        f"reads version {FORMAT_VERSION}: upgrade llm-codec-hf, or encode the audio again."
                    )
                audio_codes = file.get_tensor("audio_codes")
        except SafetensorError as error:
            raise ValueError(f"This is no file of audio codes, or it is damaged: {error}.") from error
        names = [field.name for field in dataclasses.fields(cls) if field.name != "audio_codes"]
        if missing := [name for name in names if name not in metadata]:
            raise ValueError(f"The file is damaged: its metadata lacks {', '.join(missing)}.")
        try:
            values = {name: metadata[name] if name == "model" else json.loads(metadata[name]) for name in names}
            return cls(audio_codes if audio_codes.is_floating_point() else audio_codes.long(), **values)
        except ValueError as error:
            raise ValueError(f"The file is damaged: {error}") from error

    def check_fits(self, config: LLMCodecConfig) -> None:
        """
        Checks that a codec can decode the codes, as far as its geometry tells.

        Raises:
            ValueError: naming the first difference and the codec that wrote them.
        """
        for name in ("sampling_rate", "hop_length", "vq_strides", "codebook_sizes"):
            if getattr(self, name) != getattr(config, name):
                raise ValueError(
                    f"The codes were written by {self.model!r}, whose `{name}` is {getattr(self, name)}; this codec's "
                    f"is {getattr(config, name)}."
                )


@torch.no_grad()
def encode_clip(
    model: LLMCodecModel,
    feature_extractor: LLMCodecFeatureExtractor,
    blocks: Iterable[np.ndarray],
    sampling_rate: int,
    model_id: str,
    resample: bool = False,
    channels: str | int | None = None,
) -> EncodedClip:
    """
    Audio → its codes, those of `feature_extractor` and `model.encode` for the whole clip, in the memory of a block.

    Args:
        model: The codec.
        feature_extractor: Its feature extractor.
        blocks: The clip, one block after the other, each as the feature extractor takes a clip; at least one.
        sampling_rate: Their rate, in Hz.
        model_id: How the codec is to be named.
        resample: As the feature extractor takes it.
        channels: As the feature extractor takes it.

    Raises:
        ValueError: for audio that the feature extractor refuses.
    """
    config, codes, state, length, original_length = model.config, [], None, 0, 0

    def counted():
        nonlocal original_length
        for block in blocks:
            original_length += block.shape[-1]
            yield block

    for samples, is_last in _mark_last(_prepare(feature_extractor, counted(), sampling_rate, resample, channels)):
        length += len(samples)
        input_values = torch.from_numpy(samples)[None, None].to(model.device)
        output = model.encode_stream(input_values, state, flush=is_last)
        codes.append(output.audio_codes[0].cpu())
        state = output.state
    return EncodedClip(
        audio_codes=torch.cat(codes, dim=1),
        model=model_id,
        length=length,
        sampling_rate=config.sampling_rate,
        original_length=original_length,
        original_sampling_rate=sampling_rate,
        hop_length=config.hop_length,
        vq_strides=config.vq_strides,
        codebook_sizes=config.codebook_sizes,
    )


def _prepare(
    feature_extractor: LLMCodecFeatureExtractor,
    blocks: Iterable[np.ndarray],
    sampling_rate: int,
    resample: bool,
    channels: str | int | None,
) -> Iterator[np.ndarray]:
    """What the feature extractor makes of a clip, sample for sample, in blocks `(samples,)`; none is empty."""
    expected, start, returned, resampler = feature_extractor.sampling_rate, 0, 0, None
    if resample and sampling_rate != expected:
        resampler = soxr.ResampleStream(sampling_rate, expected, num_channels=1, dtype="float32")
    for block, is_last in _mark_last(blocks):
        try:
            features = feature_extractor(block, expected if resample else sampling_rate, channels=channels)
        except ValueError as error:
            raise ValueError(f"From {start / sampling_rate:.1f} s on: {error}" if start else str(error)) from error
        (samples,) = features["input_values"][0]
        start += len(samples)
        if resampler:
            samples = resampler.resample_chunk(samples, last=is_last)
            if is_last:
                left = math.ceil(start * expected / sampling_rate) - returned
                samples = np.pad(samples[:left], (0, max(0, left - len(samples))))
        returned += len(samples)
        if len(samples):
            yield samples


def _mark_last(items: Iterable) -> Iterator[tuple]:
    """Each item, and whether it is the last."""
    items = iter(items)
    item = next(items)
    for following in items:
        yield item, False
        item = following
    yield item, True


@torch.no_grad()
def decode_clip(model: LLMCodecModel, clip: EncodedClip) -> Iterator[np.ndarray]:
    """Codes → audio at the codec's rate, float32, in blocks `(samples,)` of `clip.length` samples together.

    Raises:
        ValueError: for codes of a codec of another geometry.
    """
    clip.check_fits(model.config)
    groups, state, left = clip.audio_codes.shape[1], None, clip.length
    for start, stop in parts(groups, BLOCK_S * clip.sampling_rate // model.config.group_length):
        audio_codes = clip.audio_codes[None, :, start:stop].to(model.device)
        output = model.decode_stream(audio_codes, state, flush=stop == groups)
        samples = output.audio_values[0, 0, :left].float().cpu().numpy()
        state, left = output.state, left - len(samples)
        yield samples
