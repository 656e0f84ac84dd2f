# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""The codec's conventions. Equality with the original's numbers is tested in test_conversion.py."""

import shutil

import pytest
import torch
from conftest import tiny_config
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoModelForAudioTokenization

from llm_codec_hf import LLMCodecModel
from llm_codec_hf.layers_llm_codec import position_noise


def audio(*lengths: int) -> torch.Tensor:
    torch.manual_seed(sum(lengths))
    return 0.1 * torch.randn(len(lengths), 1, max(lengths))


def test_shapes_and_layers(codec):
    output = codec.encode(audio(9000), output_latents=True)
    assert output.audio_codes.shape == (1, 7, 6)  # 9000 samples are padded to 11520: 3 windows of 2 groups
    assert output.audio_codes.dtype == torch.int64
    assert output.latents.shape == (1, codec.config.latent_dim, 24)
    layers = codec.split_layers(output.audio_codes)
    assert [layer.shape[1] for layer in layers] == [6, 12, 24]
    assert torch.equal(codec.merge_layers(layers), output.audio_codes)
    # time order: the second group's first residual code is row 3 of column 1, the fifth code of layer 2
    assert layers[2][0, 4] == output.audio_codes[0, 3, 1]
    with torch.no_grad():
        assert codec.decode(output.audio_codes).audio_values.shape == (1, 1, 11520)
        assert codec.decode(output.audio_codes, length=9000).audio_values.shape == (1, 1, 9000)
        assert codec(audio(9000)).audio_values.shape == (1, 1, 9000)


@torch.no_grad()
def test_forward_is_encode_then_decode(codec):
    x = audio(7680)
    output = codec(x)
    assert torch.equal(output.audio_codes, codec.encode(x).audio_codes)
    assert torch.equal(output.audio_values, codec.decode(output.audio_codes).audio_values)
    assert torch.equal(codec.decode(latents=codec.dequantize(output.audio_codes)).audio_values, output.audio_values)
    assert torch.equal(codec(x, return_dict=False)[0], output.audio_values)


@torch.no_grad()
def test_noise_is_deterministic_by_default_and_the_generators_otherwise(codec):
    codes = codec.encode(audio(7680)).audio_codes
    first = codec.decode(codes).audio_values
    torch.manual_seed(1)
    assert torch.equal(codec.decode(codes).audio_values, first)
    assert not torch.equal(codec.decode(codes, noise=False).audio_values, first)
    seeded = [codec.decode(codes, generator=torch.Generator().manual_seed(s)).audio_values for s in (1, 1, 2)]
    assert torch.equal(seeded[0], seeded[1])
    assert not torch.equal(seeded[0], seeded[2])


def test_position_noise_is_standard_normal_and_a_function_of_position():
    noise = position_noise(0, 400_000, torch.device("cpu"))
    assert torch.equal(position_noise(0, 1000, torch.device("cpu"), offset=777), noise[777:1777])
    # 5 standard errors of 400,000 samples
    assert abs(noise.mean()) < 5 / 632
    assert abs(noise.std() - 1) < 5 / 632
    assert abs((noise[1:] * noise[:-1]).mean()) < 5 / 632
    assert abs((noise * position_noise(1, 400_000, torch.device("cpu"))).mean()) < 5 / 632


@pytest.mark.parametrize("side", ["right", "left"])
@torch.no_grad()
def test_batch_gives_each_item_what_it_gets_alone(codec, side):
    lengths = (9000, 1, 3841, 7680)
    x = audio(*lengths)
    mask = torch.zeros(len(lengths), max(lengths), dtype=torch.long)
    clips = []
    for item, n in enumerate(lengths):
        span = slice(0, n) if side == "right" else slice(max(lengths) - n, None)
        mask[item, span] = 1  # the padding of x is noise, and must not matter
        clips.append(x[item : item + 1, :, span])
    batch = codec(x, mask)
    decoded = codec.decode(batch.audio_codes).audio_values  # the mask is seen from the −1
    for item, (n, clip) in enumerate(zip(lengths, clips)):
        alone = codec(clip)
        groups = alone.audio_codes.shape[2]
        assert torch.equal(batch.audio_codes_mask[item], (torch.arange(6) < groups).long())
        assert torch.equal(batch.audio_codes[item, :, :groups], alone.audio_codes[0])
        assert (batch.audio_codes[item, :, groups:] == -1).all()
        # float rounding of other matrix shapes, amplified by a random decoder
        torch.testing.assert_close(batch.audio_values[item, :, :n], alone.audio_values[0], atol=2e-5, rtol=0)
        torch.testing.assert_close(decoded[item, :, :n], alone.audio_values[0], atol=2e-5, rtol=0)
        assert not decoded[item, :, groups * 1920 :].any()
        torch.testing.assert_close(batch.commitment_loss[item], alone.commitment_loss[0])


