# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""What is measured on a GPU only: CUDA graphs, half precision, and the share of codes that half precision changes."""

from functools import partial

import torch

from .codecs import COMPILED, OURS, PEERS, RECOMPUTED, SPECTRAL, Ours, OursCompiled, Row


class OursHalf(Ours):
    """Autocast to bfloat16; the codes' own arithmetic stays in float32."""

    def encode(self, audio: torch.Tensor) -> torch.Tensor:
        with torch.autocast(self.device, torch.bfloat16):
            return super().encode(audio)

    def decode(self, codes: torch.Tensor) -> torch.Tensor:
        with torch.autocast(self.device, torch.bfloat16):
            return super().decode(codes)


ROWS = (
    OURS,
    SPECTRAL,
    RECOMPUTED,
    COMPILED,
    Row("ours-cuda-graph", "ours, CUDA graph", partial(OursCompiled, mode="reduce-overhead")),
    Row("ours-bfloat16", "ours, bfloat16", OursHalf, dtype="bfloat16"),
    *PEERS,
)


@torch.inference_mode()
def differing_codes(device: str = "cuda", seconds: float = 10, batch: int = 8, **config) -> dict:
    """Encodes the same audio with the same weights in float32 and in bfloat16."""
    codec = OursHalf(device, **config)
    audio = codec.random_audio(seconds, batch)
    differ = codec.encode(audio) != Ours.encode(codec, audio)
    return {"share": differ.float().mean().item(), "codes": differ.numel()}
