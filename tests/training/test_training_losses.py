# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Losses of the training: golden values where the original gives them, formulas written anew elsewhere."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from original_checkpoints import GOLDEN, NUM_WORDS, conversion_inputs
from safetensors.torch import load_file
from transformers import AutoModel

from llm_codec_hf.conversion.convert import convert
from llm_codec_hf.signals.filter_bank import analyse, design_prototype, filter_bank
from llm_codec_hf.signals.spectrograms import hann_window, mel_filters, multi_resolution_stft_loss
from llm_codec_hf.training.discriminator import (
    MultiFrequencyDiscriminator,
    discriminator_loss,
    feature_matching_loss,
    generator_adversarial_loss,
)
from llm_codec_hf.training.losses import (
    FULL_BAND,
    consistency_loss,
    mel_loss,
    semantic_loss,
    sub_band_stft_loss,
)

RATE = 16000
# Sizes of the released configuration's mel loss, which it turns off
RELEASED_MEL = {"fft_sizes": (1024,), "hop_lengths": (160,), "win_lengths": (800,), "num_mels": (80,)}
FFT_SIZES, NUM_MELS = (2048, 1024, 512, 256, 128), (128, 80, 64, 40, 20)
KINDS = ("least_squares", "hinge")

AUDIO_LOSSES = {
    "stft": multi_resolution_stft_loss,
    "full_band": lambda y, x: multi_resolution_stft_loss(y, x, **FULL_BAND),
    "sub_band": sub_band_stft_loss,
    "mel": lambda y, x: mel_loss(y, x, RATE),
    "released_mel": lambda y, x: mel_loss(y, x, RATE, **RELEASED_MEL),
}
each_audio_loss = pytest.mark.parametrize("loss", AUDIO_LOSSES.values(), ids=AUDIO_LOSSES)


def draw_audio(batch: int = 4, samples: int = 3840) -> tuple[torch.Tensor, torch.Tensor]:
    """Items from loud to quiet, some magnitudes of which are below the losses' floor, and a distorted copy."""
    generator = torch.Generator().manual_seed(0)
    noise, other = (torch.randn(batch, 1, samples, generator=generator) for _ in range(2))
    audio = torch.logspace(-0.5, -3.5, batch)[:, None, None] * (noise + noise.roll(1, -1) + noise.roll(2, -1))
    return 0.8 * audio + 0.3 * audio.std(dim=-1, keepdim=True) * other, audio


# ---- The reference: numpy, an item at a time


def magnitude(samples: np.ndarray, fft_size: int, hop: int, win: int) -> np.ndarray:
    """`(bins, frames)`: windows centred on every hop, ends reflected."""
    padded = np.pad(samples.astype(np.float64), fft_size // 2, mode="reflect")
    window = np.zeros(fft_size)
    start = (fft_size - win) // 2
    window[start : start + win] = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(win) / win)
    frames = [padded[i : i + fft_size] * window for i in range(0, len(padded) - fft_size + 1, hop)]
    return np.abs(np.fft.rfft(frames, axis=1)).T


def log_difference(estimate: np.ndarray, target: np.ndarray, floor: float) -> float:
    return np.abs(np.log(np.maximum(estimate, floor)) - np.log(np.maximum(target, floor))).mean()


def stft_reference(estimate: np.ndarray, target: np.ndarray, fft_sizes, hop_lengths, win_lengths) -> float:
    losses = []
    for sizes in zip(fft_sizes, hop_lengths, win_lengths):
        y, x = magnitude(estimate, *sizes), magnitude(target, *sizes)
        losses.append(np.linalg.norm(y - x) / max(np.linalg.norm(x), 1.0) + log_difference(y, x, 1e-2))
    return np.mean(losses)


def mean_over_items(reference, estimate: torch.Tensor, target: torch.Tensor, *args) -> float:
    return np.mean([reference(y, x, *args) for y, x in zip(estimate[:, 0].numpy(), target[:, 0].numpy())])


# ---- Reconstruction


