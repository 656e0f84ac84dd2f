# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Audio of all kinds is read as the program `ffmpeg` reads it, or refused with a message that names it."""

import io
import os
import shutil
import struct
import subprocess
import threading
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llm_codec_hf.audio_llm_codec import CutError, read_audio

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="the program `ffmpeg` is not there to judge"),
]
pytest.importorskip("av", reason="the extra `formats` is not installed")


class Container(NamedTuple):
    """A format, and how it is read beside how `ffmpeg` reads it."""

    suffix: str
    options: str  # of ffmpeg
    rates: tuple[int, ...] = (8000, 16000, 22050, 44100, 48000)
    slack: float = 0.0  # seconds by which the ends may differ: what encoders pad to whole frames
    joins: bool = False  # whether pieces one after another are played as one
    endless: bool = False  # whether nothing tells where it ends: cut between two frames, it is whole
    blank: bytes = b""  # what stands before its length, where that may be unknown, as 0 or the greatest number
    max_channels: int = 2
    least: int = 1  # samples: of less than a packet, versions of ffmpeg cut other paddings


LOSSY = (16000, 22050, 44100, 48000)
CONTAINERS = {
    "wav": Container("wav", "-c:a pcm_s16le", blank=b"data"),
    "wav_u8": Container("wav", "-c:a pcm_u8", blank=b"data"),
    "wav_s24": Container("wav", "-c:a pcm_s24le"),
    "wav_f32": Container("wav", "-c:a pcm_f32le", blank=b"data"),
    "wav_alaw": Container("wav", "-c:a pcm_alaw"),
    "wav_adpcm": Container("wav", "-c:a adpcm_ms"),
    "rf64": Container("wav", "-rf64 always"),
    "w64": Container("w64", ""),
    "aiff": Container("aiff", ""),
    "au": Container("au", ""),
    "caf": Container("caf", ""),
    "flac": Container("flac", "", joins=True),
    "vorbis": Container("ogg", "-c:a libvorbis", slack=0.15, joins=True),
    "opus": Container("opus", "-c:a libopus", (8000, 16000, 24000, 48000), joins=True),
    "mp3": Container("mp3", "-q:a 4", LOSSY, joins=True),
    "mp3_constant": Container("mp3", "-b:a 64k", LOSSY, joins=True),
    "mp3_bare": Container("mp3", "-q:a 2 -write_xing 0 -id3v2_version 0", LOSSY, joins=True, endless=True),
    "mp2": Container("mp2", "-c:a mp2 -b:a 128k", (16000, 22050, 44100, 48000), endless=True),
    "m4a": Container("m4a", "-c:a aac", LOSSY),
    "m4a_fast": Container("m4a", "-c:a aac -movflags +faststart", LOSSY),
    "aac": Container("aac", "-c:a aac", LOSSY, endless=True),
    "webm": Container("webm", "-c:a libopus", (48000,), least=4001),
    "mkv": Container("mka", "-c:a flac"),
    "wma": Container("wma", "-c:a wmav2 -b:a 64k", (22050, 44100)),
}
KINDS = ("path", "Path", "bytes", "bytearray", "memoryview", "BytesIO", "file", "pipe")


def ffmpeg(*options: str, content: bytes = b"") -> bytes:
    command = ["ffmpeg", "-v", "error", "-y", "-threads", "1", *options]
    return subprocess.run(command, input=content, capture_output=True).stdout


def sound(length: int, channels: int, seed: int) -> np.ndarray:
    """Tones and some noise: float32, `(channels, length)`."""
    generator = np.random.default_rng(seed)
    t = np.arange(length)
    tones = [0.2 * np.sin(2 * np.pi * f * t) for f in generator.uniform(0.01, 0.1, channels)]
    return (np.stack(tones) + 0.01 * generator.standard_normal((channels, length))).astype(np.float32)


def encoded(name: str, samples: np.ndarray, rate: int, folder: Path) -> bytes:
    container = CONTAINERS[name]
    path = folder / f"encoded.{container.suffix}"
    path.unlink(missing_ok=True)
    source = ("-f", "f32le", "-ar", str(rate), "-ac", str(len(samples)), "-i", "pipe:0")
    ffmpeg(*source, "-bitexact", *container.options.split(), str(path), content=samples.T.tobytes())
    return path.read_bytes() if path.exists() else b""


