# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""
The codecs that are measured, each with its published configuration and random weights.

A codec here has `model`, `sampling_rate`, `encode(audio)`, `decode(codes)`, `random_audio(seconds, batch)` and
`random_codes(seconds, batch)`. `compiles` tells that a first call compiles, and `flops_once` is the number of
floating-point operations of a call, of either kind, that do not depend on its audio.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch


class Codec:
    compiles = False
    flops_once = {"encode": 0, "decode": 0}

    def __init__(self, model: torch.nn.Module, sampling_rate: int, device: str):
        torch.backends.cudnn.allow_tf32 = False  # on a GPU, float32 throughout
        self.model = model.eval().requires_grad_(False).to(device)
        self.sampling_rate = sampling_rate
        self.device = device

    def random_audio(self, seconds: float, batch: int) -> torch.Tensor:
        generator = torch.Generator(self.device).manual_seed(0)
        samples = round(seconds * self.sampling_rate)
        return torch.randn(batch, 1, samples, generator=generator, device=self.device).mul_(0.1)

    def uniform_codes(self, size: int, *shape: int) -> torch.Tensor:
        return torch.randint(size, shape, device=self.device)

    def frames(self, seconds: float, hop_length: int) -> int:
        return math.ceil(round(seconds * self.sampling_rate) / hop_length)


class Ours(Codec):
    def __init__(self, device: str = "cpu", **config):
        from llm_codec_hf import LLMCodecConfig, LLMCodecModel  # here as below: a process loads its own codec only

        config = LLMCodecConfig(**config)
        super().__init__(LLMCodecModel(config), config.sampling_rate, device)

    def encode(self, audio: torch.Tensor) -> torch.Tensor:
        return self.model.encode(audio).audio_codes

    def random_codes(self, seconds: float, batch: int) -> torch.Tensor:
        config = self.model.config
        groups = self.frames(seconds, config.pad_to_multiple_of) * config.pad_to_multiple_of // config.group_length
        sizes = zip(config.codebook_sizes, config.codes_per_layer)
        return torch.cat([self.uniform_codes(size, batch, rows, groups) for size, rows in sizes], dim=1)

    def decode(self, codes: torch.Tensor) -> torch.Tensor:
        return self.model.decode(codes).audio_values


class OursSpectral(Ours):
    """The spectral encoder and decoder, with codebooks of the embedded default's size."""

    def __init__(self, device: str = "cpu", codebook_sizes: tuple[int, ...] = (4096, 8192, 8192), **config):
        pair = {"encoder_type": "spectral", "decoder_type": "spectral"}
        super().__init__(device, **pair, codebook_sizes=codebook_sizes, **config)


class OursEmbedded(Ours):
    """The embedded default: the spectral pair, with a larger decoder than by default."""

    def __init__(self, device: str = "cpu"):
        from llm_codec_hf import LLMCodecModel
        from llm_codec_hf.embedded import default_codec

        model = LLMCodecModel.from_pretrained(default_codec())
        Codec.__init__(self, model, model.config.sampling_rate, device)


class OursRecomputed(Ours):
    """
    The original's way: a call projects the language model's embedding tables; `encode` does so twice, to compare with
    the entries and to look entries up.
    """

    def __init__(self, device: str = "cpu", embedding_dim: int = 4096, **config):
        super().__init__(device, **config)
        sizes, latent_dim = self.model.config.codebook_sizes, self.model.config.latent_dim
        self.tables = [torch.randn(size, embedding_dim, device=device) for size in sizes]
        self.projections = [torch.nn.Linear(embedding_dim, latent_dim, device=device) for _ in sizes]
        flops = 2 * sum(sizes) * embedding_dim * latent_dim
        self.flops_once = {"encode": 2 * flops, "decode": flops}

    def project(self) -> None:
        for layer, table, projection in zip(self.model.quantizer.layers, self.tables, self.projections):
            layer.set_codebook(projection(table))

    def encode(self, audio: torch.Tensor) -> torch.Tensor:
        self.project()
        self.project()
        return super().encode(audio)

    def decode(self, codes: torch.Tensor) -> torch.Tensor:
        self.project()
        return super().decode(codes)


class OursCompiled(Ours):
    """Encoder and decoder by `torch.compile`, for each shape anew."""

    compiles = True

    def __init__(self, device: str = "cpu", mode: str = "default", **config):
        super().__init__(device, **config)
        torch._dynamo.config.recompile_limit = 64  # a shape each; past the limit it would run eagerly
        for module in (self.model.encoder, self.model.decoder):
            compiled = torch.compile(module.forward, dynamic=False, mode=mode)
            module.forward = cloned(compiled) if mode == "reduce-overhead" else compiled


