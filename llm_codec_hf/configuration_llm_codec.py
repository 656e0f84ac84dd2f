# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Configuration of LLM-Codec, and every number that follows from it."""

import bisect
import hashlib
import json
import math
import os
from collections.abc import Mapping
from typing import Any

from transformers import PreTrainedConfig
from transformers.dynamic_module_utils import custom_object_save

from .arguments_llm_codec import true_or_false, whole_number
from .code_layout_llm_codec import CodeLayout
from .geometry_llm_codec import DECODER_VARIANTS, ENCODER_VARIANTS, Layer, rate, span

SPECTRAL_LATENT_DIM = 256  # where the encoder leaves the latents' channels open

# A configuration may come from a stranger: no size that it names may make loading hang, or take all memory.
MAX_RATE = 64  # stride of a block
MAX_LIST = 16  # blocks, and quantizer layers
MAX_CHANNELS = 2**14
MAX_CODEBOOK = 2**20
MAX_WEIGHTS = 2**31  # 8.6 GB in float32; the original has 80 million
MAX_PADDING = 2**20  # samples to whose multiple audio is padded: a minute at 16 kHz
SAMPLING_RATES = (1000, 1_000_000)  # Hz


# Where a saved codec finds its code, so that all of it loads without this package
AUTO_MAP = {
    "AutoConfig": "configuration_llm_codec.LLMCodecConfig",
    "AutoModel": "modeling_llm_codec.LLMCodecModel",
    "AutoModelForAudioTokenization": "modeling_llm_codec.LLMCodecModel",
}
ENCODER_AUTO_MAP = {
    "AutoConfig": "configuration_llm_codec.LLMCodecEncoderConfig",
    "AutoModel": "modeling_llm_codec.LLMCodecEncoderModel",
}
CUSTOM_PIPELINES = {
    "audio-fewshot": {"impl": "pipeline_audio_fewshot.AudioFewShotPipeline", "pt": ["AutoModel"], "type": "audio"}
}


