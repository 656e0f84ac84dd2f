# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""
Containers of audio as their bytes show them: what is one stream, what is joined, what is cut.

libsndfile decodes one stream, of the length that its header states or that it guesses. Players do more: they play on
behind the end of the first stream (joined MP3, chained OGG), they ignore a length of 0 or of the greatest number, which
programs write that cannot know it yet, and they count the frames of an MP3 whose header states no number. So files are
looked through here first, without decoding, and handed on as `Piece`s that libsndfile reads right.
"""

import io
import itertools
import os
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO

GREATEST = 0x7FFFF000  # lengths from here on stand for one that was not known: writers choose several such numbers
WAVE_PCM = (1, 3, 0xFFFE, 6, 7)  # formats of a constant number of bytes per sample: integers, floats, A-law, µ-law


class Splice(io.RawIOBase):
    """
    Bytes and stretches of a file, one after another, as one file.

    Args:
        file: The file; it can seek.
        parts: Bytes, or the start and the stop of a stretch.
    """

    def __init__(self, file: BinaryIO, parts: Sequence[bytes | tuple[int, int]]):
        self._file = file
        self._parts = [part for part in parts if len(part) and (isinstance(part, bytes) or part[0] < part[1])]
        sizes = [len(part) if isinstance(part, bytes) else part[1] - part[0] for part in self._parts]
        self._starts = [0, *itertools.accumulate(sizes)]
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._starts[-1]}[whence]
        self._position = max(0, base + offset)  # decoders of damaged files ask for places before the start
        return self._position

    def readinto(self, buffer) -> int:
        view, done = memoryview(buffer).cast("B"), 0
        for part, start, stop in zip(self._parts, self._starts, self._starts[1:]):
            if not start <= self._position < stop:
                continue
            offset, count = self._position - start, min(stop - self._position, len(view) - done)
            if isinstance(part, bytes):
                content = part[offset : offset + count]
            else:
                self._file.seek(part[0] + offset)
                content = self._file.read(count)
            view[done : done + len(content)] = content
            done += len(content)
            self._position += len(content)
            if len(content) < count or done == len(view):
                break
        return done


@dataclass(frozen=True)
class Piece:
    """
    A stream that libsndfile decodes from its start to its end.

    Args:
        parts: Of the file, for `Splice`.
        is_cut: Whether the file ends before the stream does.
        claimed: Samples per channel that a cut stream had, where its header tells.
    """

    parts: tuple[bytes | tuple[int, int], ...]
    is_cut: bool = False
    claimed: int | None = None


def find_pieces(file: BinaryIO, quick: bool = False) -> list[Piece]:
    """
    The streams of a file, in their order. What is not known here is one piece.

    Args:
        file: It can seek.
        quick: Whether a FLAC file counts as one, whatever follows it.
    """
    size = file.seek(0, os.SEEK_END)
    head = _bytes_at(file, 0, 64)
    for is_it, find in (
        (head[:4] in (b"RIFF", b"RF64", b"BW64", b"RIFX") and head[8:12] == b"WAVE", _find_riff),
        (head[:4] == b"riff", _find_w64),
        (head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"), _find_aiff),
        (head[:4] in (b".snd", b"dns."), _find_au),
        (head[:4] == b"caff", _find_caf),
        (head[:4] == b"OggS", _find_ogg),
        (head[:4] == b"fLaC", _find_one if quick else _find_flac),
        (head[:7] == b"NIST_1A", _find_nist),
    ):
        if is_it:
            pieces = find(file, size)
            break
    else:
        pieces = find_mpeg(file, size)
    return pieces or [Piece(((0, size),))]


def _bytes_at(file: BinaryIO, position: int, count: int) -> bytes:
    file.seek(position)
    return file.read(count)


# ---- Files whose header states the length of the samples


def _counted(
    size: int, start: int, stated: int, frame: int | None, place: tuple[int, Callable[[int], bytes]], is_open: bool
) -> list[Piece]:
    """
    One piece with samples of a stated length.

    Args:
        size: Of the file.
        start: Of the samples.
        stated: Their length in bytes.
        frame: Bytes of a sample of all channels; None where that is not constant.
        place: Position of the stated length, and how a length is written there.
        is_open: Whether the stated length stands for one that was not known: all that is there counts.
    """
    there = max(0, size - start)
    if is_open or stated > there:
        position, write = place
        number = write(there - there % (frame or 1))
        parts = ((0, position), number, (position + len(number), size))
        # a missing byte is that of the padding to an even length
        is_cut = not is_open and stated - there >= max(frame or 1, 2)
        return [Piece(parts, is_cut, stated // frame if is_cut and frame else None)]
    return []


def _chunks(file: BinaryIO, size: int, start: int, order: str) -> Iterator[tuple[bytes, int, int]]:
    """Name, start and stated length of each chunk of a file of 8-byte heads."""
    position = start
    while position + 8 <= size:
        name, length = struct.unpack(f"{order}4sI", _bytes_at(file, position, 8))
        yield name, position + 8, length
        position += 8 + length + length % 2


def _find_riff(file: BinaryIO, size: int) -> list[Piece]:
    order = ">" if _bytes_at(file, 0, 4) == b"RIFX" else "<"
    wide, wide_at, frame = None, 0, None
    for name, start, length in _chunks(file, size, 12, order):
        if name == b"ds64":
            wide_at = start + 8
            (wide,) = struct.unpack("<Q", _bytes_at(file, wide_at, 8).ljust(8, b"\0"))
        elif name == b"fmt ":
            form, align = struct.unpack(f"{order}H10xH", _bytes_at(file, start, 14).ljust(14, b"\0"))
            frame = align or None if form in WAVE_PCM else None
        elif name == b"data":
            if wide is not None and length == 0xFFFFFFFF:
                return _counted(size, start, wide, frame, (wide_at, lambda n: struct.pack("<Q", n)), wide >= 2**62)
            is_open = length >= GREATEST or length == 0 and not _is_chunked(file, size, start, order)
            return _counted(size, start, length, frame, (start - 4, _writer(f"{order}I")), is_open)
    return []


def _writer(form: str) -> Callable[[int], bytes]:
    return lambda number: struct.pack(form, min(number, 2**32 - 1))


def _is_chunked(file: BinaryIO, size: int, start: int, order: str) -> bool:
    """Whether nothing but chunks stands from here to the end, so that a length of 0 is meant."""
    position = start
    for name, begin, length in _chunks(file, size, start, order):
        if not all(32 <= byte < 127 for byte in name):
            return False
        position = begin + length
    return position in (size, size - 1, size + 1)


def _find_w64(file: BinaryIO, size: int) -> list[Piece]:
    position, frame = 40, None
    while position + 24 <= size:
        name, length = struct.unpack("<4s12xQ", _bytes_at(file, position, 24))
        if name == b"fmt ":
            form, align = struct.unpack("<H10xH", _bytes_at(file, position + 24, 14).ljust(14, b"\0"))
            frame = align or None if form in WAVE_PCM else None
        elif name == b"data":
            is_open = length <= 24 and size > position + 24 or length >= 2**62
            field = (position + 16, lambda n: struct.pack("<Q", n + 24))
            return _counted(size, position + 24, max(0, length - 24), frame, field, is_open)
        position += max(24, (length + 7) // 8 * 8)
    return []


def _find_aiff(file: BinaryIO, size: int) -> list[Piece]:
    frame, frames = None, None
    for name, start, length in _chunks(file, size, 12, ">"):
        if name == b"COMM":
            channels, frames, bits = struct.unpack(">HIH", _bytes_at(file, start, 8).ljust(8, b"\0"))
            coding = _bytes_at(file, start + 18, 4) if _bytes_at(file, 8, 4) == b"AIFC" else b"NONE"
            is_constant = coding in (b"NONE", b"sowt", b"twos", b"fl32", b"FL32", b"fl64", b"FL64", b"in24", b"in32")
            frame = channels * -(-bits // 8) or None if is_constant else None
        elif name == b"SSND":
            (offset,) = struct.unpack(">I", _bytes_at(file, start, 4).ljust(4, b"\0"))
            is_open = length <= 8 and size > start + 8 and not _is_chunked(file, size, start + length, ">")
            is_open = is_open or length >= GREATEST
            found = _counted(
                size, start + 8 + offset, max(0, length - 8 - offset), frame, (start - 4, lambda n: b""), is_open
            )
            # libsndfile goes by what is there, whatever the chunk says
            return [Piece(((0, size),), piece.is_cut, frames or piece.claimed) for piece in found]
    return []


def _find_au(file: BinaryIO, size: int) -> list[Piece]:
    order = ">" if _bytes_at(file, 0, 4) == b".snd" else "<"
    start, length, coding, _, channels = struct.unpack(f"{order}5I", _bytes_at(file, 4, 20).ljust(20, b"\0"))
    width = {1: 1, 2: 1, 3: 2, 4: 3, 5: 4, 6: 4, 7: 8, 27: 1}.get(coding)
    frame = width * channels or None if width else None
    is_open = length >= GREATEST or length == 0 and size > start
    return _counted(size, start, length, frame, (8, _writer(f"{order}I")), is_open)


def _find_caf(file: BinaryIO, size: int) -> list[Piece]:
    position, frame = 8, None
    while position + 12 <= size:
        name, length = struct.unpack(">4sq", _bytes_at(file, position, 12))
        if name == b"desc":
            (align, per_packet) = struct.unpack(">16xII", _bytes_at(file, position + 12, 24).ljust(24, b"\0"))
            frame = align or None if per_packet == 1 else None
        elif name == b"data":
            field = (position + 4, lambda n: struct.pack(">q", n + 4))
            return _counted(size, position + 16, max(0, length - 4), frame, field, length in (-1, 2**63 - 1))
        if length < 0:
            break
        position += 12 + length
    return []


def _find_nist(file: BinaryIO, size: int) -> list[Piece]:
    head = _bytes_at(file, 0, 1024).decode("latin-1")
    fields = {line.split()[0]: line.split()[-1] for line in head.splitlines() if len(line.split()) == 3}
    try:
        start, frames = int(head.splitlines()[1]), int(fields["sample_count"])
        frame = int(fields["sample_n_bytes"]) * int(fields["channel_count"])
    except (KeyError, ValueError, IndexError):
        return []
    is_cut = "pcm" in fields.get("sample_coding", "pcm") and size - start < frames * frame
    return [Piece(((0, size),), True, frames)] if is_cut else []


def _find_one(file: BinaryIO, size: int) -> list[Piece]:
    return [Piece(((0, size),))]


def _find_flac(file: BinaryIO, size: int) -> list[Piece]:
    """FLAC files one after another; whether one is cut shows only when it is decoded."""
    mark, starts, position, before = b"fLaC\x00\x00\x00\x22", [0], 4, b""
    file.seek(position)
    while content := file.read(2**20):
        window = before + content
        place = window.find(mark)
        while place >= 0:
            starts.append(position - len(before) + place)
            place = window.find(mark, place + 1)
        position, before = position + len(content), window[-len(mark) + 1 :]
    return [Piece(((start, stop),)) for start, stop in zip(starts, [*starts[1:], size])]


# ---- OGG


def _find_ogg(file: BinaryIO, size: int) -> list[Piece]:
    """The links of a chain of OGG streams: each begins with pages that begin streams."""
    links: list[dict] = []
    position, was_first = 0, False
    while position + 27 <= size:
        head = _bytes_at(file, position, 27 + 255)
        if head[:4] != b"OggS":  # damaged, or something between the pages
            position = _find_mark(file, position + 1, b"OggS", size)
            continue
        count = head[26]
        stop = position + 27 + count + sum(head[27 : 27 + count])
        if len(head) < 27 + count or stop > size:
            break
        is_first, is_last = bool(head[5] & 2), bool(head[5] & 4)
        if is_first and not was_first:
            links.append({"start": position, "open": set(), "stop": stop})
        was_first = is_first
        if links:
            serial = head[14:18]
            links[-1]["open"] = links[-1]["open"] - {serial} if is_last else links[-1]["open"] | {serial}
            links[-1]["stop"] = stop
        position = stop
    return [Piece(((link["start"], link["stop"]),), bool(link["open"])) for link in links]


def _find_mark(file: BinaryIO, position: int, mark: bytes, size: int) -> int:
    """The first position from here on at which a mark stands; the file's size where it does not."""
    while position < size:
        content = _bytes_at(file, position, 2**16)
        place = content.find(mark)
        if place >= 0:
            return position + place
        if len(content) < 2**16:
            break
        position += len(content) - len(mark) + 1
    return size


