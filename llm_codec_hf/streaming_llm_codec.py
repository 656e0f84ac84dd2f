# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Encoding and decoding block by block: each group of codes, and each sample, as soon as it is determined."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from transformers.utils import ModelOutput

from .arguments_llm_codec import true_or_false, whole_number
from .tensors_llm_codec import run_lengths


@dataclass
class StreamState:
    """
    State of a stream: what later blocks need of earlier ones. Immutable; every call returns a new one.

    Args:
        pending (`torch.Tensor`): The end of what was fed, as far as something to come depends on it:
            audio `(batch, 1, samples)` or codes `(batch, codes_per_group, groups)`.
        ends (`torch.LongTensor` of shape `(batch,)`): Length of the items that have ended, in what was fed; else −1.
        start (`int`): How much was fed before `pending`; whole windows.
        returned (`int`): How many groups or samples were returned.
        geometry (`str`): `config.geometry` of the codec that the stream belongs to.
    """

    pending: torch.Tensor
    ends: torch.LongTensor
    start: int = 0
    returned: int = 0
    geometry: str = ""

    _NUMBERS = ("start", "returned", "geometry")

    def save(self, path: str | os.PathLike) -> None:
        """Writes the state to a safetensors file."""
        numbers = {name: getattr(self, name) for name in self._NUMBERS}
        told = {name: json.dumps(value) for name, value in {"kind": type(self).__name__, **numbers}.items()}
        temporary = Path(f"{os.fspath(path)}.tmp")
        temporary.write_bytes(save({"pending": self.pending.contiguous(), "ends": self.ends}, told))
        temporary.replace(path)

    @classmethod
    def load(cls, path: str | os.PathLike, device: str | torch.device = "cpu") -> "StreamState":
        """
        Reads what `save` wrote.

        Raises:
            OSError: for a file that is not there or cannot be read.
            ValueError: for a damaged file, and for one of another kind.
        """
        try:
            device = torch.device(device)
        except (RuntimeError, TypeError) as error:
            raise ValueError(f"`device` is the name of a device, got {device!r}.") from error
        try:
            with safe_open(path, framework="pt", device=str(device)) as file:
                told = {name: json.loads(value) for name, value in (file.metadata() or {}).items()}
                tensors = {name: file.get_tensor(name) for name in file.keys()}
        except (SafetensorError, ValueError) as error:
            raise ValueError(f"{path} is no state of a stream, or a damaged one: {error}") from error
        if told.pop("kind", None) != cls.__name__:
            raise ValueError(f"{path} holds no {cls.__name__}.")
        if set(told) != set(cls._NUMBERS) or set(tensors) != {"pending", "ends"}:
            raise ValueError(f"{path} is a {cls.__name__} of another version of this code, or a damaged one.")
        return cls(**tensors, **told)

    def check(self, geometry: str) -> None:
        """
        Checks that this is the state of a stream of a codec.

        Raises:
            ValueError: for a state of a codec of another geometry, and for one that was changed by hand.
        """
        if self.geometry != geometry:
            raise ValueError(
                "`state` belongs to a codec of another geometry (rates, layers or codebooks): go on with the one that "
                "began the stream."
            )
        batch = len(self.pending) if isinstance(self.pending, torch.Tensor) and self.pending.dim() == 3 else 0
        if not batch or not isinstance(self.ends, torch.Tensor) or self.ends.shape != (batch,):
            raise ValueError("`state` was changed: `pending` and `ends` are not those of a stream.")
        whole_number("state.start", self.start, 0)
        whole_number("state.returned", self.returned, 0)
        if self.ends.dtype != torch.long or (self.ends > self.fed).any() or (self.ends < -1).any():
            raise ValueError(f"`state` was changed: `ends` are −1, or at most the {self.fed} that were fed.")

    def feed(self, block: torch.Tensor, mask: torch.BoolTensor | None) -> "StreamState":
        """The state with another block behind `pending`, and the ends of the items whose mask has ended."""
        if block.shape[:2] != self.pending.shape[:2]:
            raise ValueError(
                f"A stream of {tuple(self.pending.shape[:2])} items and rows cannot go on with a block of the shape "
                f"{tuple(block.shape)}."
            )
        if block.dtype != self.pending.dtype or block.device != self.pending.device:
            raise ValueError(
                f"A stream of {self.pending.dtype} on {self.pending.device} cannot go on with {block.dtype} on "
                f"{block.device}."
            )
        ends = self.ends
        if mask is None:
            if (ends >= 0).any() and block.shape[-1]:
                raise ValueError("Some items of the stream have ended: the next blocks need a mask that is 0 for them.")
        else:
            lengths = run_lengths("mask", mask)
            if ((ends >= 0) & (lengths > 0)).any():
                raise ValueError("An item that has ended, by the mask of an earlier block, cannot go on.")
            if not self.fed and (lengths == 0).any():
                raise ValueError("An item of the stream is masked from its start; leave it out of the batch.")
            ends = torch.where((ends < 0) & (lengths < mask.shape[-1]), self.fed + lengths, ends)
        return replace(self, pending=torch.cat([self.pending, block], dim=-1), ends=ends)

    @property
    def fed(self) -> int:
        """How much was fed."""
        return self.start + self.pending.shape[-1]

    def mask(self, multiple: int, size: int) -> torch.BoolTensor | None:
        """`(batch, size)` of units of `multiple` from `start`, true inside the items; None if they all go on."""
        if (self.ends < 0).all():
            return None
        lengths = torch.where(self.ends < 0, size * multiple, self.ends - self.start)
        return torch.arange(size, device=lengths.device) * multiple < lengths[:, None]

    def dropped(self, start: int, returned: int) -> "StreamState":
        """The state without what lies before `start`."""
        pending = self.pending[..., start - self.start :].clone()  # else all that was fed stays in memory
        return replace(self, pending=pending, start=start, returned=returned)


