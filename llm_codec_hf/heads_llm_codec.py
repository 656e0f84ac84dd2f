# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""What the attention heads of a language model put out at one position of its prompts."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from transformers import PreTrainedModel

from .requests_llm_codec import LanguageModelError

PROJECTIONS = ("o_proj", "out_proj", "c_proj", "dense", "wo")  # what models call the product that joins their heads


class HeadOutputs:
    """
    Listens to the heads of a causal language model, at the product that joins them.

    Args:
        model (`PreTrainedModel`): A transformer.

    Raises:
        LanguageModelError: where no such product is found in every layer.
    """

    def __init__(self, model: PreTrainedModel):
        config = model.config.get_text_config(decoder=True)
        self.heads, layers = getattr(config, "num_attention_heads", 0), getattr(config, "num_hidden_layers", 0)
        self.projections = [
            module
            for name, module in model.named_modules()
            if name.rpartition(".")[2] in PROJECTIONS and "att" in name.rpartition(".")[0].rpartition(".")[2].lower()
        ]
        if not self.heads or len(self.projections) != layers:
            raise LanguageModelError(
                f"The language model {type(model).__name__} has {len(self.projections)} products of attention heads "
                f"that are known, in {layers} layers: choose a `scoring` that does not listen to heads."
            )

    @contextmanager
    def at(self, position: int) -> Iterator[list[torch.Tensor]]:
        """While passes are made: a list that gets the outputs `(rows, width)` of each layer at a position of theirs."""
        seen: list[torch.Tensor] = []
        hooks = [
            projection.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0][:, position].float().cpu()))
            for projection in self.projections
        ]
        try:
            yield seen
        finally:
            for hook in hooks:
                hook.remove()

    def split(self, seen: list[torch.Tensor]) -> torch.FloatTensor:
        """Outputs `(rows, width)` of each layer → `(rows, layers · heads, width per head)`."""
        return torch.cat([layer.unflatten(1, (self.heads, -1)) for layer in seen], dim=1)


__all__ = ["HeadOutputs"]
