# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""A clip's codes as a file: safetensors with one tensor, `audio_codes`, and metadata that says what decodes it."""

import contextlib
import dataclasses
import hashlib
import json
import math
import os
import weakref
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import safetensors.torch
import soxr
import torch
from safetensors import SafetensorError
from transformers.utils import logging

from ..audio_llm_codec import parts
from ..code_layout_llm_codec import CodeLayout
from ..configuration_llm_codec import LLMCodecConfig
from ..feature_extraction_llm_codec import LLMCodecFeatureExtractor
from ..modeling_llm_codec import LLMCodecModel
from .atomic import write_whole

logger = logging.get_logger(__name__)

FORMAT = "llm_codec.audio_codes"
FORMAT_VERSION = "2"
BLOCK_S = 10  # seconds of a block of a long clip: enough for speed, and little memory
MAX_HEADER = 2**20  # bytes; a file of codes has a header of less than one thousand
TEXTS = ("model", "codebook_fingerprint")  # fields that are text; the others are JSON
DAMAGED = "This is no file of audio codes, or it is damaged"
GEOMETRY = ("sampling_rate", "hop_length", "vq_strides", "codebook_sizes")


@dataclass(frozen=True)
class EncodedClip:
    """
    A clip's codes and what decoding them takes.

    Every field but the codes is a string of the file's metadata, JSON unless it is text. Beside them stand `format`,
    `format_version` and `checksum`, a SHA-256 of the codes and of all other metadata. In the file the codes are int32.
    Equal clips give equal bytes.

    Args:
        audio_codes: int64, `(codes_per_group, groups)`, as `LLMCodecModel.encode` gives them for one clip.
        model: The id or folder of the codec that wrote them.
        length: Samples at `sampling_rate` to which the decoded audio is cut: the groups reach further.
        sampling_rate: The codec's rate, in Hz.
        original_length: Samples of the audio as it came, before resampling.
        original_sampling_rate: Its rate, in Hz.
        hop_length: Samples per latent frame of the codec.
        vq_strides: Frames that a code of each of its layers spans.
        codebook_sizes: Entries of each of its layers.
        codebook_fingerprint: Of the codec, by `fingerprint_codebooks`; None where a file of version 1 does not tell.

    Raises:
        ValueError: If the codes are not those of `length` samples of such a codec.
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
    codebook_fingerprint: str | None = None

    def __post_init__(self):
        for name, value in vars(self).items():
            if name == "audio_codes" or name in TEXTS:
                continue
            values = value if name in ("vq_strides", "codebook_sizes") else [value]
            if not isinstance(values, list) or not values or any(type(v) is not int or v < 1 for v in values):
                raise ValueError(f"`{name}` takes positive integers, got {value!r}.")
        layout, codes = CodeLayout(self.vq_strides), self.audio_codes
        if layout.num_layers != len(self.codebook_sizes):
            raise ValueError(f"`vq_strides` {self.vq_strides} and `codebook_sizes` {self.codebook_sizes} do not fit.")
        if codes.dtype not in (torch.int32, torch.int64) or codes.ndim != 2 or len(codes) != layout.codes_per_group:
            raise ValueError(
                f"`audio_codes` must be integers (int32 or int64) of the shape ({layout.codes_per_group}, groups), got "
                f"{codes.dtype} of the shape {tuple(codes.shape)}."
            )
        group_length = self.hop_length * self.vq_strides[0]
        if codes.shape[1] * group_length < self.length:
            raise ValueError(
                f"{codes.shape[1]} groups of {group_length} samples do not reach the `length` of {self.length}."
            )
        sizes = torch.tensor(self.codebook_sizes).repeat_interleave(torch.tensor(layout.codes_per_layer))
        if ((codes < 0) | (codes >= sizes[:, None])).any():
            raise ValueError(f"`audio_codes` has codes outside the `codebook_sizes` {self.codebook_sizes}.")

    def to_bytes(self) -> bytes:
        """The content of the file, which depends on nothing but the clip."""
        values = {name: value for name, value in vars(self).items() if name != "audio_codes" and value is not None}
        metadata = {name: v if isinstance(v, str) else json.dumps(v) for name, v in values.items()}
        metadata |= {"format": FORMAT, "format_version": FORMAT_VERSION}
        metadata["checksum"] = _checksum(self.audio_codes, metadata)
        data = _little_endian(self.audio_codes, "<i4")
        tensor = {"dtype": "I32", "shape": list(self.audio_codes.shape), "data_offsets": [0, len(data)]}
        # written here because `safetensors` puts the metadata into another order in each process
        header = json.dumps({"__metadata__": metadata, "audio_codes": tensor}, sort_keys=True, separators=(",", ":"))
        header = header.encode() + b" " * (-len(header) % 8)
        return len(header).to_bytes(8, "little") + header + data

    def save(self, path: str | os.PathLike) -> None:
        """Writes the file, whole or not at all."""
        write_whole(path, self.to_bytes())

    @classmethod
    def load(cls, source: str | os.PathLike | BinaryIO) -> "EncodedClip":
        """
        Reads what `save` wrote. A file of version 1, which has neither checksum nor fingerprint, gives a warning.

        Args:
            source: The file, or one that is open; it is read from its start to its end, so it may be a pipe.

        Raises:
            OSError: If there is no such file.
            ValueError: For a file of another kind, of another version, or damaged.
        """
        is_open = hasattr(source, "read")
        with contextlib.nullcontext(source) if is_open else open(source, "rb") as file:
            metadata, audio_codes = _read(file)
        fields = [field.name for field in dataclasses.fields(cls) if field.name != "audio_codes"]
        names = [name for name in fields if name in metadata or name != "codebook_fingerprint"]
        if missing := [name for name in names if name not in metadata]:
            raise ValueError(f"The file is damaged: its metadata lacks {', '.join(missing)}.")
        try:
            if metadata["format_version"] == FORMAT_VERSION:
                if metadata.pop("checksum", None) != _checksum(audio_codes, metadata):
                    raise ValueError("its checksum is that of other content; copy it again, or encode the audio again.")
            else:
                logger.warning(
                    "%s is a file of codes of version 1: it has no checksum, and does not tell which codec's codes "
                    "these are. Encode the audio again to have both.",
                    getattr(file, "name", "This"),
                )
            values = {name: metadata[name] if name in TEXTS else json.loads(metadata[name]) for name in names}
            return cls(audio_codes.long(), **values)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"The file is damaged: {error}") from error

    def check_fits(self, codec: LLMCodecModel | LLMCodecConfig) -> None:
        """
        Checks that a codec can decode the codes.

        Args:
            codec: The codec; or its configuration, which tells the geometry alone.

        Raises:
            ValueError: For another codec; the message names the first difference and the codec that wrote the codes.
        """
        is_model = isinstance(codec, LLMCodecModel)
        config = codec.config if is_model else codec
        for name in GEOMETRY:
            if getattr(self, name) != getattr(config, name):
                raise ValueError(
                    f"The codes were written by {self.model!r}, whose `{name}` is {getattr(self, name)}; this codec's "
                    f"is {getattr(config, name)}."
                )
        if is_model and self.codebook_fingerprint not in (None, fingerprint_codebooks(codec)):
            raise ValueError(
                f"The codes were written by {self.model!r}, whose codebooks are not those of this codec: decoded by "
                "it, they would be noise. Decode them with the codec that wrote them, or encode the audio again."
            )


def _read(file: BinaryIO) -> tuple[dict[str, str], torch.Tensor]:
    """Metadata and codes of an open file, if it has our format and one of its versions."""
    header, metadata = _read_header(file)
    if metadata.get("format") != FORMAT:
        raise ValueError("This safetensors file holds no audio codes; `llm-codec encode` writes such.")
    if metadata.get("format_version") not in ("1", FORMAT_VERSION):
        raise ValueError(
            f"The codes are in version {metadata.get('format_version')} of the file format, this program reads "
            f"versions 1 and {FORMAT_VERSION}: upgrade llm-codec-hf, or encode the audio again."
        )
    try:
        tensors = safetensors.torch.load(header + file.read())
    except (SafetensorError, ValueError, KeyError) as error:  # a KeyError for a dtype that torch has not
        raise ValueError(f"{DAMAGED}: {error}.") from error
    if list(tensors) != ["audio_codes"]:
        raise ValueError(f"{DAMAGED}: it has the tensors {sorted(tensors)}, expected `audio_codes` alone.")
    if (dtype := tensors["audio_codes"].dtype) not in (torch.int32, torch.int64):
        raise ValueError(f"{DAMAGED}: `audio_codes` must be integers (int32 or int64), got {dtype}.")
    return metadata, tensors["audio_codes"]


def _read_header(file: BinaryIO) -> tuple[bytes, dict[str, str]]:
    """The first part of a safetensors file, and its metadata; none where the header is longer than any of ours."""
    length = file.read(8)
    size = int.from_bytes(length, "little")
    header = file.read(min(size, MAX_HEADER))
    if len(length) < 8 or not header.startswith(b"{"):
        raise ValueError(f"{DAMAGED}: it has no header.")
    if size > MAX_HEADER:
        return length + header, {}
    try:
        metadata = json.loads(header).get("__metadata__") or {}
        return length + header, {str(name): str(value) for name, value in metadata.items()}
    except (ValueError, AttributeError, RecursionError) as error:
        raise ValueError(f"{DAMAGED}: {error}.") from error


def _checksum(audio_codes: torch.Tensor, metadata: dict[str, str]) -> str:
    """SHA-256 of codes, their shape and all metadata."""
    text = json.dumps([list(audio_codes.shape), metadata], sort_keys=True)
    return hashlib.sha256(text.encode() + _little_endian(audio_codes, "<i8")).hexdigest()


def _little_endian(codes: torch.Tensor, dtype: str) -> bytes:
    return codes.cpu().numpy().astype(dtype).tobytes()


_fingerprints: "weakref.WeakKeyDictionary[LLMCodecModel, tuple]" = weakref.WeakKeyDictionary()


def fingerprint_codebooks(model: LLMCodecModel) -> str:
    """
    What tells one codec's codes from another's: a SHA-256 of its codebooks, which are float32 whatever the model's
    dtype. It is computed once per model, and again when a codebook has changed.
    """
    codebooks = [layer.codebook for layer in model.quantizer.layers]
    state = [(id(c), None if c.is_inference() else c._version) for c in codebooks]
    known_state, fingerprint = _fingerprints.get(model, (None, ""))
    if known_state != state:
        digest = hashlib.sha256()
        for codebook in codebooks:
            digest.update(str(tuple(codebook.shape)).encode())
            digest.update(codebook.detach().float().cpu().contiguous().numpy().astype("<f4", copy=False))
        fingerprint = digest.hexdigest()
        _fingerprints[model] = (state, fingerprint)
    return fingerprint


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
    config, codes, length, original_length = model.config, [], 0, 0

    def counted():
        nonlocal original_length
        for block in blocks:
            original_length += block.shape[-1]
            yield block

    for samples, fresh in encode_blocks(model, feature_extractor, counted(), sampling_rate, resample, channels):
        length += len(samples)
        codes.append(fresh)
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
        codebook_fingerprint=fingerprint_codebooks(model),
    )


@torch.no_grad()
def encode_blocks(
    model: LLMCodecModel,
    feature_extractor: LLMCodecFeatureExtractor,
    blocks: Iterable[np.ndarray],
    sampling_rate: int,
    resample: bool = False,
    channels: str | int | None = None,
) -> Iterator[tuple[np.ndarray, torch.LongTensor]]:
    """
    Audio → its codes, block by block; arguments and errors are those of [`encode_clip`].

    Yields:
        What the feature extractor makes of a block, float32 `(samples,)` at the codec's rate, and the codes that are
        determined by then and were not before, int64 `(codes_per_group, groups)` on the CPU, possibly none.
    """
    state = None
    for samples, is_last in _mark_last(_prepare(feature_extractor, blocks, sampling_rate, resample, channels)):
        input_values = torch.from_numpy(samples)[None, None].to(model.device)
        output = model.encode_stream(input_values, state, flush=is_last)
        state = output.state
        yield samples, output.audio_codes[0].cpu()


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
            samples = feature_extractor.prepare(block, expected if resample else sampling_rate, channels=channels)
        except ValueError as error:
            raise ValueError(f"From {start / sampling_rate:.1f} s on: {error}" if start else str(error)) from error
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
        ValueError: For codes of another codec.
    """
    clip.check_fits(model)
    groups, state, left = clip.audio_codes.shape[1], None, clip.length
    for start, stop in parts(groups, BLOCK_S * clip.sampling_rate // model.config.group_length):
        audio_codes = clip.audio_codes[None, :, start:stop].to(model.device)
        output = model.decode_stream(audio_codes, state, flush=stop == groups)
        samples = output.audio_values[0, 0, :left].float().cpu().numpy()
        state, left = output.state, left - len(samples)
        yield samples
