# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""The plain training recipe, at toy size."""

import json

import numpy as np
import pytest
import soundfile as sf
import torch
from conftest import tiny_config, tiny_tokenizer

from llm_codec_hf import LLMCodecModel
from llm_codec_hf.training.codebooks import ProjectedCodebooks, principal_components, single_token_words
from llm_codec_hf.training.data import RandomClips
from llm_codec_hf.training.losses import multi_resolution_stft_loss
from llm_codec_hf.training.trainer import Trainer, TrainingConfig, add_weight_norm, fold_weight_norm


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("audio")
    rng = np.random.default_rng(0)
    for source, frequency in (("low", 200), ("high", 1500)):
        (folder / source).mkdir()
        for i in range(3):
            t = np.arange(16000 + 4000 * i) / 16000
            audio = 0.3 * np.sin(2 * np.pi * frequency * (1 + 0.2 * i) * t) + 0.01 * rng.standard_normal(len(t))
            sf.write(folder / source / f"{i}.flac", audio, 16000)
    (folder / "low" / "broken.wav").write_bytes(b"RIFF")
    sf.write(folder / "low" / "fast.wav", np.zeros(100), 8000)
    return folder


def make_trainer(data_dir, output_dir, **kwargs):
    torch.manual_seed(0)
    tables = [torch.randn(size, 48) for size in (24, 32, 32)]
    model = LLMCodecModel(tiny_config())
    defaults = {"windows": 2, "batch_size": 2, "quantize_after": 3, "save_steps": 4, "warmup_steps": 2}
    config = TrainingConfig(str(data_dir), str(output_dir), **{**defaults, **kwargs})
    return Trainer(model, ProjectedCodebooks(tables, model.config.latent_dim), config)


def test_training_runs_and_resumes_to_the_same_weights(data_dir, tmp_path):
    whole = make_trainer(data_dir, tmp_path / "whole", max_steps=8)
    whole.train()
    # the run is stopped after half of its steps, and taken up by a new process's objects
    first = make_trainer(data_dir, tmp_path / "parts", max_steps=8)
    save = first.save

    def stop():
        save()
        raise KeyboardInterrupt

    first.save = stop
    with pytest.raises(KeyboardInterrupt):
        first.train()
    second = make_trainer(data_dir, tmp_path / "parts", max_steps=8)
    second.train()
    assert second.step == 8
    for (name, one), other in zip(whole.modules.state_dict().items(), second.modules.state_dict().values()):
        assert torch.equal(one, other), name
    log = [json.loads(line) for line in (tmp_path / "whole" / "log.jsonl").read_text().splitlines()]
    assert [record["step"] for record in log] == [4, 8]
    assert all(len(record["entries_used"]) == 3 for record in log)


def test_training_lowers_the_loss_and_exports_what_it_trained(data_dir, tmp_path):
    trainer = make_trainer(data_dir, tmp_path, max_steps=60, quantize_after=20, save_steps=100)
    audio = torch.stack([RandomClips(data_dir, 7680, 16000, seed=1)[i] for i in range(4)])
    with torch.no_grad():
        before = multi_resolution_stft_loss(trainer.model(audio).audio_values, audio)
    trainer.train()
    trainer.modules.eval()
    with torch.no_grad():
        codebooks = trainer.codebooks()
        trained = trainer.model(audio, codebooks=codebooks)
        after = multi_resolution_stft_loss(trained.audio_values, audio)
    assert after < 0.8 * before
    model = trainer.fold()
    assert not [name for name in model.state_dict() if "parametrizations" in name]
    with torch.no_grad():
        folded = model(audio)
    assert torch.equal(folded.audio_codes, trained.audio_codes)
    # the fold multiplies weights out once, in another order
    torch.testing.assert_close(folded.audio_values, trained.audio_values, atol=1e-4, rtol=0)