@pytest.mark.parametrize(
    ("sizes", "given"),
    [
        ((FFT_SIZES, [n // 4 for n in FFT_SIZES], FFT_SIZES), {}),
        (((512, 1024, 2048), (120, 240, 300), (480, 960, 1200)), FULL_BAND),
    ],
    ids=["default", "released"],
)
def test_stft_loss_is_the_formula(sizes, given):
    estimate, audio = draw_audio()
    expected = mean_over_items(stft_reference, estimate, audio, *sizes)
    assert multi_resolution_stft_loss(estimate, audio, **given).item() == pytest.approx(expected, rel=1e-4)


def test_sub_band_loss_is_the_formula():
    """Bands by filters applied sample for sample, and every sixth sample of them."""
    estimate, audio = draw_audio()
    prototype = design_prototype(6)
    half = len(prototype) // 2
    time = np.arange(-half, half + 1)

    def bands(samples):
        for k in range(6):
            taps = 2 * prototype * np.cos((2 * k + 1) * np.pi / 12 * time + (-1) ** k * np.pi / 4)
            yield np.convolve(samples, taps)[half : half + len(samples) : 6]

    def reference(y, x):
        sizes = ((128, 256, 256), (20, 40, 50), (80, 120, 200))
        return np.mean([stft_reference(*pair, *sizes) for pair in zip(bands(y), bands(x))])

    expected = mean_over_items(reference, estimate, audio)
    assert sub_band_stft_loss(estimate, audio).item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("sizes", "num_mels", "given"),
    [
        ((FFT_SIZES, [n // 4 for n in FFT_SIZES], FFT_SIZES), NUM_MELS, {}),
        (((1024,), (160,), (800,)), (80,), RELEASED_MEL),
        (((256,), (64,), (256,)), (40,), {"fft_sizes": (256,), "num_mels": (40,), "floor": 0.5}),
    ],
    ids=["default", "released", "floor"],
)
def test_mel_loss_is_the_formula(sizes, num_mels, given):
    librosa = pytest.importorskip("librosa", reason="needs librosa, of the extra `eval`")
    estimate, audio = draw_audio()

    def reference(y, x):
        losses = []
        for (fft_size, hop, win), mels in zip(zip(*sizes), num_mels):
            filters = librosa.filters.mel(sr=RATE, n_fft=fft_size, n_mels=mels, htk=True, norm=None)
            y_mel, x_mel = (filters @ magnitude(samples, fft_size, hop, win) for samples in (y, x))
            losses.append(log_difference(y_mel, x_mel, given.get("floor", 1e-2)))
        return np.mean(losses)

    expected = mean_over_items(reference, estimate, audio)
    assert mel_loss(estimate, audio, RATE, **given).item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(("fft_size", "num_mels"), list(zip(FFT_SIZES, NUM_MELS)))
def test_no_mel_band_is_empty(fft_size, num_mels):
    assert (mel_filters(fft_size // 2 + 1, num_mels, RATE, torch.device("cpu")).amax(dim=1) > 0).all()


@each_audio_loss
def test_an_audio_loss_is_a_mean_over_items(loss):
    estimate, audio = draw_audio()
    halves = [loss(estimate[half], audio[half]) for half in (slice(0, 2), slice(2, 4))]
    torch.testing.assert_close(loss(estimate, audio), torch.stack(halves).mean(), rtol=1e-5, atol=0)
    assert loss(audio, audio) == 0


@each_audio_loss
def test_gradients_are_finite_where_audio_is_silent(loss):
    _, audio = draw_audio(batch=1)
    silence = torch.zeros_like(audio)
    estimate = torch.cat([0.5 * audio, silence, 0.5 * audio, silence]).requires_grad_()
    loss(estimate, torch.cat([audio, audio, silence, silence])).backward()
    assert estimate.grad.isfinite().all()
    assert (estimate.grad[[0, 2]] != 0).any(dim=-1).all() and (estimate.grad[3] == 0).all()


@each_audio_loss
def test_the_shortest_clip_is_long_enough(loss):
    """One attention window of the original, 0.24 s."""
    assert loss(*draw_audio(batch=1, samples=3840)) > 0


@each_audio_loss
def test_gradients_lead_to_the_audio(loss):
    estimate, audio = draw_audio(batch=1)
    estimate.requires_grad_()
    optimizer = torch.optim.Adam([estimate], lr=5e-3)
    losses = []
    for _ in range(20):
        losses.append(loss(estimate, audio))
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < 0.8 * losses[0]


@each_audio_loss
def test_audio_losses_are_of_float32_under_autocast(loss):
    estimate, audio = draw_audio()
    with torch.autocast("cpu", torch.bfloat16):
        half = loss(estimate, audio)
    torch.testing.assert_close(half, loss(estimate, audio), rtol=0, atol=0)


def test_what_inference_mode_cached_serves_training():
    caches = (hann_window, mel_filters, filter_bank)
    for cached in caches:
        cached.cache_clear()
    estimate, audio = draw_audio(batch=1)
    losses = (sub_band_stft_loss, AUDIO_LOSSES["mel"])
    with torch.inference_mode():
        before = [loss(estimate, audio) for loss in losses]
    built = [cached.cache_info().misses for cached in caches]
    estimate.requires_grad_()
    for loss, value in zip(losses, before):
        after = loss(estimate, audio)
        after.backward()
        assert after == value
    assert estimate.grad.abs().sum() > 0
    assert [cached.cache_info().misses for cached in caches] == built  # and nothing is built twice


def test_losses_refuse_what_means_nothing():
    estimate, audio = draw_audio()
    for loss in AUDIO_LOSSES.values():
        with pytest.raises(ValueError, match=r"of the shape \(1, 1, 3840\) and audio of \(4, 1, 3840\)"):
            loss(estimate[:1], audio)
    with pytest.raises(ValueError, match=r"more than 1024 samples; got the shape \(4, 1, 1024\)"):
        multi_resolution_stft_loss(estimate[..., :1024], audio[..., :1024])
    with pytest.raises(ValueError, match=r"got the shape \(4, 3840\)"):
        mel_loss(estimate[:, 0], audio[:, 0], RATE)
    with pytest.raises(ValueError, match="2 fft_sizes, 1 hop_lengths and 2 win_lengths"):
        multi_resolution_stft_loss(estimate, audio, (512, 256), hop_lengths=(64,))
    with pytest.raises(ValueError, match="5 fft_sizes need as many num_mels; got 1"):
        mel_loss(estimate, audio, RATE, num_mels=(80,))


# ---- The filter bank


def synthesise(bands: torch.Tensor, samples: int) -> torch.Tensor:
    """Undoes `analyse`, nearly: `(batch, num_bands, steps)` → `(batch, 1, samples)`."""
    num_bands = bands.shape[1]
    filters = num_bands * filter_bank(num_bands)  # which makes up for the samples that the analysis dropped
    options = {"stride": num_bands, "padding": filters.shape[-1] // 2, "output_padding": num_bands - 1}
    return F.conv_transpose1d(bands, filters, **options)[..., :samples]


@pytest.mark.parametrize("num_bands", [2, 4, 6, 8])
def test_bands_make_the_audio_again(num_bands):
    torch.manual_seed(0)
    audio = torch.randn(2, 1, 9601)
    bands = analyse(audio, num_bands)
    assert bands.shape == (2, num_bands, math.ceil(9601 / num_bands))
    again = synthesise(bands, 9601)
    assert again.shape == audio.shape
    inner = (..., slice(200, -200))  # half a filter from the ends, some of a band's samples are outside
    error = (again - audio)[inner].square().mean() / audio[inner].square().mean()
    assert 10 * error.log10() < -60  # -62 dB were measured


def test_a_sinusoid_is_in_its_band_alone():
    bands = 6
    time = torch.arange(19200) / RATE
    for band in range(bands):
        hertz = (band + 0.5) * RATE / 2 / bands
        levels = analyse(torch.sin(2 * torch.pi * hertz * time)[None, None], bands)[0, :, 50:-50].square().mean(-1)
        level = (levels * 2).sqrt()
        others = torch.cat([level[:band], level[band + 1 :]])
        assert level[band].item() == pytest.approx(1, abs=0.01) and others.max() < 1e-3


def test_a_filter_bank_has_two_bands_or_more():
    with pytest.raises(ValueError, match="two bands or more; got 1"):
        filter_bank(1)


# ---- The discriminator


def toy_discriminator(**kwargs) -> MultiFrequencyDiscriminator:
    torch.manual_seed(0)
    return MultiFrequencyDiscriminator(**{"hop_lengths": (32, 128), "channels": (4, 8), **kwargs})


def test_the_discriminator_of_the_released_configuration():
    with torch.device("meta"):
        discriminator = MultiFrequencyDiscriminator()
    channels = (2, 64, 128, 256, 512, 512, 512, 1)
    # 3 x 3 weights, a norm and a bias an output
    one = sum(9 * before * after + 2 * after for before, after in zip(channels, channels[1:]))
    assert sum(p.numel() for p in discriminator.parameters()) == 6 * one == 37_659_660
    assert not list(discriminator.buffers())
    assert [module.fft_size for module in discriminator.discriminators] == [128, 256, 512, 1024, 2048, 4096]


@pytest.mark.parametrize("samples", [3840, 15360])
def test_shapes_of_the_discriminator(samples):
    hop_lengths, channels = (32, 64, 128, 256, 512, 1024), (2, 3, 4, 5, 6, 7)
    output = toy_discriminator(hop_lengths=hop_lengths, channels=channels)(torch.randn(2, 1, samples))
    assert len(output.logits) == len(output.features) == 6
    for hop, mels, logits, features in zip(hop_lengths, (23, 44, 86, 128, 128, 128), output.logits, output.features):
        size = (1 + samples // hop, mels)
        for i, (feature, width) in enumerate(zip(features, channels, strict=True)):
            size = tuple(-(-n // 2) for n in size) if i else size
            assert feature.shape == (2, width, *size)
        assert logits.shape == (2, 1, *size)


@pytest.mark.parametrize("sampling_rate", [8000, 16000, 24000, 48000])
def test_no_mel_band_of_the_discriminator_is_empty(sampling_rate):
    for module in MultiFrequencyDiscriminator(channels=(1,), sampling_rate=sampling_rate).discriminators:
        filters = mel_filters(module.fft_size // 2 + 1, module.num_mels, sampling_rate, torch.device("cpu"))
        assert (filters.amax(dim=1) > 0).all(), module.fft_size


def test_what_the_discriminator_sees():
    """Linear and log magnitudes side by side; of noise, about its root mean square in every window."""
    torch.manual_seed(0)
    audio = 0.05 * torch.randn(2, 1, 48000)
    for one in toy_discriminator().discriminators:
        spectrogram = one.spectrogram(audio)
        assert spectrogram.shape[1] == 2
        torch.testing.assert_close(spectrogram[:, 1], spectrogram[:, 0].clamp(min=1e-4).log())
        assert spectrogram[:, 0].mean().item() == pytest.approx(0.05, rel=0.2)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_reach_every_weight_of_the_discriminator_and_the_audio(kind):
    discriminator = toy_discriminator()
    estimate, audio = draw_audio(batch=2)
    estimate.requires_grad_()
    real, fake = discriminator(audio), discriminator(estimate)
    discriminator_loss(real.logits, fake.logits, kind).backward(retain_graph=True)
    still = {name for name, p in discriminator.named_parameters() if (p.grad == 0).all()}
    # within its margins, the hinge pulls real and fake logits apart by as much, which the last bias cannot
    assert still <= ({f"discriminators.{i}.conv_out.bias" for i in range(2)} if kind == "hinge" else set())
    loss = generator_adversarial_loss(fake.logits, kind) + feature_matching_loss(real.features, fake.features)
    estimate.grad = None
    loss.backward()
    assert estimate.grad.isfinite().all() and (estimate.grad != 0).any(dim=-1).all()


def test_losses_of_the_adversary_by_hand():
    real = [torch.tensor([[[[1.0, 3.0]]]]), torch.tensor([[[[0.5]]]])]
    fake = [torch.tensor([[[[0.0, -2.0]]]]), torch.tensor([[[[0.5]]]])]
    assert discriminator_loss(real, fake, "least_squares").item() == ((0 + 4) / 2 + (0 + 4) / 2 + 0.25 + 0.25) / 2
    assert discriminator_loss(real, fake, "hinge").item() == (0 + (1 + 0) / 2 + 0.5 + 1.5) / 2
    assert generator_adversarial_loss(fake, "least_squares").item() == ((1 + 9) / 2 + 0.25) / 2
    assert generator_adversarial_loss(fake, "hinge").item() == (1 - 0.5) / 2
    for loss in (lambda: discriminator_loss(real, fake, "wgan"), lambda: generator_adversarial_loss(fake, "wgan")):
        with pytest.raises(ValueError, match="least_squares or hinge; got 'wgan'"):
            loss()


def test_feature_matching_by_hand():
    real = [[torch.tensor([1.0, 2.0]), torch.tensor([4.0])], [torch.zeros(3), torch.zeros(1)]]
    fake = [[torch.tensor([1.0, 5.0]), torch.tensor([3.0])], [torch.ones(3), torch.zeros(1)]]
    for feature in (*real[0], *fake[0]):
        feature.requires_grad_()
    loss = feature_matching_loss(real, fake)
    assert loss.item() == (1.5 + 1 + 1 + 0) / 4
    loss.backward()
    assert real[0][0].grad is None and fake[0][0].grad.tolist() == [0, 0.5 / 4]


@pytest.mark.parametrize("kind", KINDS)
def test_losses_of_the_adversary_are_means_over_items(kind):
    discriminator = toy_discriminator()
    estimate, audio = draw_audio()

    def losses(items):
        real, fake = discriminator(audio[items]), discriminator(estimate[items])
        return torch.stack(
            [
                discriminator_loss(real.logits, fake.logits, kind),
                generator_adversarial_loss(fake.logits, kind),
                feature_matching_loss(real.features, fake.features),
            ]
        )

    halves = torch.stack([losses(slice(0, 2)), losses(slice(2, 4))])
    torch.testing.assert_close(losses(slice(0, 4)), halves.mean(dim=0), rtol=1e-5, atol=1e-7)


@pytest.mark.e2e
@pytest.mark.parametrize("kind", KINDS)
def test_the_discriminator_learns_to_tell_a_sinusoid_from_noise(kind):
    discriminator = toy_discriminator()
    optimizer = torch.optim.AdamW(discriminator.parameters(), lr=1e-2)
    time = torch.arange(3840) / RATE

    def sinusoids():
        return 0.3 * torch.sin(2 * torch.pi * (200 + 3000 * torch.rand(8, 1, 1)) * time)

    losses = []
    for _ in range(25):
        real, fake = discriminator(sinusoids()), discriminator(0.2 * torch.randn(8, 1, 3840))
        losses.append(discriminator_loss(real.logits, fake.logits, kind))
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < 0.3 * losses[0]
    real, fake = discriminator(sinusoids()), discriminator(0.2 * torch.randn(8, 1, 3840))
    for logits, others in zip(real.logits, fake.logits):
        assert logits.mean(dim=(1, 2, 3)).min() > others.mean(dim=(1, 2, 3)).max()


def test_discriminators_that_mean_nothing():
    with pytest.raises(ValueError, match=r"got \(\) and"):
        toy_discriminator(hop_lengths=())
    with pytest.raises(ValueError, match=r"more than 256 samples; got the shape \(1, 1, 256\)"):
        toy_discriminator()(torch.zeros(1, 1, 256))


# ---- Golden values, and guidance


@pytest.mark.parametrize("name", NUM_WORDS)
@torch.inference_mode()
def test_losses_equal_golden_values(name, tmp_path):
    golden = load_file(GOLDEN / f"{name}.safetensors")
    golden = {key.removeprefix("train."): value for key, value in golden.items() if key.startswith("train.")}
    model = AutoModel.from_pretrained(convert(**conversion_inputs(name, tmp_path)))
    output = model(golden["input_values"], noise=False)
    losses = {
        "commitment_loss": output.commitment_loss,
        "codebook_loss": output.codebook_loss,
        "semantic_loss": semantic_loss(output.quantized_layers[0], golden["text_features"])[None],
        "consistency_loss": consistency_loss(output.quantized_layers[1], golden["frame_features"].transpose(1, 2))[
            None
        ],
    }
    for loss, value in losses.items():
        torch.testing.assert_close(value, golden[loss], rtol=1e-5, atol=0, msg=loss)
    torch.testing.assert_close(output.audio_values, golden["audio_values"], rtol=0, atol=1e-5)


def test_guidance_by_hand():
    layer = torch.tensor([[[1.0, 3.0], [0.0, 0.0]], [[5.0, 5.0], [1.0, 0.0]]])  # 2 items, 2 channels, 2 frames
    texts = torch.tensor([[1.0, 0.0], [5.0, 2.5]])
    assert semantic_loss(layer, texts).item() == (1 / 2 + 4 / 2) / 2
    # frames 0 and 2 of 4 are the nearest to the layer's two
    frames = torch.tensor([[[1.0, 9.0, 1.0, 9.0], [0.0, 9.0, 1.0, 9.0]], [[5.0, 9.0, 5.0, 9.0], [1.0, 9.0, 0.0, 9.0]]])
    assert consistency_loss(layer, frames).item() == (4 + 1) / 8


def test_items_without_a_text():
    torch.manual_seed(0)
    layer, texts = torch.randn(4, 8, 6, requires_grad=True), torch.randn(4, 8)
    texts[1] = torch.nan  # whatever stands there
    mask = torch.tensor([True, False, True, True])
    loss = semantic_loss(layer, texts, mask)
    assert loss.item() == pytest.approx(3 / 4 * semantic_loss(layer[mask], texts[mask]).item())
    loss.backward()
    assert (layer.grad[1] == 0).all() and (layer.grad[mask] != 0).all()
    halves = [semantic_loss(layer[half], texts[half], mask[half]) for half in (slice(0, 2), slice(2, 4))]
    torch.testing.assert_close(loss, torch.stack(halves).mean())
    layer.grad = None
    nothing = semantic_loss(layer, texts, torch.zeros(4, dtype=torch.bool))
    nothing.backward()
    assert nothing == 0 and (layer.grad == 0).all()


def test_guidance_refuses_features_of_another_shape():
    layer = torch.zeros(2, 8, 6)
    with pytest.raises(ValueError, match=r"text features \(2, 8\); got \(1, 8\)"):
        semantic_loss(layer, torch.zeros(1, 8))
    with pytest.raises(ValueError, match=r"\(2, 8, 'frames'\); got \(2, 50, 8\)"):
        consistency_loss(layer, torch.zeros(2, 50, 8))