def judged(content: bytes, suffix: str, channels: int, folder: Path, rate: int) -> np.ndarray:
    """What `ffmpeg` reads: float32, `(channels, samples)`."""
    path = folder / f"judged.{suffix}"
    path.write_bytes(content)
    raw = ffmpeg("-nostdin", "-i", str(path), "-f", "f32le", "-ac", str(channels), "-ar", str(rate), "pipe:1")
    return np.frombuffer(raw, "<f4")[: len(raw) // 4 // channels * channels].reshape(-1, channels).T


class Unseekable(io.RawIOBase):
    """A pipe with some content."""

    def __init__(self, content: bytes):
        reader, writer = os.pipe()
        self._file = os.fdopen(reader, "rb", buffering=0)
        self._feeder = threading.Thread(target=self._feed, args=(writer, content), daemon=True)
        self._feeder.start()

    @staticmethod
    def _feed(writer: int, content: bytes) -> None:
        with os.fdopen(writer, "wb") as file:
            file.write(content)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        return self._file.readinto(buffer)

    def close(self) -> None:
        self._file.close()
        super().close()


def read(kind: str, content: bytes, suffix: str, folder: Path, **options):
    path = folder / f"read.{suffix}"
    path.write_bytes(content)
    if kind in ("path", "Path"):
        return read_audio(path if kind == "Path" else str(path), **options)
    if kind in ("file", "pipe"):
        with open(path, "rb") if kind == "file" else Unseekable(content) as file:
            return read_audio(file, **options)
    types = {"bytes": bytes, "bytearray": bytearray, "memoryview": memoryview, "BytesIO": io.BytesIO}
    return read_audio(types[kind](content), **options)


def residual(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Decibels of the difference, relative to the louder, over what both have."""
    length = min(ours.shape[1], theirs.shape[1])
    difference = ours[:, :length] - theirs[:, :length]
    power = max(float((theirs[:, :length] ** 2).mean()), float((ours[:, :length] ** 2).mean()), 1e-12)
    return 10 * np.log10(max(float((difference**2).mean()), 1e-20) / power)


@st.composite
def files(draw):
    name = draw(st.sampled_from(sorted(CONTAINERS)))
    container = CONTAINERS[name]
    channels = draw(st.integers(1, container.max_channels))
    length = max(container.least, draw(st.sampled_from([1, 2, 7, 1000, 1152, 4001, 20000, 50000])))
    return name, draw(st.sampled_from(container.rates)), sound(length, channels, draw(st.integers(0, 99)))


def examples(count):
    """More of them in the slow suite."""
    return settings(
        max_examples=int(os.environ.get("LLM_CODEC_JUDGED_EXAMPLES", count)),
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


@examples(20)
@given(file=files(), kind=st.sampled_from(KINDS))
def test_whole_files_are_read_as_ffmpeg_reads_them(tmp_path_factory, file, kind):
    folder = tmp_path_factory.mktemp("judged")
    name, rate, samples = file
    container, content = CONTAINERS[name], encoded(name, samples, rate, folder)
    try:
        audio = read(kind, content, container.suffix, folder)
    except ValueError as error:  # some encoders write nothing for a few samples
        assert samples.shape[1] < 2000 and ("empty" in str(error) or "audio" in str(error)), error
        return
    theirs = judged(content, container.suffix, len(samples), folder, audio.sampling_rate)
    assert len(audio.samples) == len(samples)
    assert audio.sampling_rate == rate
    difference = abs(audio.samples.shape[1] - theirs.shape[1]) / rate
    assert difference <= container.slack, (audio.samples.shape, theirs.shape)
    if theirs.shape[1] and not (name == "opus" and rate < 48000):  # which ffmpeg makes 48 kHz, and resamples
        assert residual(audio.samples, theirs) < -60


@examples(20)
@given(file=files(), kind=st.sampled_from(KINDS), share=st.floats(0.01, 0.99))
def test_cut_files_are_named_as_cut(tmp_path_factory, file, kind, share):
    folder = tmp_path_factory.mktemp("judged")
    name, rate, samples = file
    container, content = CONTAINERS[name], encoded(name, samples, rate, folder)
    try:
        whole = read("bytes", content, container.suffix, folder)
    except ValueError:
        return
    cut = content[: max(1, int(share * len(content)))]
    try:
        audio = read(kind, cut, container.suffix, folder)
    except ValueError as error:
        assert "read." in str(error) or "audio of" in str(error) or "audio in a" in str(error), error
    else:  # nothing is missing but tags and padding; or nothing can tell
        lacks = whole.samples.shape[1] - audio.samples.shape[1]
        assert container.endless or lacks <= container.slack * rate
    try:
        audio = read(kind, cut, container.suffix, folder, allow_truncated=True)
    except ValueError as error:
        assert isinstance(error, CutError) or share < 0.5 or "not audio" in str(error), error
    else:
        there = audio.samples.shape[1]
        assert there <= whole.samples.shape[1] + container.slack * rate
        # a decoder may fade out where the file ends
        if there > 4608:
            assert residual(audio.samples[:, : there - 4608], whole.samples) < -60


@examples(8)
@given(name=st.sampled_from(sorted(n for n, c in CONTAINERS.items() if c.joins)), pieces=st.integers(2, 4))
def test_joined_files_are_read_to_the_end(tmp_path_factory, name, pieces):
    folder = tmp_path_factory.mktemp("judged")
    contents = [encoded(name, sound(9000 + 500 * i, 1, i), 16000, folder) for i in range(pieces)]
    alone = [read("bytes", content, CONTAINERS[name].suffix, folder).samples for content in contents]
    audio = read("path", b"".join(contents), CONTAINERS[name].suffix, folder)
    expected = np.concatenate(alone, axis=1)
    if CONTAINERS[name].endless:  # one stream: the decoder overlaps what was joined
        assert audio.samples.shape == expected.shape
    else:
        np.testing.assert_array_equal(audio.samples, expected)
    theirs = judged(b"".join(contents), CONTAINERS[name].suffix, 1, folder, 16000)
    assert theirs.shape[1] <= expected.shape[1] + pieces * 3456  # who plays the delays of the pieces, too


@pytest.mark.parametrize("length", [0, 2**32 - 1, 2**31 - 1, 2**32 - 37])
@pytest.mark.parametrize("name", [name for name, container in CONTAINERS.items() if container.blank])
def test_lengths_that_are_not_known(tmp_path, name, length):
    content = bytearray(encoded(name, sound(5000, 2, 0), 16000, tmp_path))
    whole = read("bytes", bytes(content), "wav", tmp_path).samples
    place = content.index(CONTAINERS[name].blank) + 4
    content[place : place + 4] = struct.pack("<I", length)
    np.testing.assert_array_equal(read("path", bytes(content), "wav", tmp_path).samples, whole)
    assert residual(whole, judged(bytes(content), "wav", 2, tmp_path, 16000)) < -60


@examples(25)
@given(file=files(), kind=st.sampled_from(KINDS), data=st.data())
def test_damaged_files_end_in_audio_or_in_an_error_with_a_name(tmp_path_factory, file, kind, data):
    folder = tmp_path_factory.mktemp("judged")
    name, rate, samples = file
    content = bytearray(encoded(name, samples[:, :4001], rate, folder))
    for _ in range(data.draw(st.integers(1, 20))):
        if content:
            place = data.draw(st.integers(0, min(len(content) - 1, 400 if data.draw(st.booleans()) else 2**20)))
            content[place] = data.draw(st.integers(0, 255))
    for allow_truncated in (False, True):
        try:
            audio = read(kind, bytes(content), CONTAINERS[name].suffix, folder, allow_truncated=allow_truncated)
        except (ValueError, OSError) as error:
            assert "read." in str(error) or "audio of" in str(error) or "audio in a" in str(error), error
        else:
            assert audio.samples.dtype == np.float32 and audio.samples.ndim == 2
