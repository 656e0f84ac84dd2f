# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""
Containers of audio as their bytes show them: what is one stream, what is joined, what is cut.

libsndfile decodes one stream, of the length that its header states or that it guesses. Players do more: they play on
behind the end of the first stream (joined MP3, chained OGG), they ignore a length of 0 or of the greatest number, which
programs write that cannot know it yet, and they count the frames of an MP3 whose header states no number. So files are
looked through here first, without decoding, and handed on as `Piece`s that libsndfile reads right.
"""

import os
import struct
from collections.abc import Callable, Iterator
from typing import BinaryIO

from .mpeg_llm_codec import find_mpeg, skip_tags
from .pieces_llm_codec import Piece, bytes_at, find_mark

GREATEST = 0x7FFFF000  # lengths from here on stand for one that was not known: writers choose several such numbers
EBML = b"\x1a\x45\xdf\xa3"  # Matroska and WebM
ASF = b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"  # WMA
WAVE_PCM = (1, 3, 0xFFFE, 6, 7)  # formats of a constant number of bytes per sample: integers, floats, A-law, µ-law


def find_pieces(file: BinaryIO, quick: bool = False) -> list[Piece]:
    """
    The streams of a file, in their order. What is not known here is one piece.

    Args:
        file: It can seek.
        quick: Whether to do without what takes reading the whole file: the search for FLAC files that were joined, and
            the count of an MP3's frames where its table of contents is plausible.
    """
    size = file.seek(0, os.SEEK_END)
    head = bytes_at(file, 0, 64)
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
        if head[:3] == b"ID3" and bytes_at(file, start := skip_tags(file, 0, size), 4) == b"fLaC":
            pieces = [Piece(((start, size),))]
        else:
            pieces = [] if _is_foreign(head) else find_mpeg(file, size, quick)
    return pieces or [Piece(((0, size),))]


def has_known_head(file: BinaryIO) -> bool:
    """Whether a file begins as libsndfile knows it. Of others it may believe the suffix of their name."""
    return bytes_at(file, 0, 4) in (b"RIFF", b"RF64", b"riff", b"FORM", b".snd", b"caff", b"fLaC", b"OggS")


def _is_foreign(head: bytes) -> bool:
    """Whether a file is of a kind that libsndfile does not know: in a video, frames of MP3 may stand by chance."""
    starts = (b"RIFF", EBML, ASF, b"FLV", b"\0\0\1\xba", b".RMF", b"MAC ", b"#!AMR")
    return head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip") or head.startswith(starts)


def ends_early(file: BinaryIO) -> bool:
    """
    Whether a file of a kind that PyAV decodes is cut, as far as its structure shows: MP4, Matroska and WebM, ASF, ADTS.

    Args:
        file: It can seek.
    """
    size = file.seek(0, os.SEEK_END)
    head, position = bytes_at(file, 0, 64), 0
    if head[:4] == EBML:
        length, width = _ebml_number(head[4:12])
        position = 4 + width + length
        segment = bytes_at(file, position, 12)
        length, width = _ebml_number(segment[4:])
        is_known = segment[:4] == b"\x18\x53\x80\x67" and length < 2 ** (7 * width) - 1
        return is_known and position + 4 + width + length > size
    if head.startswith(ASF):
        while position + 24 <= size:
            (length,) = struct.unpack("<Q", bytes_at(file, position + 16, 8))
            position += max(24, length)
        return position > size
    if _is_foreign(head) and head[:4] != b"RIFF" and head[4:8].isalpha():
        while position + 8 <= size:
            (length,) = struct.unpack(">I", bytes_at(file, position, 4))
            if length == 1:
                (length,) = struct.unpack(">Q", bytes_at(file, position + 8, 8).rjust(8, b"\0"))
            if length == 0:  # to the end of the file
                return False
            position += max(8, length)
        return position != size
    position = skip_tags(file, 0, size)
    while position + 7 <= size:
        frame = bytes_at(file, position, 7)
        if frame[0] != 0xFF or frame[1] & 0xF6 != 0xF0:
            return False
        position += max(7, (frame[3] & 3) << 11 | frame[4] << 3 | frame[5] >> 5)
    return position != size and position > 0


def _ebml_number(content: bytes) -> tuple[int, int]:
    """A number of variable width, and the bytes that it takes."""
    width = 9 - content[0].bit_length() if content and content[0] else 8
    return int.from_bytes(content[:width].ljust(width, b"\0"), "big") & (2 ** (7 * width) - 1), width


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
        is_cut = not is_open and stated // (frame or 1) > there // (frame or 1)
        return [Piece(parts, is_cut, stated // frame if is_cut and frame else None)]
    return []


def _chunks(file: BinaryIO, size: int, start: int, order: str) -> Iterator[tuple[bytes, int, int]]:
    """Name, start and stated length of each chunk of a file of 8-byte heads."""
    position = start
    while position + 8 <= size:
        name, length = struct.unpack(f"{order}4sI", bytes_at(file, position, 8))
        yield name, position + 8, length
        position += 8 + length + length % 2


def _find_riff(file: BinaryIO, size: int) -> list[Piece]:
    order = ">" if bytes_at(file, 0, 4) == b"RIFX" else "<"
    wide, wide_at, frame = None, 0, None
    for name, start, length in _chunks(file, size, 12, order):
        if name == b"ds64":
            wide_at = start + 8
            (wide,) = struct.unpack("<Q", bytes_at(file, wide_at, 8).ljust(8, b"\0"))
        elif name == b"fmt ":
            form, align = struct.unpack(f"{order}H10xH", bytes_at(file, start, 14).ljust(14, b"\0"))
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
        name, length = struct.unpack("<4s12xQ", bytes_at(file, position, 24))
        if name == b"fmt ":
            form, align = struct.unpack("<H10xH", bytes_at(file, position + 24, 14).ljust(14, b"\0"))
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
            channels, frames, bits = struct.unpack(">HIH", bytes_at(file, start, 8).ljust(8, b"\0"))
            coding = bytes_at(file, start + 18, 4) if bytes_at(file, 8, 4) == b"AIFC" else b"NONE"
            is_constant = coding in (b"NONE", b"sowt", b"twos", b"fl32", b"FL32", b"fl64", b"FL64", b"in24", b"in32")
            frame = channels * -(-bits // 8) or None if is_constant else None
        elif name == b"SSND":
            (offset,) = struct.unpack(">I", bytes_at(file, start, 4).ljust(4, b"\0"))
            is_open = length <= 8 and size > start + 8 and not _is_chunked(file, size, start + length, ">")
            is_open = is_open or length >= GREATEST
            found = _counted(
                size, start + 8 + offset, max(0, length - 8 - offset), frame, (start - 4, lambda n: b""), is_open
            )
            # libsndfile goes by what is there, whatever the chunk says
            return [Piece(((0, size),), piece.is_cut, frames or piece.claimed) for piece in found]
    return []


def _find_au(file: BinaryIO, size: int) -> list[Piece]:
    order = ">" if bytes_at(file, 0, 4) == b".snd" else "<"
    start, length, coding, _, channels = struct.unpack(f"{order}5I", bytes_at(file, 4, 20).ljust(20, b"\0"))
    width = {1: 1, 2: 1, 3: 2, 4: 3, 5: 4, 6: 4, 7: 8, 27: 1}.get(coding)
    frame = width * channels or None if width else None
    is_open = length >= GREATEST or length == 0 and size > start
    return _counted(size, start, length, frame, (8, _writer(f"{order}I")), is_open)


def _find_caf(file: BinaryIO, size: int) -> list[Piece]:
    position, frame = 8, None
    while position + 12 <= size:
        name, length = struct.unpack(">4sq", bytes_at(file, position, 12))
        if name == b"desc":
            (align, per_packet) = struct.unpack(">16xII", bytes_at(file, position + 12, 24).ljust(24, b"\0"))
            frame = align or None if per_packet == 1 else None
        elif name == b"data":
            field = (position + 4, lambda n: struct.pack(">q", n + 4))
            return _counted(size, position + 16, max(0, length - 4), frame, field, length in (-1, 2**63 - 1))
        if length < 0:
            break
        position += 12 + length
    return []


def _find_nist(file: BinaryIO, size: int) -> list[Piece]:
    head = bytes_at(file, 0, 1024).decode("latin-1")
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
        head = bytes_at(file, position, 27 + 255)
        if head[:4] != b"OggS":  # damaged, or something between the pages
            position = find_mark(file, position + 1, b"OggS", size)
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


__all__ = ["ends_early", "find_pieces", "has_known_head"]
