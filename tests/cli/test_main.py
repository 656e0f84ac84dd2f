# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""`llm-codec` itself: help, usage errors, and how it behaves as a process."""

import os
import sys

import processes
import pytest

from llm_codec_cli import COMMANDS, main


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(capsys, command):
    with pytest.raises(SystemExit) as end:
        main([command, "--help"])
    assert end.value.code == 0
    assert f"examples:\n  llm-codec {command}" in capsys.readouterr().out


def test_help_lists_the_commands(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    out = capsys.readouterr().out
    assert all(f"    {command} " in out for command in COMMANDS)
    assert "examples:\n  llm-codec demo\n" in out


@pytest.mark.parametrize(
    "args",
    [
        [],
        ["paint"],
        ["encode"],
        ["encode", "a.wav", "--colour"],
        ["encode", "a.wav", "--channels", "left"],
        ["words", "a.wav", "--layers", "first"],
        ["classify", "a.wav", "--examples", "b", "--shots", "0"],
    ],
)
def test_usage_errors(capsys, args):
    with pytest.raises(SystemExit) as end:
        main(args)
    assert end.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("llm-codec")


@pytest.mark.e2e
def test_as_a_process(codes, codec_dir, tmp_path):
    (damaged := tmp_path / "damaged.safetensors").write_text("no codes")
    command = ["decode", str(codes), str(damaged), "--output", str(tmp_path / "out"), "--model", str(codec_dir)]
    result = processes.run("llm_codec_cli", *command, tmp_path=tmp_path)
    assert result.returncode == 1
    assert result.stdout == f"{tmp_path / 'out' / 'clip.wav'}\n"
    assert "Traceback" not in result.stderr
    assert result.stderr.splitlines()[-1].startswith(f"llm-codec: error: {damaged}: This is no file of audio codes")


def test_a_reader_that_has_gone(codes, codec_dir, monkeypatch, capsys):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        assert main(["words", str(codes), "--model", str(codec_dir)]) == 0
    assert "error" not in capsys.readouterr().err
