# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""However a codec is saved, all of it loads without this package; what a folder lacks is named."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import tiny_config
from hub_stand_in import HubStandIn
from transformers import AutoConfig, AutoModel, AutoProcessor, pipeline

import llm_codec_hf
from llm_codec_hf import save_codec
from llm_codec_hf.embedded import default_codec

ROOT = Path(llm_codec_hf.__file__).parent
CODE = {path.name: path.read_bytes() for path in ROOT.glob("*.py") if path.stem != "__init__"}
TASK = {"audio-fewshot": {"impl": "pipeline_audio_fewshot.AudioFewShotPipeline", "pt": ["AutoModel"], "type": "audio"}}

PUSH = """
import sys
import llm_codec_hf
from transformers import AutoModel, AutoProcessor
codec, processor = AutoModel.from_pretrained(sys.argv[1]), AutoProcessor.from_pretrained(sys.argv[1])
codec.push_to_hub("user/pushed")
processor.push_to_hub("user/pushed")
processor.push_to_hub("user/pushed_in_turn")
codec.push_to_hub("user/pushed_in_turn")
"""

LOAD = """
import sys
sys.modules["llm_codec_hf"] = None  # not importable, whatever is installed
import numpy as np, torch
from transformers import AutoModel, AutoProcessor, LlamaConfig, LlamaForCausalLM, pipeline

kwargs = {"trust_remote_code": True}
torch.manual_seed(0)
size = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
language_model = LlamaForCausalLM(LlamaConfig(vocab_size=49152, **size))
audio = (0.1 * np.random.default_rng(0).standard_normal(9000)).astype(np.float32)

def ask(folder):
    pipe = pipeline("audio-fewshot", model=folder, language_model=language_model, **kwargs)
    assert type(pipe).__module__.startswith("transformers_modules"), type(pipe)
    return pipe(audio, examples=[(audio[:4000], "low"), (audio[4000:], "high")])

answers = {folder: ask(folder) for folder in sys.argv[1:]}
# what was loaded so, and is saved part by part, loads again
first = sys.argv[1]
AutoProcessor.from_pretrained(first, **kwargs).save_pretrained("again")
AutoModel.from_pretrained(first, **kwargs).save_pretrained("again")
assert ask("again") == answers[first]
assert not [name for name in sys.modules if name.startswith("llm_codec_hf.")]
alike = [answer for folder, answer in answers.items() if "embedded" not in folder]
assert all(answer == alike[0] for answer in alike), answers
"""


def run(script, *arguments, environment, cwd):
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    variables |= {"HF_HOME": str(cwd / "cache"), "HF_HUB_DISABLE_PROGRESS_BARS": "1", **environment}
    command = [sys.executable, "-c", script, *map(str, arguments)]
    result = subprocess.run(command, env=variables, cwd=cwd, capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, result.stderr


@pytest.mark.e2e
def test_saved_in_any_way_it_loads_without_the_package(codec, codec_dir, processor, tmp_path):
    loaded, words = AutoModel.from_pretrained(codec_dir), AutoProcessor.from_pretrained(codec_dir)
    loaded.save_pretrained(tmp_path / "model_first")
    words.save_pretrained(tmp_path / "model_first")
    words.save_pretrained(tmp_path / "processor_first")
    loaded.save_pretrained(tmp_path / "processor_first")
    codec.save_pretrained(tmp_path / "made_here")
    processor.save_pretrained(tmp_path / "made_here")
    shutil.copytree(default_codec(), tmp_path / "embedded")
    folders = ["model_first", "processor_first", "made_here", "embedded"]
    with HubStandIn() as hub:
        environment = hub.environment(tmp_path / "cache")
        run(PUSH, codec_dir, environment={**environment, "PYTHONPATH": str(ROOT.parent)}, cwd=tmp_path)
        folders += ["user/pushed", "user/pushed_in_turn"]
        run(LOAD, *folders, environment=environment, cwd=tmp_path)


def test_every_saved_config_names_its_code_and_has_it_beside(codec_dir, tmp_path):
    loaded = AutoModel.from_pretrained(codec_dir)
    assert not getattr(loaded.config, "custom_pipelines", None)  # else `pipeline` would ask to trust code
    loaded.save_pretrained(tmp_path / "once")
    AutoModel.from_pretrained(tmp_path / "once").save_pretrained(tmp_path / "twice")
    loaded.config.save_pretrained(tmp_path / "config")
    for folder in ("once", "twice", "config"):
        content = json.loads((tmp_path / folder / "config.json").read_text())
        assert content["custom_pipelines"] == TASK
        assert set(content["auto_map"]) == {"AutoConfig", "AutoModel", "AutoModelForAudioTokenization"}
        found = {path.name: path.read_bytes() for path in (tmp_path / folder).glob("*.py")}
        assert {"configuration_llm_codec.py", "pipeline_audio_fewshot.py"} <= set(found)
        if folder == "config":
            continue
        AutoProcessor.from_pretrained(codec_dir).save_pretrained(tmp_path / folder)
        assert found.items() <= CODE.items()
        assert {path.name: path.read_bytes() for path in (tmp_path / folder).glob("*.py")} == CODE


def test_the_code_beside_the_embedded_weights_is_the_packages():
    """`recipes/embedded_default/package_codec.py` links to it."""
    assert {path.name: path.read_bytes() for path in default_codec().glob("*.py")} == CODE
    config, processor = (
        json.loads((default_codec() / name).read_text()) for name in ("config.json", "processor_config.json")
    )
    assert config["custom_pipelines"] == TASK
    assert config["auto_map"] == AutoConfig.from_pretrained(default_codec()).to_dict()["auto_map"]
    assert processor["auto_map"] == {"AutoProcessor": "processing_llm_codec.LLMCodecProcessor"}
    assert "AutoFeatureExtractor" in processor["feature_extractor"]["auto_map"]


@pytest.mark.parametrize(
    "part", ["config.json", "model.safetensors", "processor_config.json", "audio_words.json", "tokenizer.json"]
)
def test_a_folder_that_lacks_a_part_says_which(codec, processor, language_model, tmp_path, part):
    save_codec(codec, processor, tmp_path)
    (tmp_path / part).unlink()
    with pytest.raises((OSError, ValueError), match=part.partition(".")[0].replace("_", "[_ ]")):
        pipeline("audio-fewshot", model=str(tmp_path), language_model=language_model)


def test_subclasses_keep_their_own_code():
    """A class of somebody else's is not replaced by ours."""
    other = "user/name--configuration_llm_codec.LLMCodecConfig"
    config = tiny_config(auto_map={"AutoModel": "my_code.MyCodec", "AutoConfig": other})
    assert config.to_dict()["auto_map"] == {
        "AutoConfig": "configuration_llm_codec.LLMCodecConfig",
        "AutoModel": "my_code.MyCodec",
        "AutoModelForAudioTokenization": "modeling_llm_codec.LLMCodecModel",
    }
