# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Files of codes: they know which codec wrote them, and whether they are as they were written."""

import io
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from conftest import tiny_config
from safetensors import safe_open
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from llm_codec_hf import LLMCodecFeatureExtractor, LLMCodecModel
from llm_codec_hf.files import encoded_clip
from llm_codec_hf.files.encoded_clip import EncodedClip, decode_clip, encode_clip, fingerprint_codebooks


@pytest.fixture(scope="module")
def clip(codec) -> EncodedClip:
    samples = (0.1 * np.random.default_rng(0).standard_normal(7000)).astype(np.float32)
    return encode_clip(codec, LLMCodecFeatureExtractor(), [samples], 16000, "a/codec")


def load(content: bytes) -> EncodedClip:
    return EncodedClip.load(io.BytesIO(content))


def with_metadata(content: bytes, tensors=None, **changes) -> bytes:
    """A file's content with other metadata (None: without) or tensors, and everything else as it was."""
    size = int.from_bytes(content[:8], "little")
    metadata = json.loads(content[8 : 8 + size])["__metadata__"] | changes
    return save_tensors(tensors or load_tensors(content), {k: v for k, v in metadata.items() if v is not None})


def version_1(content: bytes, tensors=None, **changes) -> bytes:
    return with_metadata(
        content, tensors, **{"format_version": "1", "checksum": None, "codebook_fingerprint": None, **changes}
    )


def test_a_round_trip(clip, codec, tmp_path):
    clip.save(tmp_path / "clip.safetensors")
    (tmp_path / "plain").write_text("")
    assert (tmp_path / "clip.safetensors").stat().st_mode == (tmp_path / "plain").stat().st_mode
    loaded = EncodedClip.load(tmp_path / "clip.safetensors")
    assert torch.equal(loaded.audio_codes, clip.audio_codes)
    assert loaded.audio_codes.dtype == torch.int64
    fields = {name: value for name, value in vars(clip).items() if name != "audio_codes"}
    assert {name: getattr(loaded, name) for name in fields} == fields
    assert sum(map(len, decode_clip(codec, loaded))) == 7000
    with safe_open(tmp_path / "clip.safetensors", framework="pt") as file:  # it is a safetensors file like any other
        assert file.metadata()["model"] == "a/codec"
        assert file.get_tensor("audio_codes").dtype == torch.int32


def test_a_file_that_can_be_read_once(clip):
    reader, writer = os.pipe()
    os.write(writer, clip.to_bytes())
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        assert torch.equal(EncodedClip.load(file).audio_codes, clip.audio_codes)


