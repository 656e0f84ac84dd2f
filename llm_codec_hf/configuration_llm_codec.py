# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Configuration of LLM-Codec, and every number that follows from it."""

import bisect
import math

from transformers import PreTrainedConfig

KERNEL_SIZE = 7  # of every convolution that keeps its rate, but for the pointwise ones
DILATIONS = (1, 3, 9)  # of a block's residual units

# Steps that a convolution of KERNEL_SIZE sees on either side, and so do a block's residual units together.
CONV_REACH = KERNEL_SIZE // 2
BLOCK_REACH = CONV_REACH * sum(DILATIONS)


class LLMCodecConfig(PreTrainedConfig):
    r"""
    The configuration of an [`LLMCodecModel`]. The defaults are those of the original checkpoint ("UniAudio 1.5",
    arXiv 2406.10056): 16 kHz, a word of the language model every 0.12 s in layer 0, a token every 0.06 s in layer 1
    and every 0.03 s in layer 2.

    Args:
        sampling_rate (`int`, defaults to 16000): Samples a second, in Hz.
        encoder_dim (`int`, defaults to 32): Channels after the encoder's first convolution; every block doubles them.
        encoder_rates (`list[int]`, defaults to `[3, 4, 5, 8]`): Strides of the encoder's blocks.
        latent_dim (`int`, *optional*): Channels of the latents; `encoder_dim * 2 ** len(encoder_rates)`, and the
            default.
        decoder_dim (`int`, defaults to 1536): Channels before the decoder's first block; every block halves them.
        decoder_rates (`list[int]`, defaults to `[8, 5, 4, 3]`): Strides of the decoder's blocks.
        attn_window_size (`int` or `None`, defaults to 8): Frames in a window of local attention; `None` for none.
        attn_head_dim (`int`, defaults to 64): Channels of an attention head.
        vq_strides (`list[int]`, defaults to `[4, 2, 1]`): Frames a code spans, a quantizer layer each.
        codebook_sizes (`list[int]`, defaults to `[3248, 32000, 32000]`): Entries a quantizer layer: words, then tokens
            of the language model.
        noise (`bool`, defaults to `True`): Whether the decoder's blocks add noise.
        depthwise (`bool`, defaults to `True`): Whether the wide convolutions are depthwise.

    Raises:
        ValueError: for a combination that no model can have; the message names both values.
    """

    model_type = "llm_codec"

    def __init__(
        self,
        sampling_rate=16000,
        encoder_dim=32,
        encoder_rates=(3, 4, 5, 8),
        latent_dim=None,
        decoder_dim=1536,
        decoder_rates=(8, 5, 4, 3),
        attn_window_size=8,
        attn_head_dim=64,
        vq_strides=(4, 2, 1),
        codebook_sizes=(3248, 32000, 32000),
        noise=True,
        depthwise=True,
        **kwargs,
    ):
        self.sampling_rate = sampling_rate
        self.encoder_dim = encoder_dim
        self.encoder_rates = list(encoder_rates)
        self.latent_dim = encoder_dim * 2 ** len(self.encoder_rates) if latent_dim is None else latent_dim
        self.decoder_dim = decoder_dim
        self.decoder_rates = list(decoder_rates)
        self.attn_window_size = attn_window_size
        self.attn_head_dim = attn_head_dim
        self.vq_strides = list(vq_strides)
        self.codebook_sizes = list(codebook_sizes)
        self.noise = noise
        self.depthwise = depthwise
        self._check()
        if not __package__.startswith("transformers_modules"):
            # Imported as a package, the pipelines are registered: without this, `pipeline` would ask to trust the
            # same code in the checkpoint's folder.
            kwargs.pop("custom_pipelines", None)
        super().__init__(**kwargs)

    def _check(self):
        for name in ("sampling_rate", "encoder_dim", "latent_dim", "decoder_dim", "attn_head_dim"):
            _check_positive(name, [getattr(self, name)])
        for name in ("encoder_rates", "decoder_rates", "vq_strides", "codebook_sizes"):
            if not getattr(self, name):
                raise ValueError(f"`{name}` is empty; it takes at least one positive integer.")
            _check_positive(name, getattr(self, name))
        for name in ("encoder_rates", "decoder_rates"):
            if min(getattr(self, name)) < 2:
                raise ValueError(f"`{name}` takes rates from 2 on, got {getattr(self, name)}.")
        widest = self.encoder_dim * 2 ** len(self.encoder_rates)
        if self.latent_dim != widest:
            raise ValueError(
                f"`latent_dim` ({self.latent_dim}) must equal the encoder's last width, `encoder_dim` "
                f"({self.encoder_dim}) doubled by each of the {len(self.encoder_rates)} `encoder_rates`: {widest}."
            )
        if math.prod(self.encoder_rates) != math.prod(self.decoder_rates):
            raise ValueError(
                f"`encoder_rates` {self.encoder_rates} and `decoder_rates` {self.decoder_rates} must have one product, "
                f"the hop length; they have {math.prod(self.encoder_rates)} and {math.prod(self.decoder_rates)}."
            )
        if self.decoder_dim % 2 ** len(self.decoder_rates):
            raise ValueError(
                f"`decoder_dim` ({self.decoder_dim}) is halved by each of the {len(self.decoder_rates)} "
                f"`decoder_rates`, so it must be a multiple of {2 ** len(self.decoder_rates)}."
            )
        if self.attn_window_size is not None:
            _check_positive("attn_window_size", [self.attn_window_size])
            # the encoder attends over latent_dim channels, the decoder over decoder_dim
            for name in ("latent_dim", "decoder_dim"):
                if getattr(self, name) % self.attn_head_dim:
                    raise ValueError(
                        f"`{name}` ({getattr(self, name)}) must be a multiple of `attn_head_dim` "
                        f"({self.attn_head_dim}) when `attn_window_size` is set."
                    )
            if self.attn_head_dim % 2:
                raise ValueError(f"`attn_head_dim` ({self.attn_head_dim}) must be even for the rotary embedding.")
        if any(self.vq_strides[0] % stride for stride in self.vq_strides):
            raise ValueError(f"Each of `vq_strides` {self.vq_strides} must divide the first, {self.vq_strides[0]}.")
        if len(self.codebook_sizes) != len(self.vq_strides):
            raise ValueError(
                f"`codebook_sizes` {self.codebook_sizes} and `vq_strides` {self.vq_strides} must have one value a "
                f"quantizer layer; they have {len(self.codebook_sizes)} and {len(self.vq_strides)}."
            )

    @property
    def hop_length(self) -> int:
        """Samples a latent frame."""
        return math.prod(self.encoder_rates)

    @property
    def frame_rate(self) -> float:
        """Latent frames a second, in Hz."""
        return self.sampling_rate / self.hop_length

    @property
    def group_length(self) -> int:
        """Samples a group: the span of one code of layer 0."""
        return self.hop_length * self.vq_strides[0]

    @property
    def pad_to_multiple_of(self) -> int:
        """Samples to whose multiple audio is padded: whole groups and whole attention windows."""
        return self.hop_length * math.lcm(self.vq_strides[0], self.attn_window_size or 1)

    @property
    def codes_per_layer(self) -> list[int]:
        """Codes a group, a quantizer layer each."""
        return [self.vq_strides[0] // stride for stride in self.vq_strides]

    @property
    def codes_per_group(self) -> int:
        """Codes a group, all layers."""
        return sum(self.codes_per_layer)

    @property
    def num_codebooks(self) -> int:
        """Quantizer layers."""
        return len(self.vq_strides)

    # ---- What depends on what. Chunks and streams give exactly what the whole gives because they ask here.

    def encoder_span(self, start: int, stop: int) -> tuple[int, int]:
        """The samples, from the first to before the last, that the latent frames `start … stop - 1` depend on.

        A span may reach before the audio's start and past its padded end, into the zeros there.
        """
        start, stop = self._whole_windows(start - CONV_REACH, stop + CONV_REACH)
        for rate in reversed(self.encoder_rates):
            first = start * rate - math.ceil(rate / 2)
            last = (stop - 1) * rate - math.ceil(rate / 2) + 2 * rate
            start, stop = first - BLOCK_REACH, last + BLOCK_REACH
        return start - CONV_REACH, stop + CONV_REACH

    def decoder_span(self, start: int, stop: int) -> tuple[int, int]:
        """The latent frames, from the first to before the last, that the samples `start … stop - 1` depend on."""
        start, stop = start - CONV_REACH, stop + CONV_REACH
        for rate in reversed(self.decoder_rates):
            start, stop = start - BLOCK_REACH, stop + BLOCK_REACH
            # step t of a transposed convolution is made of the inputs i with 0 ≤ t + padding - i · rate < 2 · rate
            padding = math.ceil(rate / 2)
            start, stop = -(-(start + padding + 1 - 2 * rate) // rate), (stop - 1 + padding) // rate + 1
        start, stop = self._whole_windows(start, stop)
        return start - CONV_REACH, stop + CONV_REACH

    def _whole_windows(self, start: int, stop: int) -> tuple[int, int]:
        window = self.attn_window_size or 1
        return start // window * window, -(-stop // window) * window

    def determined_frames(self, samples: int) -> int:
        """The latent frames that depend on the first so many samples alone."""
        stops = range(1, samples // self.hop_length + 1)
        return bisect.bisect_right(stops, samples, key=lambda stop: self.encoder_span(stop - 1, stop)[1])

    def determined_samples(self, frames: int) -> int:
        """The decoded samples that depend on the first so many latent frames alone."""
        stops = range(1, frames * self.hop_length + 1)
        return bisect.bisect_right(stops, frames, key=lambda stop: self.decoder_span(stop - 1, stop)[1])

    @property
    def encoder_lookahead(self) -> int:
        """Samples after the end of a group that its codes depend on, at most."""
        stops = range(self.vq_strides[0], self.pad_to_multiple_of // self.hop_length + 1, self.vq_strides[0])
        return max(self.encoder_span(stop - 1, stop)[1] - stop * self.hop_length for stop in stops)

    @property
    def decoder_lookahead(self) -> int:
        """Samples at the end of whole groups that depend on the groups after them, at most."""
        windows = self.pad_to_multiple_of // self.hop_length
        last = self.decoder_span(0, 1)[1] + windows  # from here on some samples are determined
        stops = range(last // windows * windows, last + windows, self.vq_strides[0])
        return max(stop * self.hop_length - self.determined_samples(stop) for stop in stops)

    @property
    def bitrate(self) -> float:
        """Bits a second that the codes carry."""
        bits = sum(n * math.log2(size) for n, size in zip(self.codes_per_layer, self.codebook_sizes))
        return bits * self.sampling_rate / self.group_length


def _check_positive(name: str, values: list) -> None:
    for value in values:
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"`{name}` takes positive integers, got {value!r}.")


__all__ = ["LLMCodecConfig"]
