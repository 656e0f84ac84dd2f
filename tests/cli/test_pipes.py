# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""`-` and pipes as what commands read and write: the same as files."""

import io
import json
import os
import subprocess
import sys
import threading
from contextlib import contextmanager

import numpy as np
import pytest
import soundfile
from conftest import ROOT

from llm_codec_cli import main
from llm_codec_cli.outputs import wav_bytes


@pytest.fixture
def piped(codec_dir, monkeypatch, capsys):
    """Runs a command with bytes as its stdin and returns (exit status, bytes of stdout, stderr)."""

    def run(*args, stdin=b"", terminal=False):
        capsys.readouterr()
        with monkeypatch.context() as patch:
            out = io.TextIOWrapper(io.BytesIO(), write_through=True)
            out.isatty = lambda: terminal
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
            patch.setattr(sys, "stdout", out)
            status = main([*map(str, args), "--model", str(codec_dir), "--device", "cpu"])
            told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("llm-codec")]
            return status, out.buffer.getvalue(), "\n".join(told)

    return run


@contextmanager
def pipe_of(content: bytes):
    """The path of a pipe that gives some bytes, such as a shell's `<(...)`."""
    reader, writer = os.pipe()

    def write():
        with open(writer, "wb") as file:
            file.write(content)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield f"/dev/fd/{reader}"
    finally:
        os.close(reader)
        thread.join()


def test_stdin_and_stdout_are_as_files(piped, codes):
    wav = codes.with_suffix(".wav")
    before = sorted(codes.parent.iterdir())
    assert piped("encode", "-", stdin=wav.read_bytes()) == (0, codes.read_bytes(), "")
    assert piped("encode", wav, "--output", "-") == (0, codes.read_bytes(), "")
    status, decoded, err = piped("decode", "-", stdin=codes.read_bytes())
    assert (status, err) == (0, "") and sorted(codes.parent.iterdir()) == before
    assert piped("decode", codes)[0] == 0
    file = codes.with_suffix(".decoded.wav")
    assert np.array_equal(soundfile.read(io.BytesIO(decoded))[0], soundfile.read(file)[0])
    assert soundfile.info(io.BytesIO(decoded)).subtype == "PCM_16" and len(decoded) == 44 + 2 * 5000
    words = piped("words", wav)[1]
    assert piped("words", "-", stdin=wav.read_bytes())[1] == words  # told from codes by its first bytes
    assert piped("words", "-", stdin=codes.read_bytes())[1] == words


def test_stdin_to_a_file(piped, codes, tmp_path):
    status, out, _ = piped(
        "encode", "-", "--output", tmp_path / "new.safetensors", stdin=codes.with_suffix(".wav").read_bytes()
    )
    assert (status, out) == (0, f"{tmp_path}/new.safetensors\n".encode())
    assert piped("decode", "-", "--output", f"{tmp_path}/out/", stdin=codes.read_bytes())[1].endswith(
        b"/out/stdin.wav\n"
    )


def test_pipes_of_a_shell(piped, codes, tmp_path):
    wav = codes.with_suffix(".wav").read_bytes()
    words = piped("words", codes)[1]
    for content in (wav, codes.read_bytes()):
        with pipe_of(content) as path:
            assert piped("words", path) == (0, words, "")
    with pipe_of(wav) as path:
        assert piped("encode", path) == (0, codes.read_bytes(), "")
    with pipe_of(b"no audio") as path:
        status, out, err = piped("words", path)
        assert (status, out) == (1, b"") and f"llm-codec: error: {path}: This is not audio" in err


def test_a_named_pipe_as_output(piped, codes, tmp_path):
    os.mkfifo(fifo := tmp_path / "fifo")
    read = []
    thread = threading.Thread(target=lambda: read.append(fifo.read_bytes()))
    thread.start()
    assert piped("encode", codes.with_suffix(".wav"), "--output", fifo) == (0, f"{fifo}\n".encode(), "")
    thread.join()
    assert read == [codes.read_bytes()] and fifo.is_fifo()


def test_classify_reads_stdin(piped, wav, examples, language_model_dir):
    query = wav(seed=9)
    command = ["--examples", examples, "--shots", 1, "--language_model", language_model_dir]
    _, expected, _ = piped("classify", query, *command)
    assert expected and piped("classify", "-", *command, stdin=query.read_bytes())[1] == expected
    _, out, _ = piped("classify", "-", "--json", *command, stdin=query.read_bytes())
    assert json.loads(out)["audio"] == "<stdin>"


def test_what_streams_do_not_allow(piped, codes):
    for arguments, message in [
        (["encode", "-", "-"], "`-` stands for stdin, which can be read once"),
        (["decode", codes, "-"], "2 results cannot be written to one stream: name a folder as --output."),
    ]:
        status, out, err = piped(*arguments)
        assert (status, out) == (2, b"") and message in err, arguments
    status, _, err = piped("encode", "-", terminal=True)
    assert status == 2 and "would be written to the terminal: add --output" in err
    assert "llm-codec: error: <stdin>: " in piped("words", "-", stdin=b"text")[2]


def test_blocks_of_a_wav_are_scaled_as_in_files(tmp_path):
    samples = np.array([0, 0.3, -1, 1, 1.5, -2, 1e-5, 2**-16], np.float32)
    soundfile.write(tmp_path / "file.wav", samples, 16000, "PCM_16")
    content = b"".join(wav_bytes([samples[:3], samples[3:]], len(samples), 16000))
    assert np.array_equal(
        soundfile.read(io.BytesIO(content), dtype="int16")[0], soundfile.read(tmp_path / "file.wav", dtype="int16")[0]
    )


@pytest.mark.e2e
def test_a_pipeline_of_a_shell(codec_dir, codes, tmp_path):
    command = f"{sys.executable} -m llm_codec_cli"
    options = f"--model {codec_dir} --device cpu"
    line = f"cat {codes.with_suffix('.wav')} | {command} encode /dev/stdin {options} | {command} words - {options}"
    done = subprocess.run(
        ["bash", "-c", line], env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 3 and not list(tmp_path.glob("*stdin*"))
