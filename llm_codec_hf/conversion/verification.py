# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Checks a converted folder against the original's tensors."""

import logging
import math
from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import AutoModel, AutoProcessor

from llm_codec_hf import LLMCodecConfig

from .original_checkpoint import StateDict
from .reference import ReferenceCodec

logger = logging.getLogger(__package__)

# How much the reloaded model may differ from the float64 reference. Decoders amplify rounding, each by its own weights,
# so audio and latents may be off by some times what the reference itself is in float32; codes by a tie's rounding.
_ROUNDING_FACTOR = 10
_COSINE_TOLERANCE = 1e-5


def probe_signal(config: LLMCodecConfig) -> torch.Tensor:
    """A rising tone and fading noise over two windows, so that attention across them would show: `(samples,)`."""
    samples = 2 * config.pad_to_multiple_of
    time = torch.arange(samples, dtype=torch.float64) / samples
    noise = torch.randn(samples, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    tone = torch.sin(2 * math.pi * 0.02 * samples * time**2)
    return (0.3 * tone + 0.1 * noise * (1 - time)).float()


@torch.inference_mode()
def verify(folder: Path, options: dict, state: StateDict, words: Sequence[str]) -> None:
    """
    Loads a converted folder and compares encoder, quantizer and decoder, each given the same, with `ReferenceCodec` on
    the original's tensors.

    Raises:
        RuntimeError: where latents, codes or decoded audio differ by more than rounding, or words differ.
    """
    model = AutoModel.from_pretrained(folder)
    exact, rounded = (ReferenceCodec(options, state, dtype) for dtype in (torch.float64, torch.float32))

    def noise() -> torch.Generator:
        return torch.Generator().manual_seed(0)

    audio = probe_signal(model.config)
    encoded = model.encode(audio[None, None], output_latents=True)
    codes = [layer[0] for layer in model.split_layers(encoded.audio_codes)]
    quantized, deficits = exact.quantize(encoded.latents, codes)
    decoded = model.decode(encoded.audio_codes, generator=noise()).audio_values.flatten()

    measured = {"cosine of a code": (max(deficit.max().item() for deficit in deficits), _COSINE_TOLERANCE)}
    for name, result, compute in (
        ("latents", encoded.latents, lambda reference: reference.encode(audio)),
        ("audio", decoded, lambda reference: reference.decode(quantized, noise())),
    ):
        expected = compute(exact)
        rounding = (compute(rounded) - expected).abs().max()
        measured[name] = (result - expected).abs().max().item(), _ROUNDING_FACTOR * rounding.item()
    failed = [
        f"{name} by {value:.1e} (at most {most:.1e})" for name, (value, most) in measured.items() if not value <= most
    ]
    if AutoProcessor.from_pretrained(folder).words != list(words):
        failed.append("words")
    if failed:
        raise RuntimeError(
            f"The converted model differs from the original's tensors in {', '.join(failed)}; nothing was kept. This "
            "is a fault of the conversion: please report it with the SHA-256 of the checkpoint."
        )
    logger.info(
        "Verified on %.2f s of audio: each of %d codes is the nearest, latents are within %.1e and audio within %.1e.",
        len(audio) / model.config.sampling_rate,
        encoded.audio_codes.numel(),
        measured["latents"][0],
        measured["audio"][0],
    )