class LLMCodecConfig(PreTrainedConfig):
    r"""
    The configuration of an [`LLMCodecModel`]. The defaults are those of the original checkpoint ("UniAudio 1.5",
    arXiv 2406.10056): 16 kHz, a word of the language model every 0.12 s in layer 0, a token every 0.06 s in layer 1
    and every 0.03 s in layer 2.

    Args:
        sampling_rate (`int`, defaults to 16000): Samples per second, in Hz.
        encoder_type (`str`, defaults to `"conv"`): `"conv"` is the original's encoder, of Snake convolutions;
            `"spectral"` is ours, of log mel spectra and ConvNeXt blocks.
        decoder_type (`str`, defaults to `"conv"`): `"conv"` is the original's decoder; `"spectral"` is ours, of
            ConvNeXt blocks and an inverse spectrogram (as Vocos, arXiv 2306.00814). Both types combine freely.
        encoder_options (`dict`, *optional*): Options of a type other than `"conv"`, whose are the fields below; what
            is left out has the default of `SPECTRAL_ENCODER_OPTIONS` in `geometry_llm_codec`.
        decoder_options (`dict`, *optional*): Likewise, of `SPECTRAL_DECODER_OPTIONS`.
        encoder_dim (`int`, defaults to 32): Channels after the encoder's first convolution; every block doubles them.
        encoder_rates (`list[int]`, defaults to `[3, 4, 5, 8]`): Strides of the encoder's blocks.
        latent_dim (`int`, *optional*): Channels of the latents. With a `"conv"` encoder they must be, and are by
            default, `encoder_dim * 2 ** len(encoder_rates)`; otherwise they are free, and 256 by default.
        decoder_dim (`int`, defaults to 1536): Channels before the decoder's first block; every block halves them.
        decoder_rates (`list[int]`, defaults to `[8, 5, 4, 3]`): Strides of the decoder's blocks.
        attn_window_size (`int` or `None`, defaults to 8): Frames in a window of local attention; `None` for none.
        attn_head_dim (`int`, defaults to 64): Channels of an attention head.
        vq_strides (`list[int]`, defaults to `[4, 2, 1]`): Frames that a code spans, per quantizer layer.
        codebook_sizes (`list[int]`, defaults to `[3248, 32000, 32000]`): Entries per quantizer layer: words, then
            tokens of the language model.
        noise (`bool`, defaults to `True`): Whether the decoder's blocks add noise.
        depthwise (`bool`, defaults to `True`): Whether the wide convolutions are depthwise.

    Raises:
        ValueError: For a combination that no model can have; the message names both values.
    """

    model_type = "llm_codec"
    _auto_map, _custom_pipelines = AUTO_MAP, CUSTOM_PIPELINES

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
        encoder_type="conv",
        decoder_type="conv",
        encoder_options=None,
        decoder_options=None,
        **kwargs,
    ):
        if given := sorted(name for name in kwargs if isinstance(vars(LLMCodecConfig).get(name), property)):
            raise ValueError(f"`{given[0]}` follows from other fields of the configuration; leave it out.")
        self.sampling_rate = whole_number("sampling_rate", sampling_rate, *SAMPLING_RATES)
        self.encoder_dim = whole_number("encoder_dim", encoder_dim, 1, MAX_CHANNELS)
        self.encoder_rates = _whole_numbers("encoder_rates", encoder_rates, 2, MAX_RATE)
        self.encoder_type, self.decoder_type = encoder_type, decoder_type
        self.encoder_options = _with_defaults("encoder", encoder_type, ENCODER_VARIANTS, encoder_options)
        self.decoder_options = _with_defaults("decoder", decoder_type, DECODER_VARIANTS, decoder_options)
        if latent_dim is None:
            latent_dim = encoder_dim * 2 ** len(self.encoder_rates) if encoder_type == "conv" else SPECTRAL_LATENT_DIM
        self.latent_dim = whole_number("latent_dim", latent_dim, 1, MAX_CHANNELS)
        self.decoder_dim = whole_number("decoder_dim", decoder_dim, 1, MAX_CHANNELS)
        self.decoder_rates = _whole_numbers("decoder_rates", decoder_rates, 2, MAX_RATE)
        if attn_window_size is not None:
            attn_window_size = whole_number("attn_window_size", attn_window_size, 1, MAX_PADDING)
        self.attn_window_size = attn_window_size
        self.attn_head_dim = whole_number("attn_head_dim", attn_head_dim, 1, MAX_CHANNELS)
        self.vq_strides = _whole_numbers("vq_strides", vq_strides, 1, MAX_PADDING)
        self.codebook_sizes = _whole_numbers("codebook_sizes", codebook_sizes, 1, MAX_CODEBOOK)
        self.noise = true_or_false("noise", noise)
        self.depthwise = true_or_false("depthwise", depthwise)
        self._check()
        if not __package__.startswith("transformers_modules"):
            # Imported as a package, the pipelines are registered: without this, `pipeline` would ask to trust the
            # same code in the checkpoint's folder.
            kwargs.pop("custom_pipelines", None)
        super().__init__(**kwargs)

    def to_dict(self) -> dict[str, Any]:
        """As every configuration's, with where the code of model and pipeline is."""
        named = getattr(self, "auto_map", None) or {}
        own = {name: place for name, place in named.items() if "--" not in place}  # no other repository's
        pipelines = {"custom_pipelines": self._custom_pipelines} if self._custom_pipelines else {}
        return super().to_dict() | {"auto_map": self._auto_map | own} | pipelines

    def save_pretrained(self, save_directory: str | os.PathLike, push_to_hub: bool = False, **kwargs) -> None:
        """As every configuration's; beside it goes the code of all that a codec is loaded as, the pipeline's too."""
        # here, since it loads all pipelines of Transformers, which only saving needs
        from .pipeline_audio_fewshot import AudioFewShotPipeline

        super().save_pretrained(save_directory, push_to_hub, **kwargs)
        custom_object_save(AudioFewShotPipeline, save_directory)

    def _check(self):
        if self.encoder_type == "conv":
            self._check_conv_encoder()
        if self.decoder_type == "conv":
            self._check_conv_decoder()
        if rate(self.encoder_layers) != rate(self.decoder_layers):
            names = {"conv": ("`encoder_rates`", "`decoder_rates`"), "spectral": ("its options", "its options")}
            raise ValueError(
                f"The {self.encoder_type!r} encoder ({names[self.encoder_type][0]}) has {rate(self.encoder_layers)} "
                f"samples per latent frame, the {self.decoder_type!r} decoder ({names[self.decoder_type][1]}) "
                f"{rate(self.decoder_layers)}; both must have one hop length."
            )
        semantic = self.encoder_options.get("semantic_channels", 0)
        if semantic >= self.latent_dim:
            raise ValueError(
                f"`semantic_channels` ({semantic}) of the encoder must be below `latent_dim` ({self.latent_dim})."
            )
        CodeLayout(tuple(self.vq_strides))  # checks them
        if len(self.codebook_sizes) != len(self.vq_strides):
            raise ValueError(
                f"`codebook_sizes` {self.codebook_sizes} and `vq_strides` {self.vq_strides} must have one value per "
                f"quantizer layer; they have {len(self.codebook_sizes)} and {len(self.vq_strides)}."
            )
        self._check_size()

    def _check_size(self):
        if self.pad_to_multiple_of > MAX_PADDING:
            raise ValueError(
                f"Audio would be padded to a multiple of {self.pad_to_multiple_of} samples, by the rates, `vq_strides` "
                f"{self.vq_strides} and `attn_window_size` {self.attn_window_size}; a codec has {MAX_PADDING} at most."
            )
        weights = sum(self.codebook_sizes) * self.latent_dim
        weights += ENCODER_VARIANTS[self.encoder_type].weights(self)
        weights += DECODER_VARIANTS[self.decoder_type].weights(self)
        if weights > MAX_WEIGHTS:
            raise ValueError(
                f"The sizes of this configuration ask for about {weights:.1e} weights; a codec has {MAX_WEIGHTS:.1e} "
                "at most. Check channels, codebook sizes and options."
            )

    def _check_conv_encoder(self):
        widest = self.encoder_dim * 2 ** len(self.encoder_rates)
        if self.latent_dim != widest:
            raise ValueError(
                f"`latent_dim` ({self.latent_dim}) must equal the encoder's last width, `encoder_dim` "
                f"({self.encoder_dim}) doubled by each of the {len(self.encoder_rates)} `encoder_rates`: {widest}."
            )
        self._check_heads("latent_dim")  # which the encoder attends over

    def _check_conv_decoder(self):
        if self.encoder_type == "conv" and math.prod(self.encoder_rates) != math.prod(self.decoder_rates):
            raise ValueError(
                f"`encoder_rates` {self.encoder_rates} and `decoder_rates` {self.decoder_rates} must have one product, "
                f"the hop length; they have {math.prod(self.encoder_rates)} and {math.prod(self.decoder_rates)}."
            )
        if self.decoder_dim % 2 ** len(self.decoder_rates):
            raise ValueError(
                f"`decoder_dim` ({self.decoder_dim}) is halved by each of the {len(self.decoder_rates)} "
                f"`decoder_rates`, so it must be a multiple of {2 ** len(self.decoder_rates)}."
            )
        self._check_heads("decoder_dim")  # which the decoder attends over

    def _check_heads(self, name):
        if self.attn_window_size is None:
            return
        if getattr(self, name) % self.attn_head_dim:
            raise ValueError(
                f"`{name}` ({getattr(self, name)}) must be a multiple of `attn_head_dim` "
                f"({self.attn_head_dim}) when `attn_window_size` is set."
            )
        if self.attn_head_dim % 2:
            raise ValueError(f"`attn_head_dim` ({self.attn_head_dim}) must be even for the rotary embedding.")

    @property
    def encoder_layers(self) -> list[Layer]:
        """What looks sideways in the encoder, from samples to latent frames."""
        return ENCODER_VARIANTS[self.encoder_type].layers(self)

    @property
    def decoder_layers(self) -> list[Layer]:
        """What looks sideways in the decoder, from latent frames to samples."""
        return DECODER_VARIANTS[self.decoder_type].layers(self)

    @property
    def hop_length(self) -> int:
        """Samples per latent frame."""
        return rate(self.encoder_layers)

    @property
    def frame_rate(self) -> float:
        """Latent frames per second, in Hz."""
        return self.sampling_rate / self.hop_length

    @property
    def group_length(self) -> int:
        """Samples per group: the span of one code of layer 0."""
        return self.hop_length * self.vq_strides[0]

    @property
    def pad_to_multiple_of(self) -> int:
        """Samples to whose multiple audio is padded: whole groups and whole attention windows."""
        frames = self.vq_strides[0]
        for layer in (*self.encoder_layers, *self.decoder_layers):
            frames = math.lcm(frames, layer.window)
        return self.hop_length * frames

    @property
    def codes_per_layer(self) -> list[int]:
        """Codes per group, for each quantizer layer."""
        return list(CodeLayout(tuple(self.vq_strides)).codes_per_layer)

    @property
    def codes_per_group(self) -> int:
        """Codes per group, of all layers."""
        return CodeLayout(tuple(self.vq_strides)).codes_per_group

    @property
    def num_codebooks(self) -> int:
        """Number of quantizer layers."""
        return len(self.vq_strides)

    @property
    def geometry(self) -> str:
        """A hash of what the state of a stream depends on besides weights: rates, layers and codebook sizes."""
        numbers = [self.encoder_layers, self.decoder_layers, self.vq_strides, self.codebook_sizes, self.sampling_rate]
        return hashlib.sha256(json.dumps(numbers).encode()).hexdigest()[:16]

    # ---- What depends on what. Chunks and streams give exactly what the whole gives because they ask here.

    def encoder_span(self, start: int, stop: int) -> tuple[int, int]:
        """The samples, from the first to before the last, that the latent frames `start … stop - 1` depend on.

        A span may reach before the audio's start and past its padded end, into the zeros there.
        """
        return span(self.encoder_layers, start, stop)

    def decoder_span(self, start: int, stop: int) -> tuple[int, int]:
        """The latent frames, from the first to before the last, that the samples `start … stop - 1` depend on."""
        return span(self.decoder_layers, start, stop)

    def determined_frames(self, samples: int) -> int:
        """Number of leading latent frames computable from the first `samples` samples."""
        stops = range(1, samples // self.hop_length + 1)
        return bisect.bisect_right(stops, samples, key=lambda stop: self.encoder_span(stop - 1, stop)[1])

    def determined_samples(self, frames: int) -> int:
        """Number of leading decoded samples computable from the first `frames` latent frames."""
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
        """Bits per second that the codes carry."""
        bits = sum(n * math.log2(size) for n, size in zip(self.codes_per_layer, self.codebook_sizes))
        return bits * self.sampling_rate / self.group_length


class LLMCodecEncoderConfig(LLMCodecConfig):
    """
    The configuration of an [`LLMCodecEncoderModel`]: that of the codec whose encoder it is, the decoder's fields
    included, so that codes and streams say whose they are. A whole codec's is read as its encoder's.
    """

    model_type = "llm_codec_encoder"
    _auto_map, _custom_pipelines = ENCODER_AUTO_MAP, None

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], **kwargs):
        """As every configuration's; a whole codec's is taken, too."""
        return super().from_dict(_of_the_encoder(config_dict), **kwargs)

    @classmethod
    def get_config_dict(cls, *args, **kwargs) -> tuple[dict[str, Any], dict[str, Any]]:
        """As every configuration's; a whole codec's is taken, too."""
        config_dict, kwargs = super().get_config_dict(*args, **kwargs)
        return _of_the_encoder(config_dict), kwargs


