# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""From audio to codes: what a codec and its encoder alone have in common."""

from dataclasses import dataclass

import torch
from transformers.utils import ModelOutput, can_return_tuple

from .arguments_llm_codec import true_or_false
from .tensors_llm_codec import check_tensor


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


class LLMCodecEncodingMixin:
    """
    `encode`, and codes layer by layer. What has it, has `config`, `code_layout`, an `encoder` and a `quantizer`, and
    the checks of [`LLMCodecInputsMixin`].
    """

    # Seconds of audio that `encode` and `decode` compute at once unless told otherwise.
    chunk_length_s = 20.0

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

    # ---- Encode

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

    def _latents_of(self, audio_codes: torch.LongTensor) -> torch.Tensor:
        return self.quantizer.decode(self.code_layout.split(audio_codes))


__all__ = ["LLMCodecEncoderOutput", "LLMCodecEncodingMixin"]
