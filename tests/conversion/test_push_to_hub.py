# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""
Conversion straight to the Hub, and loading what was pushed, against a stand-in on loopback (`hub_stand_in.py`). This
tests our use of the client, not the Hub.
"""

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request

import pytest
from conftest import ROOT
from hub_stand_in import HubStandIn
from original_checkpoints import GOLDEN, command_line, conversion_inputs
from safetensors.torch import load_file

REPO = "user/llm-codec-tiny"

# Runs the model card's first example where the package is not imported: its code comes from the repository.
_LOAD = """
import json, sys
from huggingface_hub import hf_hub_download
from safetensors.torch import load_file

repo, golden = sys.argv[1:]
audio = load_file(golden)["n16000.input_values"].numpy()
card = open(hf_hub_download(repo, "README.md"), encoding="utf-8").read()
exec(card.split("```python")[1].split("```")[0])
codes = audio_codes[0]
print(json.dumps({
    "layers": [layer[0].tolist() for layer in codec.split_layers(audio_codes)],
    "words": processor.words,
    "ids": processor.ids_to_codes(processor.codes_to_ids(codes)).tolist() == codes.tolist(),
    "package": "llm_codec_hf" in sys.modules,
}))
"""

_PUSH = """
import sys
from llm_codec_hf.conversion.convert import push

for folder in sys.argv[2:]:
    push(folder, sys.argv[1])
"""


@pytest.fixture(scope="module")
def hub():
    with HubStandIn() as hub:
        yield hub


def run(arguments, hub, home, cwd):
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {**hub.environment(home), "HF_HUB_DISABLE_PROGRESS_BARS": "1", "OMP_NUM_THREADS": "1"}
    result = subprocess.run([sys.executable, *arguments], env=environment, cwd=cwd, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result


@pytest.mark.e2e
def test_push_and_load(hub, tmp_path):
    inputs = conversion_inputs("tiny", tmp_path)
    arguments = ["-m", "conversion.convert_original_checkpoint", *command_line(inputs), "--push_to_hub", REPO]
    result = run(arguments, hub, tmp_path / "home", ROOT)
    assert f"Pushed {hub.url}/{REPO}/commit/" in result.stderr

    written = {path.name: path.read_bytes() for path in inputs["output_dir"].iterdir()}
    pushed = hub.files(REPO)
    assert {name: pushed[name] for name in written} == written
    assert f'model_id = "{REPO}"' in pushed["README.md"].decode()
    assert "POST /api/validate-yaml" in hub.requests

    golden = GOLDEN / "tiny.safetensors"
    result = run(["-c", _LOAD, REPO, str(golden)], hub, tmp_path / "other_home", tmp_path)
    loaded = json.loads(result.stdout.splitlines()[-1])
    expected = load_file(golden)
    assert loaded["layers"] == [expected[f"n16000.codes.{k}"].tolist() for k in range(3)]
    assert loaded["words"] == json.loads(written["audio_words.json"])["words"]
    assert loaded["ids"]
    assert not loaded["package"]
    assert f"GET /{REPO}/resolve/" in " ".join(hub.requests)


@pytest.mark.e2e
def test_push_again(hub, tmp_path):
    """To a repository that exists, whose other files stay."""
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.safetensors").write_text(name)
        (tmp_path / name / "config.json").write_text(name)
    run(["-c", _PUSH, "user/twice", str(tmp_path / "first"), str(tmp_path / "second")], hub, tmp_path / "home", ROOT)
    files = hub.files("user/twice")
    assert files["first.safetensors"] == b"first"
    assert files["second.safetensors"] == files["config.json"] == b"second"


def test_damaged_objects_are_refused(hub):
    """The stand-in's own check, on which the tests above rely."""
    request = urllib.request.Request(f"{hub.url}/lfs/{'0' * 64}", data=b"damaged", method="PUT")
    with pytest.raises(urllib.error.HTTPError, match="400"):
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request)
