# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""An hour of audio on the command line takes little memory, and ten minutes give the codes of the whole."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from llm_codec_hf.files.encoded_clip import EncodedClip

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux, to measure memory"),
]

RATE = 16000
LIMIT = 600  # MB above the loaded model

# `VmHWM` is a process' own peak; `ru_maxrss` is at least that of the process that started it
MEASURE = """
import re, sys
from llm_codec_hf import LLMCodecModel, cli
def memory(name):
    return int(re.search(rf"{name}:\\s+(\\d+) kB", open("/proc/self/status").read())[1]) / 1e3
"""
LOAD = MEASURE + "model = LLMCodecModel.from_pretrained(sys.argv[1]); print(memory('VmRSS'))"
RUN = MEASURE + "status = cli.main(sys.argv[1:]); print(memory('VmHWM')); sys.exit(status)"


def memory(script: str, *args) -> float:
    """What a process prints in the end, in MB."""
    command = [sys.executable, "-c", script, *map(str, args)]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1])


def write_noise(path: Path, minutes: int) -> Path:
    """Smooth noise that never repeats, whose loudness changes."""
    rng = np.random.default_rng(0)
    with soundfile.SoundFile(path, "w", RATE, 1) as file:
        for minute in range(minutes):
            samples = rng.normal(size=60 * RATE)
            samples[1:] += samples[:-1]
            file.write(np.clip(0.02 * (1 + minute % 7) * samples, -1, 1))
    return path


def test_an_hour_takes_little_memory(codec_dir, tmp_path):
    path = write_noise(tmp_path / "hour.flac", 60)
    loaded = memory(LOAD, codec_dir)
    encoded, decoded = tmp_path / "hour.safetensors", tmp_path / "hour.decoded.wav"
    for command, source in (("encode", path), ("decode", encoded)):
        assert memory(RUN, command, source, "--model", codec_dir, "--device", "cpu") - loaded < LIMIT
    assert EncodedClip.load(encoded).length == soundfile.info(decoded).frames == 3600 * RATE
    assert encoded.stat().st_size < 1e6


@torch.no_grad()
def test_ten_minutes_equal_the_whole(codec, codec_dir, tmp_path):
    path = write_noise(tmp_path / "minutes.flac", 10)
    memory(RUN, "encode", path, "--model", codec_dir, "--device", "cpu")
    audio = torch.from_numpy(soundfile.read(path, dtype="float32")[0])
    codes = codec.encode(audio[None, None], chunk_length_s=1e6).audio_codes[0]
    assert torch.equal(EncodedClip.load(path.with_suffix(".safetensors")).audio_codes, codes)
