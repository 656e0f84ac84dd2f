# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""LLM-Codec: audio in words of a language model ("UniAudio 1.5", arXiv 2406.10056)."""

from dataclasses import dataclass

import torch
from torch import nn
from transformers import initialization as init
from transformers.modeling_utils import PreTrainedAudioTokenizerBase
from transformers.utils import ModelOutput, auto_docstring, can_return_tuple

from .arguments_llm_codec import whole_number
from .code_layout_llm_codec import CodeLayout
from .configuration_llm_codec import LLMCodecConfig, LLMCodecEncoderConfig
from .conv_llm_codec import LLMCodecConvDecoder, LLMCodecConvEncoder
from .encoding_llm_codec import LLMCodecEncoderOutput, LLMCodecEncodingMixin
from .model_inputs_llm_codec import LLMCodecInputsMixin
from .quantizer_llm_codec import LLMCodecQuantizer
from .spectral_llm_codec import LLMCodecSpectralDecoder, LLMCodecSpectralEncoder
from .streaming_llm_codec import LLMCodecStreamingMixin
from .weights_llm_codec import LLMCodecWeightsMixin

ENCODERS = {"conv": LLMCodecConvEncoder, "spectral": LLMCodecSpectralEncoder}
DECODERS = {"conv": LLMCodecConvDecoder, "spectral": LLMCodecSpectralDecoder}


@dataclass
class LLMCodecDecoderOutput(ModelOutput):
    r"""
    audio_values (`torch.FloatTensor` of shape `(batch_size, 1, samples)`): Audio in −1 … 1.
    """

    audio_values: torch.FloatTensor | None = None


@dataclass
class LLMCodecOutput(ModelOutput):
    r"""
    audio_values (`torch.FloatTensor` of shape `(batch_size, 1, samples)`): Reconstruction, of the input's length.
    audio_codes (`torch.LongTensor` of shape `(batch_size, codes_per_group, groups)`): As in `encode`.
    audio_codes_mask (`torch.LongTensor` of shape `(batch_size, groups)`): As in `encode`.
    commitment_loss (`torch.FloatTensor` of shape `(batch_size,)`):
        Mean squared distance of the latents to their (fixed) codebook entries, summed over layers.
    codebook_loss (`torch.FloatTensor` of shape `(batch_size,)`):
        The same distance with the latents fixed; moves codebooks only where a trainer passes its own.
    quantized_layers (`tuple[torch.FloatTensor]`, each of shape `(batch_size, latent_dim, frames)`):
        Every layer's entries at the full frame rate; their sum is what the decoder reads.
    """

    audio_values: torch.FloatTensor | None = None
    audio_codes: torch.LongTensor | None = None
    audio_codes_mask: torch.LongTensor | None = None
    commitment_loss: torch.FloatTensor | None = None
    codebook_loss: torch.FloatTensor | None = None
    quantized_layers: tuple[torch.FloatTensor, ...] | None = None


class LLMCodecPreTrainedModel(LLMCodecWeightsMixin, PreTrainedAudioTokenizerBase):
    config_class = LLMCodecConfig
    base_model_prefix = "llm_codec"
    main_input_name = "input_values"
    input_modalities = ("audio",)
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _keep_in_fp32_modules_strict = ["codebook", "codebook_inverse_norm"]
    _no_split_modules = [
        "LLMCodecEncoderBlock",
        "LLMCodecDecoderBlock",
        "LLMCodecLocalAttention",
        "LLMCodecConvNeXtBlock",
    ]

    @torch.no_grad()
    def _init_weights(self, module):
        if hasattr(module, "initialize"):
            module.initialize()
        elif isinstance(module, nn.Linear):
            init.xavier_uniform_(module.weight)
            if module.bias is not None:
                init.zeros_(module.bias)
        elif isinstance(module, nn.LayerNorm):
            init.ones_(module.weight)
            init.zeros_(module.bias)