class LLMCodecEncoderState(StreamState):
    """Where a stream of `encode_stream` stands; see [`StreamState`]."""


class LLMCodecDecoderState(StreamState):
    """Where a stream of `decode_stream` stands; see [`StreamState`]."""


@dataclass
class LLMCodecEncoderStreamOutput(ModelOutput):
    r"""
    audio_codes (`torch.LongTensor` of shape `(batch_size, codes_per_group, groups)`):
        The groups that are determined and were not returned before; possibly none.
    audio_codes_mask (`torch.LongTensor` of shape `(batch_size, groups)`): As in `encode`.
    state (`LLMCodecEncoderState`, *optional*): To go on with; None after `flush`.
    """

    audio_codes: torch.LongTensor | None = None
    audio_codes_mask: torch.LongTensor | None = None
    state: LLMCodecEncoderState | None = None


@dataclass
class LLMCodecDecoderStreamOutput(ModelOutput):
    r"""
    audio_values (`torch.FloatTensor` of shape `(batch_size, 1, samples)`):
        The samples that are determined and were not returned before; possibly none.
    state (`LLMCodecDecoderState`, *optional*): To go on with; None after `flush`.
    """

    audio_values: torch.FloatTensor | None = None
    state: LLMCodecDecoderState | None = None


class LLMCodecStreamingMixin:
    """`encode` and `decode` in blocks, for [`LLMCodecModel`]."""

    def encode_stream(
        self,
        input_values: torch.FloatTensor | None = None,
        state: LLMCodecEncoderState | None = None,
        padding_mask: torch.LongTensor | None = None,
        flush: bool = False,
    ) -> LLMCodecEncoderStreamOutput:
        r"""
        Encodes the next block of audio. All codes returned, one after the other, are those that `encode` gives for all
        blocks together. A group is returned at the latest when `config.encoder_lookahead` samples after it were fed.

        Args:
            input_values (`torch.FloatTensor` of shape `(batch_size, 1, samples)`, *optional*):
                Any number of samples more.
            state ([`LLMCodecEncoderState`], *optional*):
                That of the blocks before; none begins a stream.
            padding_mask (`torch.LongTensor` of shape `(batch_size, samples)`, *optional*):
                0 from the end of an item on, in this block and all that follow.
            flush (`bool`, *optional*, defaults to `False`):
                Whether this is the end: returns all that is left.

        Raises:
            TypeError: for anything but tensors, and for a state of another kind.
            ValueError: for audio that `encode` refuses, for a block that does not fit the stream, for an empty one, and
                for a state of another codec.
        """
        config = self.config
        true_or_false("flush", flush)
        if state is not None:
            self._check_state(state, LLMCodecEncoderState, self._encoder_position)
        if input_values is not None:
            self._check_audio(input_values)
            mask = None
            if padding_mask is not None:
                mask = self._padding_mask(padding_mask, input_values)
                input_values = input_values.masked_fill(~mask[:, None], 0.0)
            state = state or _new(LLMCodecEncoderState, input_values, config.geometry)
            state = state.feed(input_values, mask)
        elif state is None:
            raise ValueError("A stream begins with `input_values`.")
        elif padding_mask is not None:
            raise ValueError("`padding_mask` belongs to `input_values`, which are missing.")
        group, hop, multiple = config.vq_strides[0], config.hop_length, config.pad_to_multiple_of
        if flush:
            state = replace(state, ends=torch.where(state.ends < 0, state.fed, state.ends))
            stop = -(-state.fed // multiple) * multiple // hop
        else:
            stop = config.determined_frames(state.fed) // group * group
        audio = F.pad(state.pending, (0, -state.pending.shape[-1] % multiple))
        frame_mask = state.mask(multiple, audio.shape[-1] // multiple)
        if frame_mask is not None:
            frame_mask = frame_mask.repeat_interleave(multiple // hop, dim=1)
        first = state.returned * group
        offset = state.start // hop
        codes = [audio.new_zeros((len(audio), config.codes_per_group, 0), dtype=torch.long)]
        for begin, end in self._chunks(stop - first, None):
            chunk, _ = self._encode_frames(audio, frame_mask, first + begin - offset, first + end - offset)
            codes.append(self.code_layout.merge(chunk))
        codes = torch.cat(codes, dim=-1)
        returned_mask = None if frame_mask is None else frame_mask[:, first - offset : stop - offset]
        codes_mask = self._group_mask(returned_mask, codes)
        if flush:
            return LLMCodecEncoderStreamOutput(codes, codes_mask, None)
        return LLMCodecEncoderStreamOutput(codes, codes_mask, state.dropped(*self._encoder_position(state.fed)))

    def _encoder_position(self, fed: int) -> tuple[int, int]:
        """Of a stream of so many samples: the first that is still needed, and the groups that were returned."""
        config = self.config
        group, multiple = config.vq_strides[0], config.pad_to_multiple_of
        stop = config.determined_frames(fed) // group * group
        return max(config.encoder_span(stop, stop + 1)[0] // multiple * multiple, 0), stop // group

    def _decoder_position(self, fed: int) -> tuple[int, int]:
        """Of a stream of so many groups: the first that is still needed, and the samples that were returned."""
        config = self.config
        window, hop = config.pad_to_multiple_of // config.group_length, config.hop_length  # groups, samples
        samples = config.determined_samples(fed * config.vq_strides[0])
        first = config.decoder_span(samples // hop * hop, samples + 1)[0] // config.vq_strides[0]
        return max(first // window * window, 0), samples

    def _check_state(self, state: Any, kind: type[StreamState], position: Callable[[int], tuple[int, int]]) -> None:
        if not isinstance(state, kind):
            raise TypeError(f"`state` takes a {kind.__name__} of an earlier block, got {type(state).__name__}.")
        state.check(self.config.geometry)
        if state.pending.numel():
            check = self._check_audio if kind is LLMCodecEncoderState else self._check_codes
            check(state.pending)
        # both follow from what was fed
        if (state.start, state.returned) != position(state.fed):
            raise ValueError("`state` was changed: `start` and `returned` do not follow from what was fed.")

    def decode_stream(
        self,
        audio_codes: torch.LongTensor | None = None,
        state: LLMCodecDecoderState | None = None,
        audio_codes_mask: torch.LongTensor | None = None,
        noise: bool = True,
        flush: bool = False,
    ) -> LLMCodecDecoderStreamOutput:
        r"""
        Decodes the next groups. All audio returned, one after the other, is what `decode` gives for all groups
        together, within float rounding. At most `config.decoder_lookahead` samples are held back.

        Args:
            audio_codes (`torch.LongTensor` of shape `(batch_size, codes_per_group, groups)`, *optional*):
                Any number of groups more.
            state ([`LLMCodecDecoderState`], *optional*):
                That of the blocks before; none begins a stream.
            audio_codes_mask (`torch.LongTensor` of shape `(batch_size, groups)`, *optional*):
                0 from the end of an item on, in this block and all that follow; by default where all codes are −1.
            noise (`bool`, *optional*, defaults to `True`):
                Whether the noise blocks of the decoder add their noise.
            flush (`bool`, *optional*, defaults to `False`):
                Whether this is the end: returns all that is left.

        Raises:
            TypeError: for anything but tensors, and for a state of another kind.
            ValueError: for codes that `decode` refuses, for a block that does not fit the stream, for an empty one, and
                for a state of another codec.
        """
        config = self.config
        true_or_false("noise", noise)
        true_or_false("flush", flush)
        if state is not None:
            self._check_state(state, LLMCodecDecoderState, self._decoder_position)
        if audio_codes is not None:
            self._check_codes(audio_codes)
            mask, audio_codes = self._groups(audio_codes, audio_codes_mask), audio_codes.long()
            state = state or _new(LLMCodecDecoderState, audio_codes, config.geometry)
            state = state.feed(audio_codes, mask)
        elif state is None:
            raise ValueError("A stream begins with `audio_codes`.")
        elif audio_codes_mask is not None:
            raise ValueError("`audio_codes_mask` belongs to `audio_codes`, which are missing.")
        group, hop = config.vq_strides[0], config.hop_length
        samples = state.fed * group * hop if flush else config.determined_samples(state.fed * group)
        frame_mask = state.mask(1, state.pending.shape[-1])
        if frame_mask is not None:
            frame_mask = frame_mask.repeat_interleave(group, dim=1)
        first, offset = state.returned // hop, state.start * group
        audio = [torch.zeros((len(state.pending), 1, 0), dtype=self.dtype, device=self.device)]
        for begin, end in self._chunks(-(-samples // hop) - first, None):
            begin, end = first + begin - offset, first + end - offset
            audio.append(self._decode_frames(state.pending, frame_mask, begin, end, noise, offset=offset))
        audio_values = torch.cat(audio, dim=-1)[..., state.returned - first * hop : samples - first * hop]
        if flush:
            return LLMCodecDecoderStreamOutput(audio_values, None)
        return LLMCodecDecoderStreamOutput(audio_values, state.dropped(*self._decoder_position(state.fed)))


def _new(kind: type[StreamState], block: torch.Tensor, geometry: str) -> StreamState:
    """The state before the first block."""
    return kind(block[..., :0], block.new_full(block.shape[:1], -1, dtype=torch.long), geometry=geometry)
