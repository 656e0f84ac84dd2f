# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Clips of a task → codes: in exact batches of a bounded length, long files block by block, bad ones told."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch

from ..audio_llm_codec import open_audio
from ..feature_extraction_llm_codec import LLMCodecFeatureExtractor
from ..files.encoded_clip import BLOCK_S, encode_clip
from ..inputs_llm_codec import encode_clips
from .configuration import TokenizeConfig
from .flight import Flight
from .plan import Planned
from .sources import Source

# What makes one clip fail. Whatever else is raised is no clip's fault and ends the task, as a full disk does.
OF_ENCODING = (ValueError, MemoryError, torch.OutOfMemoryError)
OF_READING = (*OF_ENCODING, OSError, RuntimeError, TypeError, EOFError, OverflowError)


CPU_BATCH, BATCH = 15.0, 60.0  # seconds; on a CPU larger ones gain nothing, and take memory


class Encoded(NamedTuple):
    """
    What became of a clip.

    Attributes:
        clip: The clip.
        codes: int32, `(groups, codes_per_group)`, or None where it failed.
        num_samples: Its length at the codec's rate.
        error: Why it failed.
    """

    clip: Planned
    codes: np.ndarray | None
    num_samples: int
    error: str | None = None


class TaskEncoder:
    """
    Encodes the clips of a task. Every clip gets the codes that it gets alone.

    Args:
        model: The codec, or its encoder alone, on its device.
        feature_extractor: Its feature extractor.
        source: Opens the clips.
        config: What to do with channels and cut files, and the seconds of a batch.
        flight: The journal of the task.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        feature_extractor: LLMCodecFeatureExtractor,
        source: Source,
        config: TokenizeConfig,
        flight: Flight,
    ):
        self.model, self.feature_extractor, self.source = model, feature_extractor, source
        self.config, self.flight, self.seconds = config, flight, 0.0
        self.batch_seconds = config.batch_seconds or (CPU_BATCH if model.device.type == "cpu" else BATCH)

    def encode(self, clips: Sequence[Planned]) -> Iterator[Encoded]:
        """
        Encodes clips, the longest first.

        Yields:
            What became of each.
        """
        suspects = [clip for clip in clips if self.flight.deaths(clip.id)]
        for clip in suspects:
            yield from self._suspect(clip)
        rest = sorted((clip for clip in clips if not self.flight.deaths(clip.id)), key=lambda clip: -clip.seconds)
        done = {clip.id for clip in suspects}
        for batch in self._batches([clip for clip in rest if clip.id not in done]):
            self.flight.begin([clip.id for clip in batch], self.seconds)
            yield from self._batch(batch)
            self.seconds += sum(clip.seconds for clip in batch)
        self.flight.begin([], self.seconds)

    def _suspect(self, clip: Planned) -> Iterator[Encoded]:
        """A clip that was in flight when a process died: alone, or not at all."""
        deaths = self.flight.deaths(clip.id)
        if self.flight.is_hopeless(clip.id):
            yield Encoded(clip, None, 0, f"Set aside: the process died {len(deaths)} times on it ({deaths[-1]}).")
        else:
            self.flight.begin([clip.id], self.seconds)
            yield from self._batch([clip])
            self.flight.begin([], self.seconds)
            self.flight.survived(clip.id)
        self.seconds += clip.seconds

    def _batches(self, clips: list[Planned]) -> Iterator[list[Planned]]:
        """Clips in their order, as many at once as padded to the longest of them have the seconds of a batch."""
        batch: list[Planned] = []
        for clip in clips:
            if batch and (len(batch) + 1) * batch[0].seconds > self.batch_seconds:
                yield batch
                batch = []
            batch.append(clip)
        if batch:
            yield batch

    def _batch(self, clips: list[Planned]) -> Iterator[Encoded]:
        if len(clips) == 1 and clips[0].seconds > self.batch_seconds:
            yield self._by_blocks(clips[0])
            return
        good: list[tuple[Planned, np.ndarray]] = []
        for clip in clips:
            try:
                good.append((clip, self._read(clip)))
            except OF_READING as error:
                yield _failed(clip, error)
        if not good:
            return
        try:
            codes = encode_clips(self.model, self.feature_extractor, [samples for _, samples in good])
        except OF_ENCODING as error:
            if len(clips) == 1:
                yield _failed(clips[0], error)
            else:  # one of them, or all together too much
                for clip, _ in good:
                    yield from self._batch([clip])
            return
        for (clip, samples), clip_codes in zip(good, codes):
            yield Encoded(clip, _as_rows(clip_codes), len(samples))

    def _read(self, clip: Planned) -> np.ndarray:
        with open_audio(self.source.open(clip.place), self.config.allow_truncated) as audio:
            return self.feature_extractor.prepare(
                audio.read(), audio.samplerate, resample=True, channels=self._channels(audio.channels)
            )

    def _channels(self, count: int) -> str | int | None:
        return None if count == 1 and self.config.channel == "mean" else self.config.channel

    def _by_blocks(self, clip: Planned) -> Encoded:
        """A long clip, in the memory of a block."""
        try:
            with open_audio(self.source.open(clip.place), self.config.allow_truncated) as audio:
                encoded = encode_clip(
                    self.model,
                    self.feature_extractor,
                    self._passing(audio.blocks(BLOCK_S * audio.samplerate), audio.samplerate, clip),
                    audio.samplerate,
                    "",
                    resample=True,
                    channels=self._channels(audio.channels),
                )
        except OF_READING as error:
            return _failed(clip, error)
        return Encoded(clip, _as_rows(encoded.audio_codes), encoded.length)

    def _passing(self, blocks: Iterator[np.ndarray], rate: int, clip: Planned) -> Iterator[np.ndarray]:
        """Blocks, of which each is noted in the journal, for whoever shows the progress."""
        passed = 0
        for block in blocks:
            yield block
            passed += block.shape[-1]
            self.flight.begin([clip.id], self.seconds + min(passed / rate, clip.seconds))


def _as_rows(codes: torch.LongTensor) -> np.ndarray:
    """`(codes_per_group, groups)` → int32 `(groups, codes_per_group)`."""
    return np.ascontiguousarray(codes.T.numpy().astype(np.int32))


def _failed(clip: Planned, error: BaseException) -> Encoded:
    return Encoded(clip, None, 0, f"{type(error).__name__}: {error}")


__all__ = ["Encoded", "TaskEncoder"]