@torch.no_grad()
def test_any_number_of_groups_decodes(codec):
    """A language model may stop inside a window: the frames it wrote attend to each other alone."""
    codes = codec.encode(audio(7680)).audio_codes
    part = codec.decode(codes[:, :, :3]).audio_values
    assert part.shape == (1, 1, 3 * 1920)
    padded = torch.cat([codes[:, :, :3], torch.full((1, 7, 1), -1)], dim=2)
    torch.testing.assert_close(codec.decode(padded).audio_values[:, :, : 3 * 1920], part, atol=2e-5, rtol=0)


@torch.no_grad()
def test_layers_decode_alone(codec):
    codes = codec.encode(audio(7680)).audio_codes
    words = torch.full_like(codes, -1)
    words[:, 0] = codes[:, 0]
    entries = codec.quantizer.layers[0].codebook[codes[0, 0]].T.repeat_interleave(4, dim=1)
    assert torch.equal(codec.dequantize(words)[0], entries)
    expected = codec.decode(latents=entries[None]).audio_values
    torch.testing.assert_close(codec.decode(words).audio_values, expected, atol=2e-5, rtol=0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.encode(torch.zeros(1, 2, 100)), r"\(1, 2, 100\)"),
        (lambda m: m.encode(torch.zeros(100)), "mono audio"),
        (lambda m: m.encode(torch.zeros(1, 1, 0)), r"\(1, 1, 0\)"),
        (lambda m: m.encode(torch.zeros(1, 1, 9, dtype=torch.int16)), "int16"),
        (lambda m: m.encode(torch.full((1, 1, 9), torch.nan)), "NaN"),
        (lambda m: m.encode(torch.zeros(1, 1, 9), torch.zeros(1, 9)), "every sample"),
        (lambda m: m.encode(torch.zeros(1, 1, 9), torch.ones(1, 8)), r"\(1, 9\)"),
        (lambda m: m.encode(torch.zeros(1, 1, 3), torch.tensor([[1, 0, 1]])), "one run"),
        (lambda m: m.decode(), "neither"),
        (lambda m: m.decode(torch.zeros(1, 6, 2, dtype=torch.long)), r"\(batch, 7, groups\)"),
        (lambda m: m.decode(torch.zeros(1, 7, 2)), "int64"),
        (lambda m: m.decode(torch.full((1, 7, 2), 24)), "layer 0"),
        (lambda m: m.decode(torch.zeros(1, 7, 2, dtype=torch.long), length=4000), "3840"),
        (lambda m: m.decode(torch.zeros(1, 7, 2, dtype=torch.long), audio_codes_mask=torch.ones(1, 3)), r"\(1, 3\)"),
        (lambda m: m.decode(torch.full((1, 7, 2), -1)), "throughout"),
        (lambda m: m.dequantize(torch.zeros(7, 2, dtype=torch.long)), r"\(7, 2\)"),
    ],
)
def test_bad_input_is_refused(codec, call, message):
    with pytest.raises(ValueError, match=message):
        call(codec)


def test_save_and_load(codec, codec_dir):
    x = audio(4000)
    for auto in (AutoModel, AutoModelForAudioTokenization):
        loaded = auto.from_pretrained(codec_dir)
        assert type(loaded) is LLMCodecModel
        assert torch.equal(loaded.encode(x).audio_codes, codec.encode(x).audio_codes)
    loaded = AutoModel.from_pretrained(codec_dir, device_map="cpu")
    assert torch.equal(loaded.encode(x).audio_codes, codec.encode(x).audio_codes)


@pytest.mark.parametrize("missing", [(), ("quantizer.layers.1.codebook_inverse_norm", "decoder.conv_out.weight")])
def test_loading_fills_all_memory(codec, codec_dir, tmp_path, monkeypatch, missing):
    """`from_pretrained` builds on the meta device: whatever it allocates, the checkpoint or we must fill."""
    shutil.copytree(codec_dir, tmp_path, dirs_exist_ok=True)
    state = {name: tensor for name, tensor in load_file(tmp_path / "model.safetensors").items() if name not in missing}
    save_file(state, tmp_path / "model.safetensors", metadata={"format": "pt"})
    empty_like = torch.empty_like

    def poisoned(*args, **kwargs):
        tensor = empty_like(*args, **kwargs)
        return tensor.fill_(torch.nan) if tensor.is_floating_point() and tensor.device.type != "meta" else tensor

    monkeypatch.setattr(torch, "empty_like", poisoned)
    loaded = AutoModel.from_pretrained(tmp_path)
    monkeypatch.undo()
    assert not list(loaded.named_non_persistent_buffers())
    expected = codec.state_dict()
    assert loaded.state_dict().keys() == expected.keys()
    for name, tensor in loaded.state_dict().items():
        assert tensor.isfinite().all(), name
        # the codebook's inverse norms follow from the codebook; the other weight is drawn anew
        if name != "decoder.conv_out.weight":
            torch.testing.assert_close(tensor, expected[name], msg=name)


