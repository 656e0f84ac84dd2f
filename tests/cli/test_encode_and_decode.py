# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""`llm-codec encode` and `decode`: what they write, where, and for which audio."""

import math
from unittest.mock import ANY

import numpy as np
import pytest
import soundfile
import torch
from cli_fixtures import tone
from safetensors import safe_open
from transformers import pipeline

from llm_codec_hf.files.encoded_clip import EncodedClip, fingerprint_codebooks


@pytest.mark.parametrize("samples", [1, 3839, 3840, 3841, 20000])
def test_round_trip_has_the_original_length(cli, wav, codec, samples):
    path = wav(samples=samples)
    encoded, decoded = path.with_suffix(".safetensors"), path.with_suffix(".decoded.wav")
    assert cli("encode", path) == (0, [str(encoded)], [])
    assert cli("decode", encoded) == (0, [str(decoded)], [])
    info = soundfile.info(decoded)
    assert (info.frames, info.samplerate, info.channels, info.subtype) == (samples, 16000, 1, "PCM_16")
    audio = torch.tensor(soundfile.read(path, dtype="float32")[0])
    with torch.no_grad():
        expected = codec(audio[None, None]).audio_values[0, 0].numpy()
    assert np.abs(soundfile.read(decoded)[0] - expected).max() < 1e-4  # 16 bits
    assert sorted(path.parent.iterdir()) == sorted([path, encoded, decoded])
    assert encoded.stat().st_mode == path.stat().st_mode  # as readable as files are here


def test_another_rate_and_two_channels(cli, refused, wav, codec, processor, codec_dir, language_model):
    path = wav(samples=44101, sampling_rate=44100, channels=2)
    assert "2 channel(s) at 44100 Hz" in (message := refused("encode", path))
    assert "add --resample --channels mean." in message
    status, (encoded,), _ = cli("encode", path, "--resample", "--channels", "mean")
    clip = EncodedClip.load(encoded)
    length = math.ceil(44101 * 16000 / 44100)
    assert (clip.length, clip.sampling_rate) == (length, 16000)
    assert (clip.original_length, clip.original_sampling_rate) == (44101, 44100)
    _, (decoded,), _ = cli("decode", encoded)
    assert soundfile.info(decoded).frames == length
    # the command line reads audio as the pipeline does
    pipe = pipeline("audio-fewshot", model=codec, processor=processor, language_model=language_model)
    assert torch.equal(clip.audio_codes, pipe.encode([pipe.load_audio(path)])[0])

    soundfile.write(left := path.with_name("left.wav"), soundfile.read(path)[0][:, 0], 44100)
    cli("encode", path, "--resample", "--channels", "0", "--force")
    cli("encode", left, "--resample")
    assert torch.equal(
        EncodedClip.load(encoded).audio_codes, EncodedClip.load(left.with_suffix(".safetensors")).audio_codes
    )


def test_the_file_says_what_it_holds(codes, codec, codec_dir):
    with safe_open(codes, framework="pt") as file:
        assert list(file.keys()) == ["audio_codes"]
        assert file.get_tensor("audio_codes").shape == (7, 4)
        assert file.metadata() == {
            "format": "llm_codec.audio_codes",
            "format_version": "2",
            "checksum": ANY,
            "codebook_fingerprint": fingerprint_codebooks(codec),
            "model": str(codec_dir),
            "length": "5000",
            "sampling_rate": "16000",
            "original_length": "5000",
            "original_sampling_rate": "16000",
            "hop_length": "480",
            "vq_strides": "[4, 2, 1]",
            "codebook_sizes": "[24, 32, 32]",
        }


def test_many_files_go_to_a_folder_and_a_bad_one_stops_no_other(cli, wav, tmp_path):
    paths = [wav("a.wav"), tmp_path / "b.wav", wav("c.wav", samples=100)]
    paths[1].write_text("no audio")
    status, out, (error,) = cli("encode", *paths, "--output", tmp_path / "codes")
    assert status == 1
    assert out == [str(tmp_path / "codes" / name) for name in ("a.safetensors", "c.safetensors")]
    assert error.startswith(f"llm-codec: error: {paths[1]}: This is not audio")
    assert cli("decode", *out, "--output", tmp_path / "decoded")[0] == 0
    assert [soundfile.info(path).frames for path in sorted((tmp_path / "decoded").iterdir())] == [5000, 100]
    assert not list(tmp_path.rglob("*.tmp"))


def test_outputs(cli, refused, wav, tmp_path):
    path = wav()
    assert cli("encode", path, "--output", tmp_path / "new" / "name")[1] == [str(tmp_path / "new" / "name")]
    assert cli("encode", path, "--output", f"{tmp_path}/folder/")[1] == [str(tmp_path / "folder" / "clip.safetensors")]
    target = path.with_suffix(".safetensors")
    target.write_text("precious")
    assert f"{target} exists; choose another --output, add --force" in refused("encode", path)
    assert target.read_text() == "precious"
    assert cli("encode", path, "--force")[0] == 0
    assert EncodedClip.load(target).length == 5000
    assert "would both be written to" in refused("encode", path, wav("other/clip.wav"), "--output", tmp_path / "both")
    assert "is an input" in refused("encode", path, "--output", path, "--force")


def test_a_file_that_is_cut(cli, refused, wav):
    path = wav(samples=20000)
    path.write_bytes(path.read_bytes()[:30000])
    assert "clip.wav: The file is cut or damaged: 14978 samples" in refused("encode", path)
    _, (encoded,), _ = cli("encode", path, "--allow_truncated")
    assert EncodedClip.load(encoded).length == 14978


def test_another_format_than_wav(cli, tmp_path):
    soundfile.write(tmp_path / "clip.flac", tone(4000), 16000)
    assert EncodedClip.load(cli("encode", tmp_path / "clip.flac")[1][0]).length == 4000
