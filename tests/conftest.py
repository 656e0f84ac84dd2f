# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""A tiny codec, its tokenizer and a tiny language model, of random weights."""

import os
from pathlib import Path

# tiny tensors are slower on two threads, and on a busy machine much slower; processes that tests start heed it, too
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from llm_codec_hf import LLMCodecConfig, LLMCodecFeatureExtractor, LLMCodecModel, LLMCodecProcessor, save_codec

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"
FIXTURES = Path(__file__).parent / "fixtures"

NUM_WORDS, NUM_TOKENS = 24, 32

pytest_plugins = [
    "cli_fixtures",
    "fuzzing",
]  # not a conftest.py beside the tests: every such module would be called `conftest`
collect_ignore = ["transformers_common"]  # what is in it runs where test_modeling_common_llm_codec.py inherits it

torch.set_num_threads(1)


def pytest_configure(config):
    # those of Transformers' own tests
    for marker in (
        "accelerate_tests",
        "torch_compile_test",
        "flash_attn_test",
        "flash_attn_3_test",
        "flash_attn_4_test",
    ):
        config.addinivalue_line("markers", marker)


def tiny_config(**kwargs) -> LLMCodecConfig:
    """The original's geometry at a hundredth of its size."""
    defaults = {"encoder_dim": 4, "decoder_dim": 64, "codebook_sizes": [NUM_WORDS, NUM_TOKENS, NUM_TOKENS]}
    return LLMCodecConfig(**{**defaults, **kwargs})


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer of the 256 bytes, some words (" aa", " ab", …) and an end-of-sequence token."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges, words = [], []
    for first in "abcdef":
        merges.append(("Ġ", first))
        for second in "abcdef":
            merges.append((f"Ġ{first}", second))
            words.append(f"Ġ{first}{second}")
    tokens = [*alphabet, *(f"Ġ{first}" for first in "abcdef"), *words, "<eos>"]
    tokenizer = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<eos>", pad_token="<eos>")


def tiny_processor() -> LLMCodecProcessor:
    tokenizer = tiny_tokenizer()
    words = [f" {a}{b}" for a in "abcdef" for b in "abcdef"]
    ids = [tokenizer.convert_tokens_to_ids("Ġ" + word[1:]) for word in words]
    return LLMCodecProcessor(
        LLMCodecFeatureExtractor(),
        tokenizer,
        words=words[:NUM_WORDS],
        token_ids=[ids[:NUM_WORDS], ids[:NUM_TOKENS], ids[:NUM_TOKENS]],
    )


@pytest.fixture(scope="session")
def codec() -> LLMCodecModel:
    torch.manual_seed(0)
    return LLMCodecModel(tiny_config()).eval()


@pytest.fixture(scope="session")
def processor() -> LLMCodecProcessor:
    return tiny_processor()


@pytest.fixture(scope="session")
def codec_dir(codec, processor, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("codec")
    save_codec(codec, processor, folder)
    return folder


@pytest.fixture(scope="session")
def language_model() -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tiny_tokenizer()),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=1024,
    )
    return LlamaForCausalLM(config).eval()


@pytest.fixture(scope="session")
def language_model_dir(language_model, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("language_model")
    language_model.save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder
