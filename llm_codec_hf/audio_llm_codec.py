# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""
Audio files, read whole or block by block, as they are; and writing 16-bit WAV.

libsndfile decodes what it knows (WAV, FLAC, OGG, Opus, MP3, AIFF, AU, CAF, W64 and more), PyAV the rest (M4A, AAC, MP4,
WebM, WMA) where it is installed. Every sample that players play is read: all of an MP3 whatever its header says, all
pieces of joined MP3, FLAC and chained OGG, WAV with an unknown length. A file that is cut is refused, unless what is
there is asked for.
"""

import contextlib
import io
import os
import urllib.request
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from .containers_llm_codec import ends_early, find_pieces, has_known_head
from .pieces_llm_codec import Piece, Splice
from .pyav_llm_codec import REMEDY, PyAVDecoder

try:  # only to read files; the code that travels to the Hub asks for nothing else than torch, transformers and numpy
    import soundfile
except ImportError:
    soundfile = None

URL_TIMEOUT = 30  # seconds
UNKNOWN = 2**61  # how many samples libsndfile states, and more, where a header states none
BLOCK = 2**16  # samples that are read at once

# The one list of what counts as audio by its name: in folders, and where a text may name a clip.
SNDFILE_SUFFIXES = frozenset(
    ".wav .wave .rf64 .w64 .flac .ogg .oga .opus .mp3 .mp2 .mp1 .mpga .aiff .aif .aifc .au .snd .caf".split()
    + ".sph .nist .voc .ircam .svx .8svx .avr .paf .htk".split()
)
PYAV_SUFFIXES = frozenset(
    ".m4a .m4b .aac .mp4 .m4v .mov .3gp .webm .weba .mka .mkv .wma .asf .ac3 .eac3 .amr .ape .wv .tta .mpc".split()
    + ".ra .dts .adts .ogv .spx .dsf .avi .flv .mpg .mpeg".split()
)
AUDIO_SUFFIXES = SNDFILE_SUFFIXES | PYAV_SUFFIXES

Source = str | os.PathLike | bytes | bytearray | memoryview | BinaryIO
SOURCES = "a path, an http(s) URL, the bytes of a file, or a binary file that is open"


class Audio(NamedTuple):
    """What an audio file holds.

    Attributes:
        samples: float32, `(channels, samples)`.
        sampling_rate: In Hz.
    """

    samples: np.ndarray
    sampling_rate: int


class CutError(ValueError):
    """A file ends before its audio does."""


def parts(length: int, size: int) -> Iterator[tuple[int, int]]:
    """Start and stop of each of the parts of a length: about equal, of at least `size`; one if there is less."""
    count = max(1, length // max(1, size))
    return ((length * i // count, length * (i + 1) // count) for i in range(count))


class AudioReader:
    """
    Audio that is open, to be read once from its start to its end. `open_audio` makes it.

    Attributes:
        name: What messages call it.
        samplerate: In Hz.
        channels: Their number.
        frames: Samples per channel, as far as the headers tell; None where they do not.
    """

    def __init__(self, file: BinaryIO, name: str, path: str | None, allow_truncated: bool, quick: bool):
        self.name, self._file, self._allow_truncated = name, file, allow_truncated
        size = file.seek(0, os.SEEK_END)
        if not size:
            raise ValueError(f"{name}: The file is empty.")
        pieces, refusal = find_pieces(file, quick), None
        # libsndfile itself reads a whole file faster than by way of Python
        self._path = path if pieces == [Piece(((0, size),))] and has_known_head(file) else None
        self._sound, self._pyav, self.is_cut = None, None, any(piece.is_cut for piece in pieces)
        self._pieces: list[tuple[Piece, int | None]] = []
        rates, first = [], None
        for number, piece in enumerate(pieces):
            try:
                sound = self._open(piece)
                rates.append((sound.samplerate, sound.channels))
                self._pieces.append((piece, sound.frames if sound.frames < UNKNOWN else None))
                if len(rates) == 1:
                    first = sound
                else:
                    sound.close()
            except (soundfile.SoundFileError, TypeError) as error:  # a TypeError for formats without a header
                if number or not piece.is_cut:
                    refusal = error
                    break
        if not self._pieces or refusal is not None:
            self._try_pyav(refusal)
            return
        self._sound = first
        self.samplerate, self.channels = rates[0]
        for place, other in enumerate(rates):
            if other != rates[0]:
                raise ValueError(
                    f"{name}: The file is joined of pieces; the first has {rates[0][1]} channels at {rates[0][0]} Hz, "
                    f"number {place + 1} has {other[1]} at {other[0]} Hz. Split it there."
                )
        lengths = [frames for _, frames in self._pieces]
        self.frames = None if None in lengths else sum(lengths)
        self._can_seek = len(self._pieces) == 1 and self.frames is not None

    def _open(self, piece: Piece) -> "soundfile.SoundFile":
        if self._sound is not None:  # the first piece, just opened
            sound, self._sound = self._sound, None
            return sound
        sound = soundfile.SoundFile(_sndfile_path(self._path) if self._path else Splice(self._file, piece.parts))
        # soundfile seeks after each read, and a decoder of mp3 then starts anew: blocks would not be the whole
        sound.seekable = lambda: False
        return sound

    def _try_pyav(self, refusal: Exception | None) -> None:
        """Takes PyAV, where libsndfile refuses."""
        if self.is_cut:
            raise CutError(f"{self.name}: The file is cut: none of its audio is there. Get it whole.")
        try:
            size = self._file.seek(0, os.SEEK_END)
            self._pyav = PyAVDecoder(Splice(self._file, ((0, size),)))
        except ImportError:
            raise ValueError(
                f"{self.name}: This is not audio that libsndfile {soundfile.__libsndfile_version__} reads. {REMEDY}."
            ) from refusal
        except ValueError as error:
            if ends_early(self._file):
                raise CutError(f"{self.name}: The file is cut: none of its audio can be read. Get it whole.") from error
            raise ValueError(
                f"{self.name}: This is not audio that libsndfile {soundfile.__libsndfile_version__} or PyAV reads, or "
                f"it is damaged ({error})."
            ) from refusal
        self.is_cut = ends_early(self._file)
        self.samplerate, self.channels = self._pyav.samplerate, self._pyav.channels
        self.frames, self._can_seek = self._pyav.stated, False

    def close(self) -> None:
        """Ends the reading; a file that was given stays open."""
        for decoder in (self._sound, self._pyav):
            if decoder is not None:
                decoder.close()

    def blocks(self, size: int = BLOCK) -> Iterator[np.ndarray]:
        """
        Reads all that is left.

        Args:
            size: Samples per channel of a block; the last has up to twice as many, or what there is.

        Yields:
            float32, `(channels, samples)`; at least one, which only audio without samples leaves empty.

        Raises:
            CutError: If the file ends before its audio does, and what is there was not asked for.
            ValueError: If it cannot be decoded from some sample on.
        """
        self.check_whole()
        waiting, count, any_yet = [], 0, False
        # no more at once than memory holds, whatever rate and channels a damaged header states
        for block in self._decoded(min(size, BLOCK, max(2**12, 2**21 // self.channels))):
            waiting.append(block)
            count += block.shape[1]
            while count >= 2 * size:
                joined = np.concatenate(waiting, axis=1)
                yield joined[:, :size]
                any_yet = True
                waiting, count = [joined[:, size:]], count - size
        if count or not any_yet:
            yield np.concatenate(waiting, axis=1) if waiting else np.zeros((self.channels, 0), np.float32)

    def read(self) -> np.ndarray:
        """All that is left: float32, `(channels, samples)`. Raises what `blocks` raises."""
        blocks = list(self.blocks())
        return blocks[0] if len(blocks) == 1 else np.concatenate(blocks, axis=1)

    def read_at(self, start: int, samples: int) -> np.ndarray:
        """
        A stretch; quick where the file can seek, and read from the start elsewhere.

        Args:
            start: Its first sample.
            samples: How many; fewer come where the audio ends before.

        Returns:
            float32, `(channels, samples)`.

        Raises:
            ValueError: If it cannot be decoded.
        """
        if self._can_seek:
            with self._open(self._pieces[0][0]) as sound:
                sound.seek(min(start, sound.frames))
                return sound.read(samples, dtype="float32", always_2d=True).T
        found, position = [np.zeros((self.channels, 0), np.float32)], 0
        for block in self._decoded(BLOCK):
            found.append(block[:, max(0, start - position) : max(0, start + samples - position)])
            position += block.shape[1]
            if position >= start + samples:
                break
        return np.concatenate(found, axis=1)

    def check_whole(self) -> None:
        """
        Checks what can be told without decoding.

        Raises:
            CutError: If the file is cut, and what is there was not asked for; the message says how much that is.
        """
        if self.is_cut and not self._allow_truncated:
            there, self._allow_truncated = 0, True
            with contextlib.suppress(ValueError):
                for block in self._decoded(BLOCK):
                    there += block.shape[1]
            claimed = next((piece.claimed for piece, _ in self._pieces if piece.claimed), None)
            raise self._cut(there, claimed)

    def _cut(self, there: int, claimed: int | None) -> CutError:
        stated = f" of {claimed} ({claimed / self.samplerate:.2f} s)" if claimed and claimed > there else ""
        return CutError(
            f"{self.name}: The file is cut or damaged: {there} samples ({there / self.samplerate:.2f} s){stated} can "
            "be read. Get it whole, or take what is there with `allow_truncated=True` (`--allow_truncated` of a "
            "command)."
        )

    def _decoded(self, size: int) -> Iterator[np.ndarray]:
        """Blocks of any size, of all pieces."""
        there = 0
        for block in self._decoded_by_pyav() if self._pyav else self._decoded_by_sndfile(size):
            if isinstance(block, int):  # the samples that a header states, of which there are no more
                if not self._allow_truncated:
                    raise self._cut(there, block)
                self.is_cut = True
                return
            there += block.shape[1]
            yield block

    def _decoded_by_pyav(self) -> Iterator[np.ndarray | int]:
        try:
            yield from self._pyav.blocks()
        except EOFError:
            yield self._pyav.stated or 0
        except ValueError as error:
            raise ValueError(f"{self.name}: {error}") from error

    def _decoded_by_sndfile(self, size: int) -> Iterator[np.ndarray | int]:
        done = 0
        for piece, stated in self._pieces:
            before = done
            with self._open(piece) as sound:
                while True:
                    try:
                        block = sound.read(size, dtype="float32", always_2d=True).T
                    except soundfile.SoundFileError:
                        for block in self._salvaged(piece, done - before, size):
                            done += block.shape[1]
                            yield block
                        yield stated or 0
                        return
                    if not block.shape[1]:
                        break
                    done += block.shape[1]
                    yield block
            if stated is not None and done - before < stated:
                yield before + stated

    def _salvaged(self, piece: Piece, start: int, size: int) -> Iterator[np.ndarray]:
        """What can be decoded of a block that fails as a whole: its first half, or the first half of that, …"""
        while size > 1:
            size //= 2
            with self._open(piece) as sound:
                with contextlib.suppress(soundfile.SoundFileError):
                    for first, last in parts(start, BLOCK):
                        sound.read(last - first, dtype="float32")
                    block = sound.read(size, dtype="float32", always_2d=True).T
                    start += block.shape[1]
                    if block.shape[1]:
                        yield block


@contextlib.contextmanager
def open_audio(source: Source, allow_truncated: bool = False, quick: bool = False) -> Iterator[AudioReader]:
    """
    Opens audio, to be read once from its start to its end.

    Args:
        source: A path, an `http(s)://` URL, the bytes of a file, or a binary file that is open.
        allow_truncated: Whether a file that is cut gives what is there of it, rather than an error.
        quick: Whether to believe headers as far as they are plausible, rather than to read the whole file first.

    Raises:
        OSError: If the file or URL is missing or cannot be opened.
        ValueError: For what is not audio, or is cut. The message begins with the name of the file.
        TypeError: For another kind of source.
        ImportError: If soundfile is missing.
    """
    if soundfile is None:
        raise ImportError("Reading audio files needs soundfile: run `pip install soundfile`.")
    name = name_of(source)
    with _opened(source) as file:
        is_path = isinstance(source, (str, os.PathLike)) and not isinstance(file, io.BytesIO)
        reader = AudioReader(file, name, os.fspath(source) if is_path else None, allow_truncated, quick)
        try:
            yield reader
        except soundfile.SoundFileError as error:
            raise ValueError(f"{name}: The file is damaged ({error}).") from error
        finally:
            reader.close()


def name_of(source: Source) -> str:
    """What messages call a source of audio."""
    if isinstance(source, (str, os.PathLike)):
        return os.fspath(source)
    if isinstance(source, (bytes, bytearray, memoryview)):
        return f"audio of {len(source)} bytes"
    return str(getattr(source, "name", None) or f"audio in a {type(source).__name__}")


@contextlib.contextmanager
def _opened(source: Source) -> Iterator[BinaryIO]:
    """A binary file that can seek; one that was given stays open."""
    if isinstance(source, str) and source.startswith(("http://", "https://")):
        with urllib.request.urlopen(source, timeout=URL_TIMEOUT) as response:
            source = response.read()
    if isinstance(source, (bytes, bytearray, memoryview)):
        yield io.BytesIO(source)
    elif isinstance(source, (str, os.PathLike)):
        with open(source, "rb") as file:
            yield file if file.seekable() else io.BytesIO(file.read())
    elif hasattr(source, "read"):
        content = source.read() if not _can_seek(source) else None
        if isinstance(source, io.TextIOBase) or isinstance(content, str):
            raise TypeError(f"{name_of(source)} is open as text; open it with mode 'rb'.")
        yield source if content is None else io.BytesIO(content)
    else:
        raise TypeError(f"Audio is read from {SOURCES}; got {type(source).__name__}.")


def _can_seek(file: BinaryIO) -> bool:
    return hasattr(file, "seek") and (not hasattr(file, "seekable") or file.seekable())


def read_blocks(audio: AudioReader, size: int) -> Iterator[np.ndarray]:
    """
    Reads audio that was just opened: at least one block, which only an empty file leaves empty.

    Args:
        audio: What `open_audio` opened.
        size: Samples per channel of a block; the last has up to twice as many, or what there is.

    Yields:
        float32, `(channels, samples)`.

    Raises:
        ValueError: For a file that is cut or damaged.
    """
    yield from audio.blocks(size)


def read_audio(source: Source, allow_truncated: bool = False) -> Audio:
    """
    Reads audio with all its channels, at its own rate.

    (`transformers.audio_utils.load_audio` averages channels and hides the rate, and before Transformers 5.23 it needs
    librosa.)

    Args:
        source: A path, an `http(s)://` URL, the bytes of a file, or a binary file that is open.
        allow_truncated: Whether a file that is cut gives what is there of it, rather than an error.

    Raises:
        OSError: If the file or URL is missing or cannot be opened.
        ValueError: For what is not audio, or is cut. The message begins with the name of the file.
        TypeError: For another kind of source.
        ImportError: If soundfile is missing.
    """
    with open_audio(source, allow_truncated) as audio:
        return Audio(audio.read(), audio.samplerate)


def _sndfile_path(path: str | os.PathLike) -> str | bytes:
    """A path as soundfile takes it, even one that is no text."""
    return os.fspath(path) if os.name == "nt" else os.fsencode(path)


def write_wav(path: str | os.PathLike, blocks: Iterable[np.ndarray], sampling_rate: int) -> None:
    """Writes mono samples in −1 … 1, in blocks of the shape `(samples,)`, as 16-bit PCM; louder ones are clipped."""
    Path(path).touch()  # libsndfile does not say why it cannot
    with soundfile.SoundFile(_sndfile_path(path), "w", sampling_rate, 1, "PCM_16", format="WAV") as wav:
        for block in blocks:
            wav.write(block)