def cloned(function: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    """Copies what a CUDA graph returns, which lies in memory that its next call overwrites."""

    def call(*args, **kwargs):
        return function(*args, **kwargs).clone()

    return call


class Dac(Codec):
    """`descript/dac_16khz`: 12 codebooks, 8 kbps."""

    def __init__(self, device: str = "cpu", **config):
        from transformers import DacConfig, DacModel

        config = DacConfig(**{"downsampling_ratios": [2, 4, 5, 8], "n_codebooks": 12, **config})
        super().__init__(DacModel(config), config.sampling_rate, device)

    def encode(self, audio: torch.Tensor) -> torch.Tensor:
        return self.model.encode(audio).audio_codes

    def random_codes(self, seconds: float, batch: int) -> torch.Tensor:
        config = self.model.config
        frames = self.frames(seconds, math.prod(config.downsampling_ratios))
        return self.uniform_codes(config.codebook_size, batch, config.n_codebooks, frames)

    def decode(self, codes: torch.Tensor) -> torch.Tensor:
        return self.model.decode(audio_codes=codes).audio_values


class Encodec(Codec):
    """`facebook/encodec_24khz` (the class's defaults) at 6 kbps: 8 of its 32 codebooks."""

    bandwidth = 6.0

    def __init__(self, device: str = "cpu", **config):
        from transformers import EncodecConfig, EncodecModel

        config = EncodecConfig(**config)
        super().__init__(EncodecModel(config), config.sampling_rate, device)
        fill_codebooks(self.model)

    def encode(self, audio: torch.Tensor) -> torch.Tensor:
        return self.model.encode(audio, bandwidth=self.bandwidth).audio_codes

    def random_codes(self, seconds: float, batch: int) -> torch.Tensor:
        config = self.model.config
        codebooks = self.model.quantizer.get_num_quantizers_for_bandwidth(self.bandwidth)
        frames = self.frames(seconds, math.prod(config.upsampling_ratios))
        return self.uniform_codes(config.codebook_size, 1, batch, codebooks, frames)

    def decode(self, codes: torch.Tensor) -> torch.Tensor:
        return self.model.decode(codes, [None]).audio_values


class Mimi(Codec):
    """`kyutai/mimi` (the class's defaults): all 32 codebooks, 4.4 kbps."""

    def __init__(self, device: str = "cpu", **config):
        from transformers import MimiConfig, MimiModel

        config = MimiConfig(**config)
        super().__init__(MimiModel(config), config.sampling_rate, device)
        fill_codebooks(self.model)

    def encode(self, audio: torch.Tensor) -> torch.Tensor:
        return self.model.encode(audio).audio_codes

    def random_codes(self, seconds: float, batch: int) -> torch.Tensor:
        config = self.model.config
        frames = self.frames(seconds, config.frame_size)
        return self.uniform_codes(config.codebook_size, batch, config.num_quantizers, frames)

    def decode(self, codes: torch.Tensor) -> torch.Tensor:
        return self.model.decode(codes).audio_values


class Snac(Codec):
    """`hubertsiuzdak/snac_24khz`: 3 codebooks, 0.98 kbps."""

    def __init__(self, device: str = "cpu", **config):
        from llm_codec_hf.extras import require

        require("benchmark", "SNAC", "snac", "einops")
        from snac import SNAC

        published = {"sampling_rate": 24000, "encoder_dim": 48, "encoder_rates": [2, 4, 8, 8]}
        published |= {"decoder_dim": 1024, "decoder_rates": [8, 8, 4, 2], "attn_window_size": None}
        published |= {"codebook_size": 4096, "codebook_dim": 8, "vq_strides": [4, 2, 1]}
        model = SNAC(**{**published, "noise": True, "depthwise": True, **config})
        super().__init__(model, model.sampling_rate, device)

    def encode(self, audio: torch.Tensor) -> list[torch.Tensor]:
        return self.model.encode(audio)

    def random_codes(self, seconds: float, batch: int) -> list[torch.Tensor]:
        groups = self.frames(seconds, int(self.model.hop_length) * self.model.vq_strides[0])
        steps = [groups * self.model.vq_strides[0] // stride for stride in self.model.vq_strides]
        return [self.uniform_codes(self.model.codebook_size, batch, n) for n in steps]

    def decode(self, codes: list[torch.Tensor]) -> torch.Tensor:
        return self.model.decode(codes)


def fill_codebooks(model: torch.nn.Module) -> None:
    """Random entries for codebooks that a fresh model of Transformers leaves at zero."""
    for name, buffer in model.named_buffers():
        if name.endswith((".embed", ".embed_sum")):
            buffer.normal_()


@dataclass(frozen=True)
class Row:
    """
    A row of the table.

    Args:
        key: Its name in the results and on the command line.
        title: Its name in the table.
        build: Makes the codec; called in the row's own process with `device`, so it can be pickled.
        dtype: Of its products; the ceiling is measured in the same.
    """

    key: str
    title: str
    build: Callable[..., Codec]
    dtype: str = "float32"


OURS = Row("ours", "ours", Ours)
SPECTRAL = Row("ours-spectral", "ours, spectral pair", OursSpectral)
EMBEDDED = Row("ours-embedded", "ours, embedded default", OursEmbedded)
RECOMPUTED = Row("ours-recomputed", "ours, projections recomputed", OursRecomputed)
COMPILED = Row("ours-compiled", "ours, compiled", OursCompiled)
PEERS = (
    Row("dac", "DAC 16 kHz", Dac),
    Row("encodec", "EnCodec 24 kHz", Encodec),
    Row("mimi", "Mimi", Mimi),
    Row("snac", "SNAC 24 kHz", Snac),
)
