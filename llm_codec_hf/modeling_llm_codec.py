# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""LLM-Codec: audio in words of a language model ("UniAudio 1.5", arXiv 2406.10056)."""

from dataclasses import dataclass

import torch
from torch import nn
from transformers import initialization as init
from transformers.modeling_utils import PreTrainedAudioTokenizerBase
from transformers.utils import ModelOutput, auto_docstring, can_return_tuple

from .arguments_llm_codec import true_or_false, whole_number
from .code_layout_llm_codec import CodeLayout
from .configuration_llm_codec import LLMCodecConfig
from .conv_llm_codec import LLMCodecConvDecoder, LLMCodecConvEncoder
from .model_inputs_llm_codec import LLMCodecInputsMixin
from .quantizer_llm_codec import LLMCodecQuantizer
from .spectral_llm_codec import LLMCodecSpectralDecoder, LLMCodecSpectralEncoder
from .streaming_llm_codec import LLMCodecStreamingMixin
from .tensors_llm_codec import check_tensor
from .weights_llm_codec import LLMCodecWeightsMixin

ENCODERS = {"conv": LLMCodecConvEncoder, "spectral": LLMCodecSpectralEncoder}
DECODERS = {"conv": LLMCodecConvDecoder, "spectral": LLMCodecSpectralDecoder}


