# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""The Space: the wheel that is built for it starts in an environment of its own, as Hugging Face starts it."""

import json
import re
import shutil
import subprocess
import sys
import sysconfig
import time
import urllib.error
import urllib.request
from importlib.util import find_spec

import pytest
import yaml
from conftest import ROOT
from driving import free_port

pytest.importorskip("gradio", reason="the extra `app` is not installed")

SPACE = ROOT / "space"
DOCKERFILE = (SPACE / "Dockerfile").read_text(encoding="utf-8")


def test_the_card_names_the_port_that_the_image_serves():
    head = yaml.safe_load((SPACE / "README.md").read_text(encoding="utf-8").split("---")[1])
    command = json.loads(re.search(r"^CMD (.*)$", DOCKERFILE, re.MULTILINE)[1])
    assert head["sdk"] == "docker"
    assert command[command.index("--port") + 1] == str(head["app_port"])
    assert f"EXPOSE {head['app_port']}\n" in DOCKERFILE
    assert command[command.index("--host") + 1] == "0.0.0.0"


@pytest.mark.slow
@pytest.mark.e2e
@pytest.mark.skipif(find_spec("setuptools") is None, reason="setuptools, which builds the wheel, is not installed")
def test_the_wheel_starts_in_a_clean_environment(tmp_path):
    clone = tmp_path / "clone"
    for name in ("llm_codec_hf", "llm_codec_cli", "space"):
        shutil.copytree(ROOT / name, clone / name, ignore=shutil.ignore_patterns("__pycache__", "wheels"))
    for name in ("pyproject.toml", "setup.cfg", "README.md", "LICENSE", "constraints.txt"):
        shutil.copy(ROOT / name, clone)
    built = ["space/build", "--no-isolation", "--skip-dependency-check"]
    wheel = subprocess.run(built, cwd=clone, check=True, capture_output=True, text=True).stdout.strip()

    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    (packages,) = environment.glob("lib/python*/site-packages")
    # what the wheel needs is borrowed from here, as tests have no network; the wheel itself comes before it
    (packages / "borrowed.pth").write_text(f"{sysconfig.get_paths()['purelib']}\n")
    install = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--no-deps",
        "--no-index",
        "--ignore-installed",
        "--prefix",
        environment,
    ]
    subprocess.run([*install, clone / "space" / wheel], check=True, capture_output=True)

    port, home = free_port(), tmp_path / "home"
    home.mkdir()
    command = json.loads(re.search(r"^CMD (.*)$", DOCKERFILE, re.MULTILINE)[1])
    command[0], command[command.index("--port") + 1] = environment / "bin" / command[0], str(port)
    variables = {"PATH": f"{environment / 'bin'}:/usr/bin:/bin", "HOME": str(home), "HF_HUB_OFFLINE": "1"}
    variables |= {"SYSTEM": "spaces", "SPACE_ID": "user/space", "SPACE_HOST": "user-space.hf.space"}
    with open(tmp_path / "log.txt", "w") as log:
        process = subprocess.Popen(command, cwd=home, env=variables, stdout=log, stderr=log)
    try:
        page = _page(f"http://127.0.0.1:{port}/", process)
        assert "LLM-Codec: audio in words of a language model" in page, (tmp_path / "log.txt").read_text()
    finally:
        process.kill()
        process.wait()


def _page(address: str, process: subprocess.Popen) -> str:
    """The page, once it is there; an empty text if the process ends before."""
    until = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < until:
        try:
            return urllib.request.urlopen(address).read().decode()
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.5)
    return ""