@pytest.mark.e2e
def test_equal_clips_give_equal_bytes_in_every_process(clip, tmp_path):
    clip.save(tmp_path / "clip.safetensors")
    script = (
        "import sys; from llm_codec_hf.files.encoded_clip import EncodedClip\n"
        "EncodedClip.load(sys.argv[1]).save(sys.argv[2])"
    )
    # a seed of its own beside the one of the tests: the order of sets differs, that of the file must not
    environment = {**os.environ, "PYTHONHASHSEED": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", script, str(tmp_path / "clip.safetensors"), str(tmp_path / "again")]
    subprocess.run(command, check=True, env=environment)
    assert (tmp_path / "again").read_bytes() == clip.to_bytes()


def test_every_flipped_bit_is_found(clip):
    content = clip.to_bytes()
    for position in range(len(content)):
        flipped = bytearray(content)
        flipped[position] ^= 1 << (position % 8)
        try:
            loaded = load(bytes(flipped))
        except ValueError:
            continue
        # all that may pass is another way to write the same header, such as "length" for "length"
        assert loaded.to_bytes() == content, position


@pytest.mark.parametrize(
    "changes",
    [
        {"length": "1"},
        {"model": "another/codec"},
        {"original_length": "9"},
        {"original_sampling_rate": "8000"},
        {"codebook_fingerprint": None},
        {"note": "added"},
        {"checksum": None},
    ],
)
def test_metadata_that_were_tampered_with(clip, changes):
    with pytest.raises(ValueError, match="damaged: its checksum"):
        load(with_metadata(clip.to_bytes(), **changes))


def test_codes_that_were_tampered_with(clip):
    content = clip.to_bytes()
    codes = load_tensors(content)["audio_codes"].clone()
    codes[0, 0] = (codes[0, 0] + 1) % clip.codebook_sizes[0]
    with pytest.raises(ValueError, match="checksum"):
        load(with_metadata(content, {"audio_codes": codes}))
    with pytest.raises(ValueError, match="expected `audio_codes` alone"):
        load(with_metadata(content, {"audio_codes": codes, "more": codes + 1}))


@pytest.mark.parametrize("dtype", [torch.int64, torch.int16, torch.uint8, torch.float32, torch.complex64, torch.bool])
def test_dtypes_of_codes(clip, dtype):
    tensors = {"audio_codes": clip.audio_codes.to(dtype)}
    for content in (with_metadata(clip.to_bytes(), tensors), version_1(clip.to_bytes(), tensors)):
        if dtype == torch.int64:
            assert torch.equal(load(content).audio_codes, clip.audio_codes)
        else:
            with pytest.raises(ValueError, match="must be integers"):
                load(content)


def test_version_1_loads_with_a_warning(clip, codec, tmp_path, monkeypatch):
    content = version_1(clip.to_bytes())
    (tmp_path / "old.safetensors").write_bytes(content)
    warnings = []
    monkeypatch.setattr(encoded_clip.logger, "warning", lambda message, *args: warnings.append(message % args))
    loaded = EncodedClip.load(tmp_path / "old.safetensors")
    assert "old.safetensors is a file of codes of version 1" in warnings[0]
    assert torch.equal(loaded.audio_codes, clip.audio_codes)
    assert loaded.codebook_fingerprint is None
    loaded.check_fits(codec)
    again = load(loaded.to_bytes())  # now with a checksum
    assert again.codebook_fingerprint is None
    with pytest.raises(ValueError, match="version 3"):
        load(with_metadata(content, format_version="3"))


def test_codes_of_another_codec_of_the_same_geometry_are_refused(clip, codec):
    torch.manual_seed(1)
    other = LLMCodecModel(tiny_config()).eval()
    clip.check_fits(other.config)
    for refused in (lambda: clip.check_fits(other), lambda: next(decode_clip(other, clip))):
        with pytest.raises(ValueError, match="written by 'a/codec', whose codebooks are not those of this codec"):
            refused()
    with pytest.raises(ValueError, match="whose `codebook_sizes` is"):
        clip.check_fits(tiny_config(codebook_sizes=[24, 32, 48]))


def test_the_fingerprint_is_of_the_codebooks_alone(codec, codec_dir):
    known = fingerprint_codebooks(codec)
    assert known == fingerprint_codebooks(LLMCodecModel.from_pretrained(codec_dir))
    assert known == fingerprint_codebooks(LLMCodecModel.from_pretrained(codec_dir, dtype=torch.bfloat16))
    changed = LLMCodecModel.from_pretrained(codec_dir)
    assert fingerprint_codebooks(changed) == known
    with torch.no_grad():
        changed.quantizer.layers[1].codebook[3, 2] += 1
    assert fingerprint_codebooks(changed) != known


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"short",
        b"no safetensors at all, but text",
        bytes(100),
        b"\xff" * 100,
        (10**6).to_bytes(8, "little") + b"{",
    ],
)
def test_files_of_another_kind(content):
    with pytest.raises(ValueError, match="no file of audio codes, or it is damaged"):
        load(content)


def test_odd_headers():
    def header(text):
        return len(text).to_bytes(8, "little") + text

    for text in (b"{" * 5000, b'{"__metadata__":' + b"[" * 100000, b'{"__metadata__": 3}', b'{"__metadata__": [1]}'):
        with pytest.raises(ValueError, match="damaged"):
            load(header(text))
    for content in (header(b"{}"), save_tensors({"audio_codes": torch.zeros(7, 4)}), header(b"{" + b" " * 2**21)):
        with pytest.raises(ValueError, match="holds no audio codes"):
            load(content)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        EncodedClip.load(tmp_path / "missing")
    with pytest.raises(IsADirectoryError):
        EncodedClip.load(tmp_path)
