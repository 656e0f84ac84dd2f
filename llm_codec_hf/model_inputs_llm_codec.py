# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""What the methods of the model take: checked, and audio prepared, before anything is computed."""

import numbers
from typing import Any

import torch
import torch.nn.functional as F

from .arguments_llm_codec import true_or_false
from .layers_llm_codec import length_mask
from .tensors_llm_codec import FLOATS, check_audio, check_mask, check_stored, check_tensor, run_lengths


class LLMCodecInputsMixin:
    """Checks for [`LLMCodecModel`]."""

    @property
    def _input_device(self) -> torch.device | None:
        """Where inputs must be; None where hooks of a model on several devices move them."""
        placed = getattr(self, "hf_device_map", None)
        return None if placed and len(set(placed.values())) > 1 else self.device

    def _check_codes(self, audio_codes: Any) -> None:
        """Checks the codes of whole groups; −1 stands for none."""
        shape = f"(batch, {self.config.codes_per_group}, groups)"
        check_tensor("audio_codes", audio_codes, shape)
        if audio_codes.dim() != 3 or audio_codes.shape[1] != self.config.codes_per_group or not audio_codes.numel():
            raise ValueError(f"`audio_codes` must have the shape {shape}, got {tuple(audio_codes.shape)}.")
        if audio_codes.dtype not in (torch.int64, torch.int32):
            raise ValueError(f"`audio_codes` must be integers (int64), got {audio_codes.dtype}.")
        if torch.compiler.is_compiling():
            return
        check_stored("audio_codes", audio_codes, self._input_device)
        for k, (codes, size) in enumerate(zip(self.code_layout.split(audio_codes), self.config.codebook_sizes)):
            if codes.min() < -1 or codes.max() >= size:
                raise ValueError(
                    f"Codes of layer {k} must be 0 … {size - 1}, or −1 where masked; got {codes.min()} … {codes.max()}."
                )

    def _groups(self, audio_codes: torch.LongTensor, audio_codes_mask: Any) -> torch.BoolTensor | None:
        """The groups `(batch, groups)` that each item has, by its mask or its codes; None where all have all."""
        if audio_codes_mask is not None:
            shape = (audio_codes.shape[0], audio_codes.shape[2])
            audio_codes_mask = check_mask("audio_codes_mask", audio_codes_mask, [shape], self._input_device)
        if torch.compiler.is_compiling():
            return audio_codes_mask
        known = (audio_codes >= 0).any(dim=1)
        if audio_codes_mask is None:
            if known.all():
                return None
            if (known[:, 1:] & ~known[:, :-1]).any():
                raise ValueError(
                    "`audio_codes` has groups of nothing but −1 before others: −1 in all codes of a group means that "
                    "the item has ended. Leave such groups out."
                )
            return known
        run_lengths("audio_codes_mask", audio_codes_mask)
        if (audio_codes_mask & ~known).any():
            raise ValueError("`audio_codes_mask` is 1 for groups whose codes are −1 throughout; leave them out.")
        return audio_codes_mask

    def _check_audio(self, input_values: Any) -> None:
        check_audio("input_values", input_values, self._input_device)

    def _padding_mask(self, padding_mask: Any, input_values: torch.Tensor) -> torch.BoolTensor:
        batch, _, samples = input_values.shape
        return check_mask("padding_mask", padding_mask, [(batch, samples), (batch, 1, samples)], input_values.device)

    def _prepare_audio(
        self, input_values: torch.Tensor, padding_mask: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.BoolTensor | None]:
        """Checks audio, moves it to the left of its padding, and pads to whole groups and windows.

        Returns:
            Audio `(batch, 1, samples)` and the mask `(batch, frames)` of each item's own padded length.
        """
        self._check_audio(input_values)
        multiple = self.config.pad_to_multiple_of
        batch, _, samples = input_values.shape
        frame_mask = None
        if padding_mask is not None:
            mask = self._padding_mask(padding_mask, input_values)
            lengths = mask.sum(dim=1)
            start = mask.int().argmax(dim=1)  # samples of left padding
            position = torch.arange(samples, device=mask.device)
            if not torch.compiler.is_compiling():
                if (lengths == 0).any():
                    raise ValueError("`padding_mask` masks every sample of an item; leave the item out of the batch.")
                if not mask.gather(1, (start[:, None] + position).clamp(max=samples - 1))[
                    length_mask(lengths, samples)
                ].all():
                    raise ValueError("`padding_mask` must be 1 on one run of samples an item, with padding at one end.")
            if torch.compiler.is_compiling() or start.any():
                input_values = input_values.gather(2, ((start[:, None] + position) % samples)[:, None])
            input_values = input_values.masked_fill(~length_mask(lengths, samples)[:, None], 0.0)
            frames = -(-samples // multiple) * multiple // self.config.hop_length
            frame_mask = length_mask(-(-lengths // multiple) * multiple // self.config.hop_length, frames)
        return F.pad(input_values, (0, -samples % multiple)), frame_mask

    def _check_noise(self, noise: Any, generator: Any) -> None:
        true_or_false("noise", noise)
        if generator is not None and not isinstance(generator, torch.Generator):
            raise TypeError(f"`generator` takes a torch.Generator, got {type(generator).__name__}.")

    def _check_latents(self, latents: Any, audio_codes_mask: Any) -> torch.BoolTensor | None:
        """Checks quantized latents, and gives the mask of their groups."""
        shape = f"(batch, {self.config.latent_dim}, frames)"
        check_tensor("latents", latents, shape)
        if latents.dim() != 3 or latents.shape[1] != self.config.latent_dim or not latents.numel():
            raise ValueError(f"`latents` must have the shape {shape}, got {tuple(latents.shape)}.")
        if latents.dtype not in FLOATS:
            raise ValueError(f"`latents` must be floating-point numbers, got {latents.dtype}.")
        if not torch.compiler.is_compiling():
            check_stored("latents", latents, self._input_device)
            if not latents.isfinite().all():
                raise ValueError("`latents` holds NaN or infinite values.")
        if audio_codes_mask is None:
            return None
        frames, group = latents.shape[-1], self.config.vq_strides[0]
        if frames % group:
            raise ValueError(f"`latents` of {frames} frames are no whole groups of {group}, as a mask needs them.")
        groups = check_mask("audio_codes_mask", audio_codes_mask, [(len(latents), frames // group)], self._input_device)
        run_lengths("audio_codes_mask", groups)
        return groups

    def _check_codebooks(self, codebooks: Any) -> None:
        if codebooks is None:
            return
        sizes, dim = self.config.codebook_sizes, self.config.latent_dim
        if not isinstance(codebooks, (list, tuple)) or len(codebooks) != len(sizes):
            raise TypeError(f"`codebooks` takes a list of {len(sizes)} tensors, one per layer.")
        for codebook, size in zip(codebooks, sizes):
            check_tensor("codebooks", codebook, str((size, dim)))
            if codebook.shape != (size, dim) or not codebook.is_floating_point():
                raise ValueError(
                    f"`codebooks` takes floats of the shape {(size, dim)} here, got {codebook.dtype} of the shape "
                    f"{tuple(codebook.shape)}."
                )

    @staticmethod
    def _check_length(name: str, length: int) -> None:
        """Refuses an export for any length: the number of chunks, and with it the length, would become constant."""
        if isinstance(length, torch.SymInt):
            raise ValueError(
                f"`{name}` cannot be exported for a dynamic length, since it computes in chunks. Export what it is "
                "made of (`encoder` and `quantizer.encode`, `quantizer.decode` and `decoder`) for a length that is a "
                "multiple of `config.pad_to_multiple_of` samples; or export it for one length."
            )

    def _check_chunk_length(self, chunk_length_s: Any) -> None:
        given = self.chunk_length_s if chunk_length_s is None else chunk_length_s
        if isinstance(given, bool) or not isinstance(given, numbers.Real) or not given > 0:
            raise ValueError(f"`chunk_length_s` must be a positive number of seconds, got {given!r}.")
