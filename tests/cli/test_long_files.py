# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Files that are read and written block by block: the same as whole, whatever stops them."""

import resource
import sys

import numpy as np
import pytest
import soundfile
import torch

from llm_codec_cli import main
from llm_codec_hf import LLMCodecFeatureExtractor, LLMCodecModel
from llm_codec_hf.audio_llm_codec import read_audio
from llm_codec_hf.files import encoded_clip as codes_file
from llm_codec_hf.files.encoded_clip import EncodedClip


@pytest.fixture
def long(wav, monkeypatch):
    """Writes audio of several blocks: of one second each, rather than ten."""
    monkeypatch.setattr(codes_file, "BLOCK_S", 1)

    def write(name="long.wav", sampling_rate=16000, **kwargs):
        return wav(name, int(5.37 * sampling_rate), sampling_rate, **kwargs)

    return write


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("name", "sampling_rate", "channels"),
    [
        ("long.wav", 16000, 1),
        ("long.wav", 16000, 12),
        ("long.wav", 44100, 2),
        ("long.ogg", 48000, 2),
        ("long.mp3", 16000, 1),
        ("long.mp3", 22050, 2),
        ("long.wav", 8000, 1),
    ],
)
@torch.no_grad()
def test_blocks_give_what_the_whole_gives(cli, long, codec, name, sampling_rate, channels):
    path = long(name, sampling_rate, channels=channels)
    _, (encoded,), _ = cli("encode", path, "--resample", "--channels", "mean")
    clip = EncodedClip.load(encoded)
    audio = read_audio(path)
    inputs = LLMCodecFeatureExtractor()(
        audio.samples, sampling_rate, resample=True, channels="mean", return_tensors="pt"
    )
    codes = codec.encode(**inputs, chunk_length_s=1e6).audio_codes
    assert torch.equal(clip.audio_codes, codes[0])
    assert (clip.length, clip.original_length) == (inputs["input_values"].shape[-1], audio.samples.shape[-1])

    _, (decoded,), _ = cli("decode", encoded)
    expected = codec.decode(codes, length=clip.length, chunk_length_s=1e6).audio_values[0, 0] * 2**15
    samples = soundfile.read(decoded, dtype="int16")[0]
    assert samples.shape == expected.shape
    assert np.abs(samples - expected.clamp(-(2**15), 2**15 - 1).numpy()).max() < 1  # half is rounding


def test_a_long_file_that_is_bad_from_some_second_on(refused, cli, long, tmp_path):
    path = long("long.flac")
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    assert "long.flac: " in refused("encode", path)
    samples, _ = soundfile.read(long())
    samples[70000] = np.nan
    soundfile.write(tmp_path / "nan.wav", samples, 16000, subtype="FLOAT")
    assert "nan.wav: From 4.0 s on: The audio has 1 NaN or infinite samples" in refused("encode", tmp_path / "nan.wav")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["long.flac", "long.wav", "nan.wav"]


@pytest.mark.parametrize("command", ["encode", "decode"])
def test_an_interrupt_leaves_nothing_behind(cli, long, monkeypatch, command):
    path = long()
    if command == "decode":
        path = path.with_suffix(".safetensors")
        cli("encode", path.with_suffix(".wav"))
    before, blocks, stream = set(path.parent.iterdir()), [], getattr(LLMCodecModel, f"{command}_stream")

    def interrupted(*args, **kwargs):
        blocks.append(args)
        if len(blocks) == 3:
            raise KeyboardInterrupt
        return stream(*args, **kwargs)

    monkeypatch.setattr(LLMCodecModel, f"{command}_stream", interrupted)
    told = "llm-codec: interrupted; the same command with --skip_existing goes on."
    assert cli(command, path) == (130, [], [told])
    assert set(path.parent.iterdir()) == before


def test_a_full_disk(refused, codes):
    before, limits = set(codes.parent.iterdir()), resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
        assert str(codes) in refused("decode", codes)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert set(codes.parent.iterdir()) == before


@pytest.mark.e2e
@pytest.mark.parametrize("terminal", [True, False])
def test_a_long_file_has_a_bar_on_a_terminal(capsys, codec_dir, long, wav, monkeypatch, terminal):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    paths = [long(), wav("short.wav", 16000)]

    def bars(*args):
        assert main([*args, "--model", str(codec_dir), "--device", "cpu"]) == 0
        return [line for line in capsys.readouterr().err.replace("\r", "\n").splitlines() if "s/s]" in line]

    for bar in (
        bars("encode", str(paths[0])),
        bars("words", str(paths[0])),
        bars("decode", str(paths[0].with_suffix(".safetensors"))),
    ):
        assert bool(bar) == terminal
        assert all(line.startswith("long.") and "/5 [" in line for line in bar)
    assert not bars("encode", str(paths[1]))