@dataclass
class LLMCodecEncoderOutput(ModelOutput):
    r"""
    audio_codes (`torch.LongTensor` of shape `(batch_size, codes_per_group, groups)`):
        Row 0 is layer 0, the next rows are the later layers in time order (1, 2 and 4 rows originally); −1 where the
        mask is 0.
    audio_codes_mask (`torch.LongTensor` of shape `(batch_size, groups)`):
        1 for the groups that an item has alone, 0 for those that it has only because another item is longer.
    latents (`torch.FloatTensor` of shape `(batch_size, latent_dim, frames)`, *optional*):
        The encoder's output before quantization; returned when `output_latents=True`.
    """

    audio_codes: torch.LongTensor | None = None
    audio_codes_mask: torch.LongTensor | None = None
    latents: torch.FloatTensor | None = None


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
class LLMCodecModel(LLMCodecInputsMixin, LLMCodecStreamingMixin, LLMCodecPreTrainedModel):
    # Seconds of audio that `encode` and `decode` compute at once unless told otherwise.
    chunk_length_s = 20.0

    def __init__(self, config: LLMCodecConfig):
        super().__init__(config)
        self.code_layout = CodeLayout(tuple(config.vq_strides))
        self.encoder = ENCODERS[config.encoder_type](config)
        self.quantizer = LLMCodecQuantizer(config)
        self.decoder = DECODERS[config.decoder_type](config)
        self.post_init()

    # ---- Codes

    def split_layers(self, audio_codes: torch.LongTensor) -> tuple[torch.LongTensor, ...]:
        """`(batch, codes_per_group, groups)` → the codes of each layer in time order, `(batch, groups · n)`.

        Raises:
            TypeError: for anything but a tensor.
            ValueError: for another shape.
        """
        shape = f"(batch, {self.config.codes_per_group}, groups)"
        check_tensor("audio_codes", audio_codes, shape)
        if audio_codes.dim() < 2 or audio_codes.shape[-2] != self.config.codes_per_group:
            raise ValueError(f"`audio_codes` must have the shape {shape}, got {tuple(audio_codes.shape)}.")
        return self.code_layout.split(audio_codes)

    def merge_layers(self, codes: tuple[torch.LongTensor, ...]) -> torch.LongTensor:
        """The codes of each layer, `(batch, groups · n)`, → `(batch, codes_per_group, groups)`.

        Raises:
            TypeError: for anything but a sequence of tensors.
            ValueError: for layers that do not have the codes of as many groups.
        """
        counts = self.config.codes_per_layer
        if not isinstance(codes, (list, tuple)) or len(codes) != len(counts):
            raise TypeError(f"`codes` takes {len(counts)} tensors, one per layer, as `split_layers` gives them.")
        for layer in codes:
            check_tensor("codes", layer, "(batch, groups · codes per group)")
        shapes = [tuple(layer.shape) for layer in codes]
        if any(
            len(shape) == 0 or shape[-1] * counts[0] != shapes[0][-1] * count or shape[:-1] != shapes[0][:-1]
            for shape, count in zip(shapes, counts)
        ):
            raise ValueError(f"Layers have {counts} codes per group, which tensors of the shapes {shapes} do not.")
        return self.code_layout.merge(codes)

    def _latents_of(self, audio_codes: torch.LongTensor) -> torch.Tensor:
        return self.quantizer.decode(self.code_layout.split(audio_codes))

    def _group_mask(self, frame_mask: torch.BoolTensor | None, audio_codes: torch.Tensor) -> torch.LongTensor:
        if frame_mask is None:
            return torch.ones_like(audio_codes[:, 0])
        return frame_mask[:, :: self.config.vq_strides[0]].long()

    # ---- Chunks

    def _chunks(self, frames: int, chunk_length_s: float | None) -> list[tuple[int, int]]:
        """The first frame of each chunk, and the one after its last; `chunk_length_s` is checked."""
        chunk_length_s = self.chunk_length_s if chunk_length_s is None else chunk_length_s
        group = self.config.vq_strides[0]
        size = max(1, int(min(chunk_length_s * self.config.frame_rate, frames)) // group) * group
        return [(start, min(start + size, frames)) for start in range(0, frames, size)]

    def _encode_frames(
        self, input_values: torch.Tensor, frame_mask: torch.BoolTensor | None, start: int, stop: int
    ) -> tuple[list[torch.LongTensor], torch.Tensor]:
        """Codes a layer and latents of the frames `start … stop - 1` of prepared audio."""
        latents = self.encoder.frames(input_values, frame_mask, start, stop)
        mask = None if frame_mask is None else frame_mask[:, start:stop]
        codes, ties = self.quantizer.encode(latents, mask, rounding=self.encoder.rounding)
        if torch.compiler.is_compiling() or latents.dtype != torch.float32:
            return codes, latents
        group = self.config.vq_strides[0]
        for item, position in ties.nonzero().tolist():
            length = input_values.shape[-1] if frame_mask is None else frame_mask[item].sum() * self.config.hop_length
            audio, first = input_values[item : item + 1, :, :length], start + position * group
            exact = self.quantizer.encode_exactly(self.encoder.exact_frames(audio, first, first + group))
            for k, layer in enumerate(self.quantizer.layers):
                n = group // layer.stride
                codes[k][item, position * n : (position + 1) * n] = exact[k][0]
        return codes, latents

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
    def encode(
        self,
        input_values: torch.FloatTensor,
        padding_mask: torch.LongTensor | None = None,
        output_latents: bool = False,
        chunk_length_s: float | None = None,
    ) -> tuple | LLMCodecEncoderOutput:
        r"""
        Encodes audio. An item's codes depend neither on its batch nor on chunks: where float32 cannot tell which of two
        entries is nearer, float64 decides (unless compiled, or in half precision).

        That holds in float32 proper: on a GPU, set `torch.backends.cudnn.allow_tf32 = False` for it.

        Args:
            input_values (`torch.FloatTensor` of shape `(batch_size, 1, samples)`):
                Mono audio at `config.sampling_rate`, in −1 … 1.
            padding_mask (`torch.LongTensor` of shape `(batch_size, samples)`, *optional*):
                1 for audio, 0 for padding on either side.
            output_latents (`bool`, *optional*, defaults to `False`):
                Whether to return the latents too.
            chunk_length_s (`float`, *optional*):
                Seconds encoded at once, which bound the memory; 20 by default. The codes are the same for every length.

        Returns:
            [`LLMCodecEncoderOutput`] or a tuple of its fields.

        Raises:
            TypeError: for anything but tensors.
            ValueError: for audio of another shape, of integers, with samples that are not finite or beyond ±4 (+12 dB);
                for a mask that is not 1 on one run of samples of every item.
        """
        true_or_false("output_latents", output_latents)
        self._check_chunk_length(chunk_length_s)
        input_values, frame_mask = self._prepare_audio(input_values, padding_mask)
        self._check_length("encode", input_values.shape[-1])
        frames = input_values.shape[-1] // self.config.hop_length
        codes, latents = [], []
        for start, stop in self._chunks(frames, chunk_length_s):
            chunk_codes, chunk_latents = self._encode_frames(input_values, frame_mask, start, stop)
            codes.append(self.code_layout.merge(chunk_codes))
            if output_latents:
                latents.append(chunk_latents)
        audio_codes = torch.cat(codes, dim=-1)
        if output_latents:
            latents = torch.cat(latents, dim=-1)
            if frame_mask is not None:
                latents = latents.masked_fill(~frame_mask[:, None], 0.0)
        return LLMCodecEncoderOutput(
            audio_codes=audio_codes,
            audio_codes_mask=self._group_mask(frame_mask, audio_codes),
            latents=latents if output_latents else None,
        )

    def dequantize(self, audio_codes: torch.LongTensor) -> torch.FloatTensor:
        """Codes `(batch, codes_per_group, groups)` → the decoder's latents, `(batch, latent_dim, frames)`.

        The code −1 adds nothing.

        Raises:
            TypeError: for anything but a tensor.
            ValueError: for codes of another shape or dtype, or out of range.
        """
        self._check_codes(audio_codes)
        return self._latents_of(audio_codes)

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


__all__ = ["LLMCodecModel", "LLMCodecPreTrainedModel"]
