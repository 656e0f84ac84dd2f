# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Which codec wrote a corpus: its name, what tells its codes from those of others, and its grid."""

import dataclasses
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from .. import __version__
from ..code_layout_llm_codec import CodeLayout
from ..files.encoded_clip import fingerprint_codebooks

EMBEDDED = "embedded_default"  # how files of codes name the codec that ships with the package, too
SHORT = 12  # hexadecimal digits of a fingerprint in a row
OF_ENCODING = ("encoder.", "quantizer.")  # names of the tensors that codes depend on


@dataclass(frozen=True)
class CodecIdentity:
    """
    A codec as a corpus names it.

    Args:
        name: Its id on the Hub, the name of its folder, or `embedded_default`.
        codec_hash: A SHA-256 of encoder, codebooks and geometry: those of two codecs with equal codes.
        codebook_fingerprint: As `fingerprint_codebooks` gives it: it tells what codes mean.
        version: Of this package.
        sampling_rate: In Hz.
        hop_length: Samples per latent frame.
        vq_strides: Frames that a code of each layer spans.
        codebook_sizes: Entries of each layer.
    """

    name: str
    codec_hash: str
    codebook_fingerprint: str
    version: str
    sampling_rate: int
    hop_length: int
    vq_strides: list[int]
    codebook_sizes: list[int]

    @property
    def label(self) -> str:
        """What a row has in its column `codec`: the name, and the beginning of the fingerprint of the codebooks."""
        return f"{self.name}@{self.codebook_fingerprint[:SHORT]}"

    @property
    def codes_per_group(self) -> int:
        """Codes of a group, over all layers."""
        return CodeLayout(self.vq_strides).codes_per_group

    @property
    def group_seconds(self) -> float:
        """Seconds of a group."""
        return self.hop_length * self.vq_strides[0] / self.sampling_rate

    def to_dict(self) -> dict[str, Any]:
        """The fields, and `codes_per_group`."""
        return dataclasses.asdict(self) | {"codes_per_group": self.codes_per_group}

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "CodecIdentity":
        """What `to_dict` gave."""
        return cls(**{field.name: fields[field.name] for field in dataclasses.fields(cls)})


def identify(model: torch.nn.Module, name: str | None) -> CodecIdentity:
    """
    Names a codec.

    Args:
        model: The codec, or its encoder alone.
        name: Its id or folder; None for the embedded one.
    """
    config, digest = model.config, hashlib.sha256(model.config.geometry.encode())
    for key, tensor in sorted(model.state_dict().items()):
        if key.startswith(OF_ENCODING):
            digest.update(json.dumps([key, list(tensor.shape)]).encode())
            digest.update(tensor.detach().float().cpu().contiguous().numpy().astype("<f4", copy=False))
    if name is not None and os.path.isdir(name):
        name = Path(name).resolve().name
    return CodecIdentity(
        name or EMBEDDED,
        digest.hexdigest(),
        fingerprint_codebooks(model),
        __version__,
        config.sampling_rate,
        config.hop_length,
        list(config.vq_strides),
        list(config.codebook_sizes),
    )


__all__ = ["EMBEDDED", "CodecIdentity", "identify"]