def test_weight_norm_keeps_the_weights():
    torch.manual_seed(0)
    model = LLMCodecModel(tiny_config())
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    add_weight_norm(model)
    assert any("parametrizations" in name for name in model.state_dict())
    fold_weight_norm(model)
    assert model.state_dict().keys() == before.keys()
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(tensor, before[name], msg=name)


def test_fitted_codebook_is_spread_as_the_latents():
    torch.manual_seed(0)
    mixing = torch.randn(3, 64)
    latents = torch.randn(5000, 3) @ mixing + 2.0
    codebooks = ProjectedCodebooks([torch.randn(400, 48) @ torch.randn(48, 48) + 1.0], 64)
    codebooks.fit(0, latents, mean_share=1.0, rank=3)
    entries = codebooks.project(0).detach()
    torch.testing.assert_close(entries.mean(0), latents.mean(0), atol=1e-3, rtol=0)
    covariance = lambda x: (x - x.mean(0)).T @ (x - x.mean(0)) / len(x)  # noqa: E731
    torch.testing.assert_close(covariance(entries), covariance(latents), atol=1e-2, rtol=1e-2)


def test_centring_the_latents_leaves_the_audio():
    torch.manual_seed(0)
    trainer = make_trainer(".", ".")
    audio = 0.1 * torch.randn(2, 1, 38400)
    model = trainer.model
    with torch.no_grad():
        latents = model.encoder(audio)
        before = model.decoder(latents)
        trainer.centre_latents(latents)
        moved = model.encoder(audio)
        after = model.decoder(moved)
    flat = moved.transpose(1, 2).flatten(0, 1)
    mean, spread, _ = principal_components(flat, 64)
    torch.testing.assert_close(mean.norm(), 3 * spread.norm(), rtol=1e-3, atol=0)
    # all but the ends, where a convolution sees the padding's zeros
    torch.testing.assert_close(after[..., 7680:-7680], before[..., 7680:-7680], atol=1e-4, rtol=0)


def test_clips(data_dir, caplog):
    clips = RandomClips(data_dir, 30000, 16000)
    assert [len(files) for files, _ in clips.sources] == [3, 3]  # the broken and the slow one are left out
    assert clips[5].shape == (1, 30000)
    assert torch.equal(clips[5], RandomClips(data_dir, 30000, 16000)[5])
    assert not torch.equal(clips[5], clips[6])
    assert not torch.equal(clips[5], RandomClips(data_dir, 30000, 16000, seed=1)[5])
    with pytest.raises(ValueError, match="44100 Hz"):
        RandomClips(data_dir, 100, 44100)


def test_stft_loss_is_the_formula():
    torch.manual_seed(0)
    audio, estimate = 0.5 * torch.randn(1, 1, 4000), 0.5 * torch.randn(1, 1, 4000)

    def magnitude(x):
        frames = torch.nn.functional.pad(x, (128, 128), mode="reflect")[0, 0].unfold(0, 256, 64)
        return torch.fft.rfft(frames * torch.hann_window(256)).abs()

    x, y = magnitude(estimate), magnitude(audio)
    expected = (x - y).norm() / y.norm() + (x.clamp(min=1e-2).log() - y.clamp(min=1e-2).log()).abs().mean()
    loss = multi_resolution_stft_loss(estimate, audio, fft_sizes=(256,))
    torch.testing.assert_close(loss, expected, rtol=1e-4, atol=0)
    assert multi_resolution_stft_loss(audio, audio) == 0


def test_single_token_words():
    words = single_token_words(tiny_tokenizer(), dictionary=["ab", "fe", "zz"])
    tokenizer = tiny_tokenizer()
    assert words == {word: tokenizer.convert_tokens_to_ids("Ġ" + word) for word in ("ab", "fe")}
    everything = single_token_words(tokenizer)
    assert set(everything) == {*"abcdef", *(a + b for a in "abcdef" for b in "abcdef")}
    assert not set(everything.values()) & set(tokenizer.all_special_ids)
