# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Every sample that players play is read, and what is cut, joined or of an unknown kind is named."""

import io
import struct

import numpy as np
import pytest
import soundfile as sf
from conftest import FIXTURES

from llm_codec_hf import pyav_llm_codec
from llm_codec_hf.audio_llm_codec import AUDIO_SUFFIXES, CutError, open_audio, read_audio
from llm_codec_hf.files.audio_files import inspect_audio
from llm_codec_hf.mpeg_llm_codec import MpegFrame

CASES = FIXTURES / "cases"
NEEDS_PYAV = pytest.mark.skipif(pyav_llm_codec.av is None, reason="the extra `formats` is not installed")


def tone(length=20000, channels=1, seed=0):
    generator = np.random.default_rng(seed)
    t = np.arange(length)[:, None]
    return 0.3 * np.sin(2 * np.pi * 0.03 * t) + 0.02 * generator.standard_normal((length, channels))


def written(suffix, samples=None, rate=16000, **options) -> bytes:
    file = io.BytesIO()
    sf.write(file, tone() if samples is None else samples, rate, format=suffix.upper(), **options)
    return file.getvalue()


def bare_mp3(content: bytes) -> bytes:
    """An MP3 without its table of contents."""
    return content[MpegFrame.parse(content).size :]


# ---- The cases that users met


@pytest.mark.parametrize(
    ("name", "samples", "rate"),
    [
        ("loud_then_quiet.mp3", 65664, 16000),
        ("quiet_then_loud.mp3", 65664, 16000),
        ("tone.wav", 20800, 16000),
        ("tone.aiff", 20800, 16000),
        ("data_size_0.wav", 20800, 16000),
        pytest.param("tone.m4a", 21504, 16000, marks=NEEDS_PYAV),  # its last frame is played whole
        pytest.param("tone.webm", 62608, 48000, marks=NEEDS_PYAV),
    ],
)
def test_files_are_read_whole(name, samples, rate):
    audio = read_audio(CASES / name)
    assert (audio.samples.shape, audio.sampling_rate, audio.samples.dtype) == ((1, samples), rate, np.float32)
    info = inspect_audio(CASES / name)
    assert abs(info.frames - samples) <= (0.05 * rate if name.endswith(("m4a", "webm")) else 0)
    with open_audio(CASES / name) as opened:
        blocks = list(opened.blocks(3000))
    assert all(block.shape[1] == 3000 for block in blocks[:-1]) and blocks[-1].shape[1] < 6000
    np.testing.assert_array_equal(np.concatenate(blocks, axis=1), audio.samples)


@pytest.mark.parametrize(
    ("name", "there", "message"),
    [
        ("cut.wav", 12464, r"12464 samples \(0.78 s\) of 20800 \(1.30 s\) can be read"),
        ("cut.flac", 3456, r"3456 samples \(0.22 s\) of 20800 \(1.30 s\) can be read"),
        ("cut.ogg", None, "none of its audio is there"),
    ],
)
def test_cut_files_are_refused_and_taken_where_asked(name, there, message):
    with pytest.raises(CutError, match=f"{name}: The file is cut.*{message}"):
        read_audio(CASES / name)
    if there is None:
        with pytest.raises(CutError, match=message):
            read_audio(CASES / name, allow_truncated=True)
    else:
        audio = read_audio(CASES / name, allow_truncated=True)
        assert audio.samples.shape == (1, there)
        whole = read_audio(CASES / "tone.wav").samples
        assert np.abs(audio.samples - whole[:, :there]).max() < 1e-3


# ---- MP3


def test_mp3_has_all_its_frames_whatever_its_table_says():
    content = written("mp3")
    frame = MpegFrame.parse(content)
    whole = read_audio(content).samples
    assert whole.shape == (1, 20000)
    frames = (20000 + 1105) // frame.samples + 1  # with the delay of the encoder
    bare = read_audio(bare_mp3(content)).samples
    assert bare.shape[1] % frame.samples == 0 and bare.shape[1] >= frames * frame.samples
    np.testing.assert_allclose(bare[:, 1105 : 1105 + 20000], whole, atol=1e-6)
    # a table of another program states no delay; one may have counted itself
    place = frame.tag_start + 8
    stated = struct.unpack(">I", content[place : place + 4])[0]
    other = bytearray(content)
    other[content.index(b"LAME", place) : content.index(b"LAME", place) + 4] = b"\0\0\0\0"
    np.testing.assert_array_equal(read_audio(other).samples, bare)
    counted = bytearray(content)
    counted[place : place + 4] = struct.pack(">I", stated + 1)
    np.testing.assert_array_equal(read_audio(counted).samples, whole)
    fewer = bytearray(content)
    fewer[place : place + 4] = struct.pack(">I", 3)
    fewer[place + 4 : place + 8] = struct.pack(">I", 100)
    np.testing.assert_array_equal(read_audio(fewer).samples, whole)