def _of_the_encoder(config: dict[str, Any]) -> dict[str, Any]:
    """The fields of a whole codec's configuration, less those that say how the whole is loaded."""
    if config.get("model_type") != LLMCodecConfig.model_type:
        return config
    whole = ("auto_map", "custom_pipelines", "architectures")
    fields = {name: value for name, value in config.items() if name not in whole}
    return fields | {"model_type": LLMCodecEncoderConfig.model_type}


def _whole_numbers(name: str, values: Any, least: int, most: int) -> list[int]:
    if not isinstance(values, (list, tuple)) or not 1 <= len(values) <= MAX_LIST:
        raise ValueError(f"`{name}` is a list of 1 to {MAX_LIST} integers from {least} to {most}; got {values!r:.100}.")
    return [whole_number(name, value, least, most) for value in values]


__all__ = ["LLMCodecConfig"]


def _with_defaults(part: str, kind: str, variants: Mapping, options: Mapping | None) -> dict:
    """All options of a type of encoder or decoder: those given, and the defaults of the others."""
    if not isinstance(kind, str) or kind not in variants:
        raise ValueError(f"`{part}_type` is one of {', '.join(map(repr, variants))}; got {kind!r}.")
    options = {} if options is None else options
    if not isinstance(options, Mapping):
        raise ValueError(f"`{part}_options` takes a mapping of names to values, got {options!r}.")
    known = variants[kind].options
    if unknown := sorted(map(str, set(options) - set(known))):
        has = f"it has {', '.join(known)}" if known else "its options are fields of the configuration"
        raise ValueError(f"`{part}_options`: a {kind!r} {part} has no option {', '.join(unknown)}; {has}.")
    merged = {**known, **options}
    variants[kind].check(f"{part}_options", merged)
    return merged
