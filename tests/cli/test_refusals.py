# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Inputs that make no sense: one line that says what is wrong, and nothing left behind."""

import numpy as np
import pytest
import soundfile
import torch
from cli_fixtures import tone
from safetensors import safe_open
from safetensors.torch import save_file
from transformers import BertConfig

from llm_codec_cli import main


def test_audio_that_cannot_be_encoded(refused, wav, tmp_path):
    assert "There is no file" in refused("encode", tmp_path / "missing.wav")
    assert f"{tmp_path}: The folder has no audio." in refused("encode", tmp_path)
    (tmp_path / "text.wav").write_text("no audio")
    assert "This is not audio that libsndfile" in refused("encode", tmp_path / "text.wav")
    (tmp_path / "headerless.raw").write_bytes(bytes(100))
    assert "This is not audio that libsndfile" in refused("words", tmp_path / "headerless.raw")
    soundfile.write(tmp_path / "empty.wav", np.zeros(0), 16000)
    assert "is empty" in refused("encode", tmp_path / "empty.wav")
    soundfile.write(tmp_path / "nan.wav", np.full(100, np.nan), 16000, subtype="FLOAT")
    assert "100 NaN or infinite samples" in refused("encode", tmp_path / "nan.wav")
    soundfile.write(tmp_path / "whole.flac", tone(50000), 16000)
    (tmp_path / "cut.flac").write_bytes((tmp_path / "whole.flac").read_bytes()[:20000])
    assert "cut.flac" in refused("encode", tmp_path / "cut.flac")
    assert "a channel's number 0 … 1, got 5" in refused("encode", wav(channels=2), "--channels", 5)


def rewrite(path, codes=None, **metadata):
    """A codes file of version 1, without a checksum, with other codes or metadata; None leaves an entry out."""
    version_1 = {"format_version": "1", "checksum": None, "codebook_fingerprint": None}
    with safe_open(path, framework="pt") as file:
        tensor, known = file.get_tensor("audio_codes"), file.metadata() | version_1 | metadata
    save_file(
        {"audio_codes": tensor if codes is None else codes(tensor)},
        path,
        {name: value for name, value in known.items() if value is not None},
    )


def _truncate(path):
    path.write_bytes(path.read_bytes()[:-8])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_truncate, "no file of audio codes, or it is damaged"),
        (lambda path: path.write_bytes(b""), "no file of audio codes, or it is damaged"),
        (lambda path: path.write_text("text"), "no file of audio codes, or it is damaged"),
        (lambda path: save_file({"audio_codes": torch.zeros(7, 4)}, path), "holds no audio codes"),
        (
            lambda path: rewrite(path, format_version="3"),
            "version 3 of the file format, this program reads versions 1 and",
        ),
        (lambda path: rewrite(path, length=None), "metadata lacks length"),
        (lambda path: rewrite(path, length="-1"), "`length` takes positive integers, got -1"),
        (lambda path: rewrite(path, length="x"), "The file is damaged"),
        (lambda path: rewrite(path, length="7681"), "4 groups of 1920 samples do not reach the `length` of 7681"),
        (lambda path: rewrite(path, vq_strides="[4, 8, 1]"), "divide the first of them, got [4, 8, 1]"),
        (
            lambda path: rewrite(path, lambda codes: codes[:6]),
            "the shape (7, groups), got torch.int64 of the shape (6, 4)",
        ),
        (lambda path: rewrite(path, lambda codes: codes.float()), "must be integers"),
        (lambda path: rewrite(path, lambda codes: codes + 31), "codes outside the `codebook_sizes` [24, 32, 32]"),
        (lambda path: rewrite(path, lambda codes: codes - 32), "codes outside the `codebook_sizes` [24, 32, 32]"),
    ],
)
def test_damaged_codes(refused, codes, damage, message):
    damage(codes)
    for command in ("decode", "words"):
        assert message in (error := refused(command, codes))
        assert str(codes) in error
    assert not list(codes.parent.glob("*.decoded.wav"))


def test_codes_of_another_codec(cli, refused, codes, codec_dir, capsys):
    rewrite(codes, codebook_sizes="[24, 32, 48]")
    for command in ("decode", "words"):
        message = refused(command, codes)
        assert f"written by '{codec_dir}', whose `codebook_sizes` is [24, 32, 48]; this codec's is" in message


def test_models_that_are_none(refused, wav, examples, tmp_path):
    BertConfig().save_pretrained(tmp_path / "bert")
    classify = ["classify", wav(), "--examples", examples, "--language_model", tmp_path]
    assert "this is a bert, not an llm_codec" in refused(*classify, model=tmp_path / "bert", status=2)
    assert "this is a bert, not an llm_codec" in refused("encode", wav(), model=tmp_path / "bert", status=2)
    assert f"--model {tmp_path / 'missing'}: " in refused("words", wav(), model=tmp_path / "missing", status=2)


def test_a_device_that_is_none(capsys, wav, codec_dir):
    assert main(["words", str(wav()), "--model", str(codec_dir), "--device", "toaster"]) == 2
    assert "llm-codec: error: --device toaster: " in capsys.readouterr().err


def test_debug_shows_the_traceback(cli, wav, tmp_path):
    with pytest.raises(ValueError, match="There is no file"):
        cli("encode", tmp_path / "missing.wav", "--debug")
    (tmp_path / "text.wav").write_text("no audio")
    with pytest.raises(ValueError, match="not audio"):
        cli("encode", tmp_path / "text.wav", "--debug")
