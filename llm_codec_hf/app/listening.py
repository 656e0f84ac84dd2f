# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""A clip through the codec: whole, and by its first layers alone."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from ..audio_llm_codec import open_audio
from ..code_layout_llm_codec import CodeLayout
from ..configuration_llm_codec import LLMCodecConfig
from ..embedded.pictures import draw_spectrograms
from ..files.encoded_clip import encode_blocks
from .clips import BLOCK_S, Limits, limited_blocks
from .models import Codec

SHOWN_S = 6.0  # seconds of a picture: more words than these cannot be read


class Step(NamedTuple):
    """
    How far long audio is.

    Attributes:
        done: The part that is done, 0 … 1.
        text: What is being done.
    """

    done: float
    text: str


class Version(NamedTuple):
    """
    What some layers of a clip's codes sound like.

    Attributes:
        title: The layers.
        bitrate: What their codes carry, in bit/s.
        samples: float32 `(samples,)`.
    """

    title: str
    bitrate: float
    samples: np.ndarray


class Heard(NamedTuple):
    """
    A clip and what the codec makes of it.

    Attributes:
        rate: In Hz.
        original: float32 `(samples,)`, as the codec got it.
        versions: All layers first, then the first two, and the first; fewer if the codec has fewer.
        words: Layer 0's.
        word_seconds: Span of a word.
    """

    rate: int
    original: np.ndarray
    versions: list[Version]
    words: list[str]
    word_seconds: float

    def picture(self) -> np.ndarray:
        """Spectrograms of the first `SHOWN_S` seconds, with the words below: uint8 `(height, width, 4)`."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        samples, count = round(SHOWN_S * self.rate), int(SHOWN_S / self.word_seconds)
        signals = {"original": self.original, **{version.title: version.samples for version in self.versions}}
        cut = {name: signal[:samples] for name, signal in signals.items()}
        canvas = FigureCanvasAgg(draw_spectrograms(cut, self.words[:count], self.rate, self.word_seconds))
        canvas.figure.set_dpi(80)
        canvas.draw()
        return np.array(canvas.buffer_rgba())


def first_layers(num_layers: int) -> list[tuple[int, ...]]:
    """The sets of layers that are heard: all, the first two, the first."""
    counts = sorted({num_layers, min(2, num_layers), 1}, reverse=True)
    return [tuple(range(count)) for count in counts]


def title_of(layers: Sequence[int], num_layers: int) -> str:
    """What a set of layers is called."""
    if len(layers) == num_layers:
        return "all layers"
    return "layer 0 alone" if len(layers) == 1 else f"layers 0–{layers[-1]}"


def bitrate_of(config: LLMCodecConfig, layers: Sequence[int]) -> float:
    """What the codes of some layers carry, in bit/s."""
    counts = [count if layer in layers else 0 for layer, count in enumerate(config.codes_per_layer)]
    bits = sum(n * np.log2(size) for n, size in zip(counts, config.codebook_sizes))
    return float(bits * config.sampling_rate / config.group_length)


@torch.no_grad()
def listen(codec: Codec, path: str | Path, seconds: float = Limits.seconds) -> Iterator[Step | Heard]:
    """
    Sends a clip through the codec, block by block.

    Args:
        codec: The codec.
        path: The file, of any rate and number of channels.
        seconds: How long it may be.

    Yields:
        A [`Step`] per block, so that progress is seen and whoever asks may stop; last the [`Heard`].

    Raises:
        ValueError: for what is not audio, is cut, or is too long.
        OSError: for a file that cannot be read.
    """
    model, processor = codec
    config = model.config
    samples, codes, there = [], [], 0
    with open_audio(path) as audio:
        blocks, rate, expected = limited_blocks(audio, seconds), audio.samplerate, audio.frames or 0
        encoded = encode_blocks(model, processor.feature_extractor, blocks, rate, resample=True, channels="mean")
        for block, fresh in encoded:
            samples.append(block)
            codes.append(fresh)
            there += len(block)
            # where headers do not tell the length, nobody knows how much is left
            done = min(1.0, there * rate / (expected * config.sampling_rate)) / 2 if expected else 0.0
            yield Step(done, f"encoded {there / config.sampling_rate:.0f} s of audio")
    original, audio_codes = np.concatenate(samples), torch.cat(codes, dim=1)
    sets = first_layers(config.num_codebooks)
    pieces = []
    for piece in _decoded(codec, audio_codes, sets):
        pieces.append(piece)
        done = sum(part.shape[1] for part in pieces)
        yield Step(
            0.5 + min(1.0, done / len(original)) / 2, f"decoded {done / config.sampling_rate:.0f} s of {len(sets)} ways"
        )
    decoded = np.concatenate(pieces, axis=1)[:, : len(original)]
    versions = [
        Version(title_of(layers, config.num_codebooks), bitrate_of(config, layers), signal)
        for layers, signal in zip(sets, decoded)
    ]
    words = processor.codes_to_words(audio_codes, layers=(0,))[0]
    yield Heard(config.sampling_rate, original, versions, words, config.group_length / config.sampling_rate)


def _decoded(codec: Codec, audio_codes: torch.LongTensor, sets: list[tuple[int, ...]]) -> Iterator[np.ndarray]:
    """Blocks `(sets, samples)` of what each set of layers sounds like."""
    config, state = codec.model.config, None
    rows = torch.stack([CodeLayout(config.vq_strides).rows(layers) for layers in sets])
    batch = torch.where(rows[:, :, None], audio_codes[None], -1).to(codec.model.device)
    size, groups = max(1, BLOCK_S * config.sampling_rate // config.group_length), audio_codes.shape[1]
    for start in range(0, groups, size):
        stop = min(start + size, groups)
        output = codec.model.decode_stream(batch[:, :, start:stop], state, flush=stop == groups)
        state = output.state
        yield output.audio_values[:, 0].float().cpu().numpy()


__all__ = ["Heard", "Step", "Version", "listen"]
