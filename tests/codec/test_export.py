# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""`torch.export`: what computes in chunks refuses a dynamic length, rather than to freeze it."""

import pytest
import torch
from torch.export import Dim, export


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
