# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Encoding and decoding block by block: each group of codes, and each sample, as soon as it is determined."""

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import save
from transformers.utils import ModelOutput

from .layers_llm_codec import length_mask


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
    """

    pending: torch.Tensor
    ends: torch.LongTensor
    start: int = 0
    returned: int = 0

    def save(self, path: str | os.PathLike) -> None:
        """Writes the state to a safetensors file."""
        numbers = {"kind": type(self).__name__, "start": self.start, "returned": self.returned}
        tensors = {"pending": self.pending.contiguous(), "ends": self.ends}
        temporary = Path(f"{os.fspath(path)}.tmp")
        temporary.write_bytes(save(tensors, {name: json.dumps(value) for name, value in numbers.items()}))
        temporary.replace(path)

    @classmethod
    def load(cls, path: str | os.PathLike, device: str | torch.device = "cpu") -> "StreamState":
        """
        Reads what `save` wrote.

        Raises:
            ValueError: for a file of another kind.
        """
        with safe_open(path, framework="pt", device=str(device)) as file:
            numbers = {name: json.loads(value) for name, value in (file.metadata() or {}).items()}
            if numbers.pop("kind", None) != cls.__name__:
                raise ValueError(f"{path} holds no {cls.__name__}.")
            return cls(**{name: file.get_tensor(name) for name in ("pending", "ends")}, **numbers)

    def feed(self, block: torch.Tensor, mask: torch.BoolTensor | None) -> "StreamState":
        """The state with another block behind `pending`, and the ends of the items whose mask has ended."""
        if block.shape[:2] != self.pending.shape[:2]:
            raise ValueError(
                f"A stream of {tuple(self.pending.shape[:2])} items and rows cannot go on with a block of the shape "
                f"{tuple(block.shape)}."
            )
        ends = self.ends
        if mask is None:
            if (ends >= 0).any() and block.shape[-1]:
                raise ValueError("Some items of the stream have ended: the next blocks need a mask that is 0 for them.")
        else:
            lengths = mask.sum(dim=-1)
            if not torch.equal(mask, length_mask(lengths, mask.shape[-1])):
                raise ValueError("A stream's mask takes 1s and then 0s: items of a stream start together.")
            if ((ends >= 0) & (lengths > 0)).any():
                raise ValueError("An item that has ended, by the mask of an earlier block, cannot go on.")
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
            ValueError: for audio that `encode` refuses, for a block that does not fit the stream, and for an empty one.
        """
        config = self.config
        if input_values is not None:
            self._check_audio(input_values)
            mask = None
            if padding_mask is not None:
                mask = padding_mask.reshape(len(input_values), -1).bool()
                self._check_padding_mask(mask, input_values)
                input_values = input_values.masked_fill(~mask[:, None], 0.0)
            state = state or LLMCodecEncoderState(
                input_values[..., :0], input_values.new_full(input_values.shape[:1], -1, dtype=torch.long)
            )
            state = state.feed(input_values, mask)
        elif state is None:
            raise ValueError("A stream begins with `input_values`.")
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
            codes.append(self.merge_layers(chunk))
        codes = torch.cat(codes, dim=-1)
        returned_mask = None if frame_mask is None else frame_mask[:, first - offset : stop - offset]
        codes_mask = self._group_mask(returned_mask, codes)
        if flush:
            return LLMCodecEncoderStreamOutput(codes, codes_mask, None)
        start = max(config.encoder_span(stop, stop + 1)[0] // multiple * multiple, 0)
        return LLMCodecEncoderStreamOutput(codes, codes_mask, state.dropped(start, stop // group))

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
            ValueError: for codes that `decode` refuses, for a block that does not fit the stream, and for an empty one.
        """
        config = self.config
        if audio_codes is not None:
            self._check_codes(audio_codes, audio_codes_mask)
            if audio_codes_mask is None and (audio_codes < 0).any():
                audio_codes_mask = (audio_codes >= 0).any(dim=1)
            state = state or LLMCodecDecoderState(
                audio_codes[..., :0], audio_codes.new_full(audio_codes.shape[:1], -1, dtype=torch.long)
            )
            state = state.feed(audio_codes, None if audio_codes_mask is None else audio_codes_mask.bool())
        elif state is None:
            raise ValueError("A stream begins with `audio_codes`.")
        group, hop = config.vq_strides[0], config.hop_length
        window = config.pad_to_multiple_of // config.group_length  # groups
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
        keep = max(config.decoder_span(samples // hop * hop, samples + 1)[0] // group // window * window, 0)
        return LLMCodecDecoderStreamOutput(audio_values, state.dropped(keep, samples))
