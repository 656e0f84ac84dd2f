# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""
MPEG audio (MP3, MP2) frame by frame, without decoding it.

Only the frames tell how many samples an MP3 holds: its header may state no number, or a wrong one, and several files
may have been joined. So the frames are counted here, and each stream gets a table of contents that states their number,
which is what libsndfile goes by.
"""

import struct
from dataclasses import dataclass, field
from typing import BinaryIO

from .pieces_llm_codec import Piece, bytes_at, find_mark

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


def find_mpeg(file: BinaryIO, size: int, quick: bool = False) -> list[Piece]:
    """
    The streams of an MP3 or MP2: one, or those of several that were joined. Each is given a table of contents that
    states the number of its frames, where it has none; tags, and what else is no audio, are left out.

    Args:
        file: It can seek.
        size: Of the file.
        quick: Whether to believe a table of contents that states the size of all there is.

    Returns:
        The pieces; none where this is no MPEG audio.
    """
    position = skip_tags(file, 0, size)
    position = _find_frames(file, position, min(size, position + SEARCHED), size)
    if position is None:
        return []
    if quick and 0 < (stop := _stated_stop(file, position)) <= size and skip_tags(file, stop, size) == size:
        return [Piece(((position, stop),))]  # nothing is missing and nothing follows
    streams: list[_MpegStream] = []
    is_cut = False
    while position < size:
        head = bytes_at(file, position, 4)
        frame = MpegFrame.parse(head)
        if frame is None:
            after = skip_tags(file, position, size)
            after = _find_frames(file, after, size, size)
            if after is None:
                break
            position = after
            continue
        stop = position + frame.size
        if stop > size:
            is_cut = True
            break
        content = bytes_at(file, position, frame.size)
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
    frame = MpegFrame.parse(bytes_at(file, position, 4))
    table = bytes_at(file, position, frame.size)
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


def skip_tags(file: BinaryIO, position: int, size: int) -> int:
    """The position behind all tags that stand here: ID3, APE, Lyrics3."""
    while position < size:
        head = bytes_at(file, position, 32)
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
            position = min(size, find_mark(file, position, b"LYRICS200", size) + 9)
        else:
            break
    return min(position, size)


def _find_frames(file: BinaryIO, position: int, stop: int, size: int) -> int | None:
    """The first position from here on, before `stop`, at which frames of a kind follow each other."""
    skipped = 0
    while position < stop:
        content = bytes_at(file, position, min(2**16, size - position))
        place = content.find(b"\xff")
        while place >= 0 and position + place < stop:
            # behind something else it takes three frames to be one
            if _is_stream(file, position + place, size, 3 if skipped + place else 1):
                return position + place
            place = content.find(b"\xff", place + 1)
        position, skipped = position + len(content), skipped + len(content)
        if not content:
            break
    return None


def _is_stream(file: BinaryIO, position: int, size: int, least: int) -> bool:
    """Whether three frames of a kind stand here, or fewer, if they are `least` and the file or a tag follows them."""
    kind = None
    for number in range(3):
        frame = MpegFrame.parse(bytes_at(file, position, 4))
        if frame is None or kind not in (None, frame.kind):
            return number >= least and (position >= size or skip_tags(file, position, size) > position)
        kind, position = frame.kind, position + frame.size
        if position > size:
            return number >= least
    return True


__all__ = ["find_mpeg", "skip_tags"]
