# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Weights that are not those of the codec: loading warns, whoever answers with it refuses; both name the tensors."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel, pipeline

from llm_codec_hf.evaluation.building import make_systems
from llm_codec_hf.evaluation.configuration import EvaluationConfig
from llm_codec_hf.files.codec_folder import load_codec

NAME = "decoder.conv_out.weight"
CODEBOOK = "quantizer.layers.1.codebook"


def missing(state):
    del state[NAME]


def renamed(state):
    state["decoder.out_conv.weight"] = state.pop(NAME)


def not_a_number(state):
    state[NAME][0, 0, 0] = torch.nan


def infinite(state):
    state[CODEBOOK][0, 0] = torch.inf


def zeros(state):
    state[CODEBOOK][-3:] = 0


def other_lengths(state):
    state[CODEBOOK + "_inverse_norm"][7] *= 2


FAULTS = {
    missing: f"{NAME} was not in the file, and is random",
    renamed: "decoder.out_conv.weight is in the file, but the configuration has no place",
    not_a_number: f"{NAME} is not finite",
    infinite: f"{CODEBOOK} is not finite",
    zeros: f"{CODEBOOK} has entries of length 0",
    other_lengths: f"{CODEBOOK}_inverse_norm is not that of its codebook",
}


@pytest.fixture
def damaged(codec_dir, tmp_path):
    """A function that damages a copy of the codec."""

    def damage(change):
        folder = shutil.copytree(codec_dir, tmp_path / "codec")
        state = load_file(folder / "model.safetensors")
        change(state)
        save_file(state, folder / "model.safetensors", {"format": "pt"})
        return folder

    return damage


@pytest.mark.parametrize("change", FAULTS, ids=lambda change: change.__name__)
def test_damaged_weights(damaged, language_model, change):
    folder, told = damaged(change), FAULTS[change]
    with pytest.raises(ValueError, match=told):
        load_codec(folder)
    with pytest.raises(ValueError, match=told):
        pipeline("audio-fewshot", model=str(folder), language_model=language_model)
    with pytest.raises(ValueError, match=told):
        systems = {"model": str(folder), "language_model": "none", "device": "cpu"}
        make_systems(EvaluationConfig(tasks=["percussion"], output_dir="out", **systems))


def test_loading_warns(damaged, monkeypatch):
    warnings = []
    monkeypatch.setattr("llm_codec_hf.weights_llm_codec.logger.warning", warnings.append)
    model = AutoModel.from_pretrained(damaged(missing))
    assert len(warnings) == 1 and FAULTS[missing] in warnings[0]
    # what was missing comes later
    model.load_state_dict({NAME: torch.zeros_like(model.state_dict()[NAME])}, strict=False)
    model.check_weights()


def test_whole_weights_are_taken(codec_dir, damaged):
    for model in (load_codec(codec_dir), load_codec(codec_dir, dtype=torch.bfloat16)):
        model.check_weights()
    model, info = AutoModel.from_pretrained(codec_dir, output_loading_info=True)
    assert not info["missing_keys"]
    derived = damaged(lambda state: state.pop(CODEBOOK + "_inverse_norm"))
    load_codec(derived)  # it is made again, of the codebook


def test_files_that_are_cut(codec_dir, damaged):
    folder = damaged(lambda state: None)
    content = (folder / "model.safetensors").read_bytes()
    for part in (content[:-100], content[:100], b""):
        (folder / "model.safetensors").write_bytes(part)
        with pytest.raises(OSError, match="damaged or cut"):
            load_codec(folder)


def test_weights_of_another_configuration(damaged):
    folder = damaged(lambda state: None)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"codebook_sizes": [24, 32, 31]}))
    with pytest.raises(ValueError, match=r"layers.2.codebook has \(32, 64\), not \(31, 64\)"):
        AutoModel.from_pretrained(folder)
    (folder / "config.json").write_text(json.dumps(config | {"noise": False}))
    with pytest.raises(ValueError, match="no place for it"):
        load_codec(folder)