def test_mp3_with_tags_and_junk():
    content = written("mp3")
    whole = read_audio(content).samples
    id3 = b"ID3\x04\0\0" + bytes((0, 0, 2, 0)) + b"\xff\xfb" * 128
    ape = b"APETAGEX" + struct.pack("<IIII", 2000, 32, 1, 0x80000000) + bytes(8)
    for before, after in (
        (id3, b""),
        (id3 + id3, b"TAG" + bytes(125)),
        (bytes(700), b"TAG+" + bytes(223) + b"TAG" + bytes(125)),
        (b"junk \xff\xfb\x90 junk" * 20, b"LYRICSBEGIN" + b"\xff\xfb" * 50 + b"000100LYRICS200"),
        (b"", ape),
        (b"", bytes(5000)),
    ):
        np.testing.assert_array_equal(read_audio(before + content + after).samples, whole)
        if not before.startswith(b"junk"):
            assert inspect_audio(before + content + after).frames == 20000


def test_cut_mp3():
    content = written("mp3")
    for cut in (content[:-1], content[: len(content) // 2], bare_mp3(content)[:-1]):
        with pytest.raises(CutError, match="audio of .* bytes: The file is cut or damaged"):
            read_audio(cut)
        there = read_audio(cut, allow_truncated=True).samples
        assert 0 < there.shape[1] < 25000
        whole = read_audio(content if cut[:100] == content[:100] else bare_mp3(content)).samples
        np.testing.assert_allclose(there[:, :-2304], whole[:, : there.shape[1] - 2304], atol=1e-6)


# ---- Joined files


@pytest.mark.parametrize("options", [{"suffix": "mp3"}, {"suffix": "ogg"}, {"suffix": "flac"}])
def test_joined_files_are_read_to_the_end(options):
    pieces = [written(**options, samples=tone(length, seed=length)) for length in (9000, 12000, 5000)]
    alone = [read_audio(piece).samples for piece in pieces]
    np.testing.assert_array_equal(read_audio(b"".join(pieces)).samples, np.concatenate(alone, axis=1))
    other = written(**options, samples=tone(), rate=22050)
    with pytest.raises(
        ValueError, match="joined of pieces; the first has 1 channels at 16000 Hz, number 2 has 1 at 22050"
    ):
        read_audio(pieces[0] + other)
    with pytest.raises(CutError):
        read_audio(b"".join(pieces)[:-700])


# ---- Lengths in headers


@pytest.mark.parametrize("size", [0, 2**32 - 1, 2**31 - 1, 0x7FFFF000])
def test_lengths_that_were_not_known_when_they_were_written(size):
    for suffix, mark in (("wav", b"data"), ("au", None)):
        content = bytearray(written(suffix, tone(1000, 2)))
        whole = read_audio(bytes(content)).samples
        place = content.index(mark) + 4 if mark else 8
        content[place : place + 4] = struct.pack("<I" if mark else ">I", size)
        np.testing.assert_array_equal(read_audio(content).samples, whole)
    empty = written("wav", np.zeros(0))
    assert read_audio(empty).samples.shape == (1, 0)
    assert read_audio(empty + b"LIST" + struct.pack("<I", 4) + b"INFO").samples.shape == (1, 0)


@pytest.mark.parametrize("suffix", ["wav", "aiff", "au", "caf", "w64", "rf64", "nist", "flac", "ogg", "mp3"])
def test_a_cut_is_found_in_every_format(suffix):
    content = written(suffix, tone(50000, 2))
    whole = read_audio(content).samples
    assert whole.shape == (2, 50000)
    for share in (0.5, 0.9, 0.999):
        cut = content[: int(share * len(content))]
        with pytest.raises(CutError, match="cut or damaged"):
            read_audio(cut)
        there = read_audio(cut, allow_truncated=True).samples
        assert (share - 0.3) * 50000 < there.shape[1] < 50000
        np.testing.assert_allclose(there[:, :-2304], whole[:, : there.shape[1] - 2304], atol=1e-6)


# ---- A stretch


@pytest.mark.parametrize("kind", ["wav", "flac", "ogg", "mp3", "bare mp3", "joined ogg", "m4a"])
def test_a_stretch_is_that_of_the_whole(kind):
    if kind == "m4a":
        pytest.importorskip("av", reason="the extra `formats` is not installed")
        content = (CASES / "tone.m4a").read_bytes()
    else:
        content = written(kind.split()[-1], tone(30000))
        content = bare_mp3(content) if "bare" in kind else content * 2 if "joined" in kind else content
    whole = read_audio(content).samples
    for start, samples in ((0, 100), (5000, 7000), (whole.shape[1] - 50, 100), (whole.shape[1] + 10, 5)):
        with open_audio(content) as audio:
            stretch = audio.read_at(start, samples)
        np.testing.assert_allclose(stretch, whole[:, start : start + samples], atol=1e-4 if "mp3" in kind else 0)


# ---- Sources


def test_kinds_of_source(tmp_path):
    content = written("flac", tone(1000, 2))
    path = tmp_path / "clip.flac"
    path.write_bytes(content)
    expected = read_audio(path).samples
    at_its_end = io.BytesIO()
    at_its_end.write(content)
    with open(path, "rb") as file:
        for source in (
            str(path),
            content,
            bytearray(content),
            memoryview(content),
            io.BytesIO(content),
            at_its_end,
            file,
        ):
            np.testing.assert_array_equal(read_audio(source).samples, expected)
        assert not file.closed and not at_its_end.closed


def test_an_open_file_is_read_whatever_its_name(tmp_path, monkeypatch):
    (tmp_path / "clip.wav").write_bytes(written("wav", tone(1000)))
    with open(tmp_path / "clip.wav", "rb") as file:
        (tmp_path / "clip.wav").rename(tmp_path / "moved.wav")
        assert read_audio(file).samples.shape == (1, 1000)
        descriptor = open(file.fileno(), "rb", closefd=False)  # as standard input is: its name is a number
        assert read_audio(descriptor).samples.shape == (1, 1000)


def test_what_is_no_source(tmp_path):
    for source in (5, None, [0.0], np.zeros(5), {"path": "x"}):
        with pytest.raises(TypeError, match="Audio is read from a path, .* got"):
            read_audio(source)
    (tmp_path / "clip.wav").write_text("text")
    with open(tmp_path / "clip.wav") as file, pytest.raises(TypeError, match="clip.wav is open as text"):
        read_audio(file)
    with pytest.raises(TypeError, match="open as text"):
        read_audio(io.StringIO("text"))
    with pytest.raises(FileNotFoundError, match="gone.wav"):
        read_audio(tmp_path / "gone.wav")
    with pytest.raises(IsADirectoryError, match=tmp_path.name):
        read_audio(tmp_path)


@pytest.mark.parametrize(
    "content", [b"", b"x", b"no audio at all", bytes(1000), b"RIFF", b"OggS" * 50, b"fLaC", b"ID3"]
)
def test_what_is_no_audio_is_named(tmp_path, content):
    (tmp_path / "clip.wav").write_bytes(content)
    with pytest.raises(ValueError, match="clip.wav: "):
        read_audio(tmp_path / "clip.wav")
    with pytest.raises(ValueError, match="clip.wav: "):
        inspect_audio(tmp_path / "clip.wav")


def test_random_bytes_are_no_mp3():
    generator = np.random.default_rng(0)
    for _ in range(20):
        with pytest.raises(ValueError, match="not audio|is cut"):
            read_audio(generator.bytes(20000))


def test_the_remedy_where_pyav_is_missing(monkeypatch):
    monkeypatch.setattr(pyav_llm_codec, "av", None)
    with pytest.raises(
        ValueError, match=r"tone.m4a: This is not audio that libsndfile .* reads. `pip install 'llm-codec"
    ):
        read_audio(CASES / "tone.m4a")
    assert read_audio(CASES / "tone.wav").samples.shape == (1, 20800)


@NEEDS_PYAV
def test_playlists_open_no_other_files(tmp_path):
    (tmp_path / "list.m3u8").write_text(f"#EXTM3U\n#EXTINF:1,\n{CASES / 'tone.wav'}\n")
    (tmp_path / "list.txt").write_text(f"ffconcat version 1.0\nfile '{CASES / 'tone.wav'}'\n")
    for name in ("list.m3u8", "list.txt"):
        with pytest.raises(ValueError, match=f"{name}: This is not audio"):
            read_audio(tmp_path / name)


@NEEDS_PYAV
@pytest.mark.parametrize("name", ["tone.m4a", "tone.webm"])
def test_cut_files_of_other_formats(tmp_path, name):
    content = (CASES / name).read_bytes()
    (tmp_path / name).write_bytes(content[: int(0.7 * len(content))])
    with pytest.raises(CutError, match=f"{name}: The file is cut"):
        read_audio(tmp_path / name)


def test_one_list_of_formats():
    assert {".wav", ".flac", ".mp3", ".ogg", ".opus", ".aiff", ".au", ".caf", ".m4a", ".aac", ".webm"} <= AUDIO_SUFFIXES
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in AUDIO_SUFFIXES)