@auto_docstring(custom_intro="LLM-Codec: encodes 16 kHz audio in words and tokens of a language model, and decodes it.")
class LLMCodecModel(LLMCodecEncodingMixin, LLMCodecInputsMixin, LLMCodecStreamingMixin, LLMCodecPreTrainedModel):
    def __init__(self, config: LLMCodecConfig):
        super().__init__(config)
        self.code_layout = CodeLayout(tuple(config.vq_strides))
        self.encoder = ENCODERS[config.encoder_type](config)
        self.quantizer = LLMCodecQuantizer(config)
        self.decoder = DECODERS[config.decoder_type](config)
        self.post_init()

    def _decode_frames(
        self,
        source: torch.Tensor,
        frame_mask: torch.BoolTensor | None,
        start: int,
        stop: int,
        noise: bool,
        noises: list[torch.Tensor | None] | None = None,
        offset: int = 0,
    ) -> torch.Tensor:
        """
        Audio of the frames `start … stop - 1` of codes or latents; `source[0]` is frame `offset` of the stream. Noise
        depends on the absolute position unless `noises`, for all frames, is given.
        """
        hop, window, group = self.config.hop_length, self.config.pad_to_multiple_of, self.config.vq_strides[0]
        frames = source.shape[-1] if source.is_floating_point() else source.shape[-1] * group
        window //= hop
        first, last = self.config.decoder_span(start * hop, stop * hop)
        first, last = max(first // window * window, 0), min(-(-last // window) * window, frames)
        if source.is_floating_point():
            latents = source[..., first:last]
        else:
            latents = self._latents_of(source[..., first // group : last // group])
        if noise and noises is None:
            noises = self.decoder.draw_noise(offset + first, offset + last, latents.device)
        elif noises is not None:
            steps = [0 if n is None else n.shape[1] // frames for n in noises]
            noises = [n if n is None else n[:, first * step : last * step] for n, step in zip(noises, steps)]
        mask = None if frame_mask is None else frame_mask[:, first:last]
        audio_values = self.decoder(latents.to(self.dtype), mask, noises)
        return audio_values[..., (start - first) * hop : (stop - first) * hop]

    # ---- Encode, decode

    @can_return_tuple
    def decode(
        self,
        audio_codes: torch.LongTensor | None = None,
        latents: torch.FloatTensor | None = None,
        audio_codes_mask: torch.LongTensor | None = None,
        noise: bool = True,
        generator: torch.Generator | None = None,
        length: int | None = None,
        chunk_length_s: float | None = None,
    ) -> tuple | LLMCodecDecoderOutput:
        r"""
        Decodes codes, or quantized latents. Deterministic unless a `generator` is given.

        Args:
            audio_codes (`torch.LongTensor` of shape `(batch_size, codes_per_group, groups)`, *optional*):
                Codes; −1 adds nothing, so that some layers decode alone. Without a mask, groups of nothing but −1 are
                taken as padding.
            latents (`torch.FloatTensor` of shape `(batch_size, latent_dim, frames)`, *optional*):
                Quantized latents in place of codes.
            audio_codes_mask (`torch.LongTensor` of shape `(batch_size, groups)`, *optional*):
                1 for the groups of an item, followed by 0 for padding; audio past them is zero.
            noise (`bool`, *optional*, defaults to `True`):
                Whether the noise blocks of the decoder add their noise.
            generator (`torch.Generator`, *optional*):
                Source of that noise; by default it is a fixed function of a sample's position.
            length (`int`, *optional*):
                Samples to return; by default all of the groups'.
            chunk_length_s (`float`, *optional*):
                Seconds decoded at once, which bound the memory; 20 by default. The audio is the same for every length,
                within float rounding.

        Returns:
            [`LLMCodecDecoderOutput`] or a tuple of its field.

        Raises:
            TypeError: for anything but tensors, and for a `generator` of another kind.
            ValueError: for both or neither of `audio_codes` and `latents`, for codes out of range, for another shape,
                for a mask that is not 1s and then 0s, for groups of −1 before others, for latents that are not finite,
                and for a `length` that the codes do not reach.
        """
        if (audio_codes is None) == (latents is None):
            raise ValueError("`decode` takes either `audio_codes` or `latents`, got both or neither.")
        self._check_noise(noise, generator)
        self._check_chunk_length(chunk_length_s)
        group = self.config.vq_strides[0]
        if audio_codes is not None:
            self._check_codes(audio_codes)
            groups = self._groups(audio_codes, audio_codes_mask)
            batch, frames = len(audio_codes), audio_codes.shape[-1] * group
        else:
            groups = self._check_latents(latents, audio_codes_mask)
            batch, frames = len(latents), latents.shape[-1]
        self._check_length("decode", frames)
        if groups is not None and not torch.compiler.is_compiling() and not groups[:, 0].all():
            raise ValueError("An item of `audio_codes` is −1, or masked, throughout; leave it out of the batch.")
        if length is not None and not torch.compiler.is_compiling():
            whole_number("length", length, 1, frames * self.config.hop_length)
        frame_mask = None if groups is None else groups.repeat_interleave(group, dim=1)
        noises = None
        if noise and generator is not None:
            noises = self.decoder.draw_noise(0, frames, self.device, batch, generator)
        source = audio_codes if latents is None else latents
        audio_values = [
            self._decode_frames(source, frame_mask, start, stop, noise, noises)
            for start, stop in self._chunks(frames, chunk_length_s)
        ]
        audio_values = torch.cat(audio_values, dim=-1)
        if length is not None:
            audio_values = audio_values[..., :length]
        if latents is not None and not torch.compiler.is_compiling() and not audio_values.isfinite().all():
            raise ValueError("`latents` give audio that is not finite; pass such as `dequantize` gives.")
        return LLMCodecDecoderOutput(audio_values=audio_values)

    @can_return_tuple
    @auto_docstring
    def forward(
        self,
        input_values: torch.FloatTensor,
        padding_mask: torch.LongTensor | None = None,
        noise: bool = True,
        generator: torch.Generator | None = None,
        codebooks: list[torch.Tensor] | None = None,
    ) -> tuple | LLMCodecOutput:
        r"""
        input_values (`torch.FloatTensor` of shape `(batch_size, 1, samples)`):
            Mono audio at `config.sampling_rate`, in −1 … 1.
        padding_mask (`torch.LongTensor` of shape `(batch_size, samples)`, *optional*):
            1 for audio, 0 for padding on either side. The output is padded on the right.
        noise (`bool`, *optional*, defaults to `True`):
            Whether the noise blocks of the decoder add their noise.
        generator (`torch.Generator`, *optional*):
            Source of that noise; by default it is a fixed function of a sample's position.
        codebooks (`list[torch.Tensor]`, *optional*):
            Codebooks to use in place of the model's own: a trainer passes projections that learn.
        """
        self._check_noise(noise, generator)
        self._check_codebooks(codebooks)
        prepared, frame_mask = self._prepare_audio(input_values, padding_mask)
        samples, input_values = input_values.shape[-1], prepared
        batch, frames = len(input_values), input_values.shape[-1] // self.config.hop_length
        if codebooks is None:
            codes, latents = self._encode_frames(input_values, frame_mask, 0, frames)
        else:
            latents = self.encoder(input_values, frame_mask)
            codes, _ = self.quantizer.encode(latents, frame_mask, codebooks)
        layers, commitment_loss, codebook_loss = self.quantizer(latents, codes, frame_mask, codebooks)
        noises = self.decoder.draw_noise(0, frames, self.device, batch, generator) if noise else None
        audio_values = self.decoder(sum(layers).to(self.dtype), frame_mask, noises)
        audio_codes = self.code_layout.merge(codes)
        return LLMCodecOutput(
            audio_values=audio_values[..., :samples],
            audio_codes=audio_codes,
            audio_codes_mask=self._group_mask(frame_mask, audio_codes),
            commitment_loss=commitment_loss,
            codebook_loss=codebook_loss,
            quantized_layers=layers,
        )


@auto_docstring(custom_intro="The encoder and the codebooks of an LLM-Codec, without its decoder: audio to codes.")
class LLMCodecEncoderModel(LLMCodecEncodingMixin, LLMCodecInputsMixin, LLMCodecStreamingMixin, LLMCodecPreTrainedModel):
    config_class = LLMCodecEncoderConfig
    # of a whole codec, which loads as its encoder: no tensor of its decoder is read
    _keys_to_ignore_on_load_unexpected = [r"^decoder\."]

    def __init__(self, config: LLMCodecEncoderConfig):
        super().__init__(config)
        self.code_layout = CodeLayout(tuple(config.vq_strides))
        self.encoder = ENCODERS[config.encoder_type](config)
        self.quantizer = LLMCodecQuantizer(config)
        self.post_init()

    @can_return_tuple
    @auto_docstring
    def forward(
        self, input_values: torch.FloatTensor, padding_mask: torch.LongTensor | None = None
    ) -> tuple | LLMCodecEncoderOutput:
        r"""
        input_values (`torch.FloatTensor` of shape `(batch_size, 1, samples)`):
            Mono audio at `config.sampling_rate`, in −1 … 1.
        padding_mask (`torch.LongTensor` of shape `(batch_size, samples)`, *optional*):
            1 for audio, 0 for padding on either side.
        """
        return self.encode(input_values, padding_mask)

    def decode(self, *args, **kwargs):
        """
        Raises:
            TypeError: Always: there is no decoder.
        """
        raise TypeError("This is the encoder of a codec alone; load the whole with `LLMCodecModel` to decode.")

    decode_stream = decode


__all__ = ["LLMCodecEncoderModel", "LLMCodecModel", "LLMCodecPreTrainedModel"]