@pytest.mark.parametrize(
    "backend",
    [
        "eager",
        pytest.param(
            "inductor",
            marks=[
                pytest.mark.slow,
                pytest.mark.skipif(shutil.which("g++") is None, reason="inductor needs a C++ compiler"),
            ],
        ),
    ],
)
@pytest.mark.e2e
@torch.inference_mode()
def test_compiled_without_graph_breaks(codec, backend):
    x = audio(9000, 4000)
    mask = (torch.arange(9000) < torch.tensor([[9000], [4000]])).long()
    compiled = {
        name: torch.compile(getattr(codec, name), backend=backend, fullgraph=True, dynamic=False)
        for name in ("encode", "decode")
    }
    codes = codec.encode(x, mask).audio_codes
    assert torch.equal(compiled["encode"](x, mask).audio_codes, codes)
    codes_mask = (codes >= 0).any(dim=1)
    expected = codec.decode(codes, audio_codes_mask=codes_mask).audio_values
    audio_values = compiled["decode"](codes, audio_codes_mask=codes_mask).audio_values
    torch.testing.assert_close(audio_values, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@torch.inference_mode()
def test_autocast_gives_nearly_the_same(codec, dtype):
    x = audio(96000)
    codes = codec.encode(x).audio_codes
    with torch.autocast("cpu", dtype):
        half = codec.encode(x).audio_codes
        audio_values = codec.decode(codes).audio_values
    assert (half == codes).float().mean() > 0.9
    difference = audio_values.float() - codec.decode(codes).audio_values
    assert difference.square().mean().sqrt() < 0.05 * codec.decode(codes).audio_values.square().mean().sqrt()


def test_fresh_weights_are_finite_and_reproducible():
    models = []
    for _ in range(2):
        torch.manual_seed(3)
        models.append(LLMCodecModel(tiny_config()))
    for (name, first), second in zip(models[0].state_dict().items(), models[1].state_dict().values()):
        assert first.isfinite().all(), name
        assert torch.equal(first, second), name


def test_codebooks_stay_in_float32(codec, codec_dir):
    x = audio(4000)
    for model in (
        AutoModel.from_pretrained(codec_dir, dtype=torch.bfloat16),
        AutoModel.from_pretrained(codec_dir).to(torch.bfloat16),
    ):
        assert model.dtype == torch.bfloat16
        for layer, original in zip(model.quantizer.layers, codec.quantizer.layers):
            assert layer.codebook.dtype == torch.float32
            assert torch.equal(layer.codebook, original.codebook)
            assert torch.equal(layer.codebook_inverse_norm, original.codebook_inverse_norm)
        with torch.no_grad():
            assert model(x).audio_values.dtype == torch.bfloat16


def test_nearest_is_by_cosine_and_takes_the_first_of_equals(codec):
    layer = codec.quantizer.layers[0]
    latents = torch.randn(2, codec.config.latent_dim, 5)
    reference = torch.nn.functional.normalize(latents.transpose(1, 2), dim=-1) @ torch.nn.functional.normalize(
        layer.codebook, dim=-1
    ).transpose(0, 1)
    assert torch.equal(layer.nearest(latents)[0], reference.argmax(-1))
    doubled = torch.cat([layer.codebook, layer.codebook])
    assert torch.equal(layer.nearest(latents, doubled)[0], reference.argmax(-1))
    layer.latents_at_once, layer.parts = 3, 4
    codes, margins = layer.nearest(latents)
    del layer.latents_at_once
    layer.parts = 1
    assert torch.equal(codes, reference.argmax(-1))
    best, second = (latents.norm(dim=1)[..., None] * reference.topk(2).values).unbind(-1)
    torch.testing.assert_close(margins, best - second)


def test_gradient_reaches_the_encoder_straight_through():
    torch.manual_seed(0)
    model = LLMCodecModel(tiny_config())
    codebooks = [layer.codebook.clone().requires_grad_() for layer in model.quantizer.layers]
    output = model(audio(7680), codebooks=codebooks)
    output.audio_values.square().mean().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name
    assert all(codebook.grad is None for codebook in codebooks)  # they learn from the codebook loss alone
    output = model(audio(7680), codebooks=codebooks)
    output.codebook_loss.sum().backward()
    assert all(codebook.grad.any() for codebook in codebooks)


def test_straight_through_gradient_is_the_identity_for_one_layer():
    torch.manual_seed(0)
    model = LLMCodecModel(tiny_config(vq_strides=[1], codebook_sizes=[24], attn_window_size=None))
    latents = torch.randn(1, model.config.latent_dim, 4, requires_grad=True)
    codes, _ = model.quantizer.encode(latents)
    layers, _, _ = model.quantizer(latents, codes)
    weight = torch.randn_like(layers[0])
    (layers[0] * weight).sum().backward()
    assert torch.equal(latents.grad, weight)