# ---- MPEG audio: MP3, MP2

BITRATES = {  # kbit/s by whether it is MPEG 1, and layer
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
DELAY_TELLERS = (b"LAME", b"Lavf", b"Lavc")  # programs whose tables of contents tell the encoder's delay
SEARCHED = 2**18  # bytes in which the first frame of an MP3 is looked for


@dataclass(frozen=True)
class MpegFrame:
    """
    The head of a frame.

    Args:
        size: Bytes of the frame.
        samples: Samples per channel that it decodes to.
        kind: Version, layer, rate and number of channels: equal in all frames of a stream.
        tag_start: Where a table of contents stands in it.
    """

    size: int
    samples: int
    kind: tuple[int, int, int, int]
    tag_start: int

    def tag_in(self, content: bytes) -> bytes:
        """The name of the table of contents in a frame of layer III; empty where it holds audio."""
        if content[self.tag_start : self.tag_start + 4] in (b"Xing", b"Info"):
            return content[self.tag_start : self.tag_start + 4]
        return b"VBRI" if content[36:40] == b"VBRI" else b""

    @classmethod
    def parse(cls, head: bytes) -> "MpegFrame | None":
        """A frame by its first four bytes; None where they are none."""
        if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
            return None
        version, layer, bitrate, rate = (head[1] >> 3) & 3, 4 - ((head[1] >> 1) & 3), head[2] >> 4, (head[2] >> 2) & 3
        if version == 1 or layer == 4 or bitrate in (0, 15) or rate == 3:
            return None
        is_1 = version == 3
        kilobits = BITRATES[is_1, layer][bitrate - 1]
        hertz = (44100, 48000, 32000)[rate] >> {3: 0, 2: 1, 0: 2}[version]
        padding, channels = (head[2] >> 1) & 1, 1 if head[3] >> 6 == 3 else 2
        if layer == 1:
            size, samples = (12000 * kilobits // hertz + padding) * 4, 384
        else:
            samples = 576 if layer == 3 and not is_1 else 1152
            size = samples // 8 * 1000 * kilobits // hertz + padding
        side = {(True, 2): 32, (True, 1): 17, (False, 2): 17, (False, 1): 9}[is_1, channels]
        tag_start = 4 + (0 if head[1] & 1 else 2) + side
        return cls(size, samples, (version, layer, hertz, channels), tag_start)


@dataclass
class _MpegStream:
    """Frames that belong together, and the table of contents before them, where there is one."""

    first: MpegFrame
    head: bytes  # of the first frame
    table: bytes = b""
    frames: int = 0
    stretches: list[tuple[int, int]] = field(default_factory=list)

    def add(self, start: int, stop: int) -> None:
        self.frames += 1
        if self.stretches and self.stretches[-1][1] == start:
            start, _ = self.stretches.pop()
        self.stretches.append((start, stop))

    @property
    def size(self) -> int:
        return sum(stop - start for start, stop in self.stretches)


def find_mpeg(file: BinaryIO, size: int) -> list[Piece]:
    """
    The streams of an MP3 or MP2: one, or those of several that were joined. Each is given a table of contents that
    states the number of its frames, where it has none; tags, and what else is no audio, are left out.

    Returns:
        The pieces; none where this is no MPEG audio.
    """
    position = _skip_tags(file, 0, size)
    position = _find_frames(file, position, min(size, position + SEARCHED), size)
    if position is None:
        return []
    if 0 < (stop := _stated_stop(file, position)) <= size and _skip_tags(file, stop, size) == size:
        return [Piece(((position, stop),))]  # nothing is missing and nothing follows
    streams: list[_MpegStream] = []
    is_cut = False
    while position < size:
        head = _bytes_at(file, position, 4)
        frame = MpegFrame.parse(head)
        if frame is None:
            after = _skip_tags(file, position, size)
            after = _find_frames(file, after, size, size)
            if after is None:
                break
            position = after
            continue
        stop = position + frame.size
        if stop > size:
            is_cut = True
            break
        content = _bytes_at(file, position, frame.size)
        is_table = frame.kind[1] == 3 and frame.tag_in(content) != b""
        if is_table or not streams or streams[-1].first.kind != frame.kind:
            streams.append(_MpegStream(frame, head))
        if is_table:
            streams[-1].table = content
        else:
            streams[-1].add(position, stop)
        position = stop
    return [_mpeg_piece(stream, is_cut and stream is streams[-1]) for stream in streams if stream.frames]


def _stated_stop(file: BinaryIO, position: int) -> int:
    """Where a stream ends by its table of contents, if that states frames, bytes and the encoder's delay; else 0."""
    frame = MpegFrame.parse(_bytes_at(file, position, 4))
    table = _bytes_at(file, position, frame.size)
    known, flags, frames, name = _read_table(frame, table)
    if not (known and flags & 3 == 3 and frames and name in DELAY_TELLERS):
        return 0
    return position + int.from_bytes(table[frame.tag_start + 12 : frame.tag_start + 16], "big")


def _read_table(frame: MpegFrame, table: bytes) -> tuple[bool, int, int, bytes]:
    """Whether this is a table of contents that can be read, its flags, number of frames, and who wrote it."""
    place = frame.tag_start
    if frame.kind[1] != 3 or frame.tag_in(table) not in (b"Xing", b"Info") or len(table) < place + 12:
        return False, 0, 0, b""
    flags, stated = struct.unpack(">II", table[place + 4 : place + 12])
    name_start = place + 8 + sum(n for bit, n in zip((1, 2, 4, 8), (4, 4, 100, 4)) if flags & bit)
    return True, flags, stated if flags & 1 else 0, table[name_start : name_start + 4]


def _mpeg_piece(stream: _MpegStream, is_cut: bool) -> Piece:
    """A stream with a table of contents that states the number of its frames."""
    place = stream.first.tag_start
    _, flags, stated, name = _read_table(stream.first, stream.table)
    if stated and name in DELAY_TELLERS:
        table = bytearray(stream.table)
        table[place + 8 : place + 12] = struct.pack(">I", stream.frames)
        if flags & 2:
            table[place + 12 : place + 16] = struct.pack(">I", len(table) + stream.size)
        # one that states a frame too many has counted itself
        is_cut, claimed = is_cut or stated > stream.frames + 1, stated * stream.first.samples
        return Piece((bytes(table), *stream.stretches), is_cut, claimed if is_cut else None)
    if stream.first.kind[1] != 3:
        return Piece(tuple(stream.stretches), is_cut)
    # libsndfile's decoder leaves out its own delay, of 529 samples, where there is a table. A silent frame goes first,
    # and the table says that the rest of it is the encoder's delay, and that as much of the end counts as there is.
    head = bytes((stream.head[0], stream.head[1] | 1, (stream.head[2] & 0x0C) | 0xE0, stream.head[3]))
    frame = MpegFrame.parse(head)  # of the greatest bit rate, so that there is room, and without a checksum
    silence = head.ljust(frame.size, b"\0")
    delays = ((frame.samples - 529) << 12 | 529).to_bytes(3, "big")
    tag = b"Xing" + struct.pack(">II", 1, stream.frames + 1) + b"LAME3.100".ljust(21, b"\0") + delays
    table = silence[: frame.tag_start] + tag + silence[frame.tag_start + len(tag) :]
    return Piece((table, silence, *stream.stretches), is_cut)


def _skip_tags(file: BinaryIO, position: int, size: int) -> int:
    """The position behind all tags that stand here: ID3, APE, Lyrics3."""
    while position < size:
        head = _bytes_at(file, position, 32)
        if head[:3] == b"ID3" and len(head) >= 10:
            length = sum((byte & 0x7F) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0)))
            position += 10 + length + (10 if head[5] & 0x10 else 0)
        elif head[:4] == b"TAG+":
            position += 227
        elif head[:3] == b"TAG":
            position += 128
        elif head[:8] == b"APETAGEX" and len(head) == 32:
            length, _, flags = struct.unpack("<III", head[12:24])
            position += length + (32 if flags & 0x20000000 else 0)
        elif head[:11] == b"LYRICSBEGIN":
            position = min(size, _find_mark(file, position, b"LYRICS200", size) + 9)
        else:
            break
    return min(position, size)


def _find_frames(file: BinaryIO, position: int, stop: int, size: int) -> int | None:
    """The first position from here on, before `stop`, at which three frames of a kind follow each other, or end it."""
    while position < stop:
        content = _bytes_at(file, position, min(2**16, size - position))
        place = content.find(b"\xff")
        while place >= 0 and position + place < stop:
            if _is_stream(file, position + place, size):
                return position + place
            place = content.find(b"\xff", place + 1)
        position += len(content)
        if not content:
            break
    return None


def _is_stream(file: BinaryIO, position: int, size: int) -> bool:
    kind = None
    for number in range(3):
        frame = MpegFrame.parse(_bytes_at(file, position, 4))
        if frame is None or kind not in (None, frame.kind):
            # one or two frames are a stream if a file or a tag ends there
            return number > 0 and (position >= size or _skip_tags(file, position, size) > position)
        kind, position = frame.kind, position + frame.size
        if position > size:
            return number > 0
    return True


__all__ = ["Piece", "Splice", "find_pieces"]
