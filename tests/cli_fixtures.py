# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Audio files, and commands of `llm-codec` run with the tiny codec."""

import numpy as np
import pytest
import soundfile

from llm_codec_cli import main


def tone(samples, seed=0, channels=1):
    audio = np.random.default_rng(seed).normal(size=(samples, channels)).cumsum(axis=0)
    return 0.5 * audio / np.abs(audio).max()


@pytest.fixture
def wav(tmp_path):
    """Writes a wav and returns its path."""

    def write(name="clip.wav", samples=5000, sampling_rate=16000, **kwargs):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, tone(samples, **kwargs), sampling_rate)
        return path

    return write


@pytest.fixture
def cli(codec_dir, capsys):
    """Runs a command with the tiny codec and returns (exit status, lines of stdout, lines of stderr)."""

    def run(command, *args, model=codec_dir):
        capsys.readouterr()
        status = main([command, *map(str, args), "--model", str(model), "--device", "cpu"])
        out, err = capsys.readouterr()
        return status, out.splitlines(), [line for line in err.splitlines() if line.startswith("llm-codec")]

    return run


@pytest.fixture
def refused(cli):
    """Checks that a command fails with one line, by default one of several things that it was to do; returns it."""

    def run(*args, status=1, **kwargs):
        got, out, err = cli(*args, **kwargs)
        err = [line for line in err if not line.startswith("llm-codec: note: ")]
        assert (got, out, len(err)) == (status, [], 1)
        assert err[0].startswith("llm-codec: error: ")
        return err[0]

    return run


@pytest.fixture
def codes(cli, wav):
    assert cli("encode", path := wav())[0] == 0
    return path.with_suffix(".safetensors")


@pytest.fixture
def examples(wav, tmp_path):
    for i, name in enumerate(["dog/1.wav", "dog/2.wav", "cat/1.wav", "cat/2.wav", "cat/3.wav"]):
        wav(f"examples/{name}", samples=4000, seed=i)
    (tmp_path / "examples" / "cat" / ".hidden").write_text("")
    return tmp_path / "examples"
