# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""`torch.export`: what computes in chunks refuses a dynamic length rather than freeze it; the cores below take any."""

import pytest
import torch
from conftest import tiny_config
from torch.export import Dim, export

from llm_codec_hf import LLMCodecModel


class Method(torch.nn.Module):
    def __init__(self, model, name):
        super().__init__()
        self.model, self.name = model, name

    def forward(self, values):
        return getattr(self.model, self.name)(values)[0]


@pytest.mark.parametrize(
    ("name", "values"), [("encode", 0.1 * torch.ones(1, 1, 7680)), ("decode", torch.ones(1, 7, 4).long())]
)
def test_a_dynamic_length_is_refused(codec, name, values):
    with torch.no_grad(), pytest.raises(ValueError, match=f"`{name}` cannot be exported for a dynamic length"):
        export(Method(codec, name), (values,), dynamic_shapes=({2: Dim.AUTO},), strict=False)


class Encoder(Method):
    def forward(self, values):
        return tuple(self.model.quantizer.encode(self.model.encoder(values))[0])


class Decoder(Method):
    def forward(self, *codes):
        return self.model.decoder(self.model.quantizer.decode(codes))  # without noise


@pytest.mark.parametrize("kind", [pytest.param("conv", marks=pytest.mark.slow), "spectral"])
def test_the_cores_have_any_length(kind):
    torch.manual_seed(0)
    model = LLMCodecModel(tiny_config(encoder_type=kind, decoder_type=kind)).eval()
    window = model.config.pad_to_multiple_of
    audio = 0.1 * torch.randn(1, 1, 29 * window)
    with torch.no_grad():
        codes = model.quantizer.encode(model.encoder(audio[..., : 8 * window]))[0]
        windows = Dim("windows", min=2, max=4096)
        encoder = export(
            Encoder(model, ""), (audio[..., : 8 * window],), dynamic_shapes=({2: window * windows},), strict=False
        )
        per_window = [len(row[0]) // 8 for row in codes]
        shapes = tuple({1: count * windows} for count in per_window)
        decoder = export(Decoder(model, ""), tuple(codes), dynamic_shapes=(shapes,), strict=False)
        for length in (2, 5, 8, 11, 29):
            expected = model.encode(audio[..., : length * window]).audio_codes
            found = encoder.module()(audio[..., : length * window])
            assert all(torch.equal(a, b) for a, b in zip(found, model.split_layers(expected)))
            values = model.decode(expected, noise=False).audio_values
            torch.testing.assert_close(decoder.module()(*found), values, rtol=0, atol=1e-5)  # as in any batch
