# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""A language model whose every probability is written by hand, and a tokenizer of another vocabulary."""

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import DynamicCache, PretrainedConfig, PreTrainedModel, PreTrainedTokenizerFast
from transformers.modeling_outputs import CausalLMOutputWithPast


class BigramConfig(PretrainedConfig):
    model_type = "bigram"

    def __init__(self, vocab_size=8, **kwargs):
        super().__init__(**kwargs)
        self.vocab_size = vocab_size


class Bigram(PreTrainedModel):
    """The next id depends on the last one alone: `logits[last]`, given by hand. It counts the ids that it reads."""

    config_class = BigramConfig

    def __init__(self, logits: torch.Tensor):
        super().__init__(BigramConfig(vocab_size=len(logits)))
        self.embedding = torch.nn.Embedding(*logits.shape)
        self.embedding.weight.data.copy_(logits)
        self.ids_read = 0

    def get_input_embeddings(self):
        return self.embedding

    def forward(self, input_ids, past_key_values=None, use_cache=None, logits_to_keep=0, **kwargs):
        self.ids_read += input_ids.numel()
        logits = self.embedding(input_ids)
        return CausalLMOutputWithPast(
            logits=logits[:, -logits_to_keep:] if logits_to_keep else logits,
            past_key_values=past_key_values or DynamicCache(),
        )


def full_pass(model, prompt, continuation):
    with torch.no_grad():
        logits = model(torch.tensor([prompt + continuation])).logits[0]
    log_probs = logits[len(prompt) - 1 : -1].log_softmax(-1)
    return sum(log_probs[i, token].item() for i, token in enumerate(continuation))


def bytes_alone(**kwargs) -> PreTrainedTokenizerFast:
    """A byte-level tokenizer without merges: a word takes an id a byte, and one for the space before it."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({letter: i for i, letter in enumerate([*alphabet, "<eos>"])}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<eos>", **kwargs)
