# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""
Processes for tests: Python's fork server has the libraries loaded, so that a process starts in a moment.

What is read from the environment at the start of Python or of a library (`PYTHONHASHSEED`, `HF_HOME`, ...) is that of
the tests: where it matters, a test starts Python itself.
"""

import multiprocessing
import os
import runpy
import subprocess
import sys
from collections.abc import Mapping
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from pathlib import Path
from unittest.mock import patch

HERE = Path(__file__).parent

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["preloaded"])


def serve() -> None:
    """Starts the fork server, if it does not run yet; processes of the context `FORKS` come from it."""
    # it ignores what it cannot import, and does not know what pytest adds to `sys.path`
    with patch.dict(os.environ, PYTHONPATH=os.pathsep.join([str(HERE.parent), str(HERE)])):
        forkserver.ensure_running()


def start(
    module: str,
    *arguments: str,
    stdout: str | Path = os.devnull,
    stderr: str | Path = os.devnull,
    cwd: str | Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> BaseProcess:
    """
    Starts `python -m module`.

    Args:
        module: The module.
        arguments: What it finds in `sys.argv`.
        stdout: The file that it writes to.
        stderr: Likewise.
        cwd: Its working directory; by default that of the tests.
        environment: Variables besides those of the tests.

    Returns:
        The process: `kill()` sends SIGKILL, `join()` waits, then `exitcode` is there.
    """
    variables = {**os.environ, **(environment or {})}
    where = str(cwd or Path.cwd())
    process = FORKS.Process(target=_run, args=(module, arguments, where, variables, str(stdout), str(stderr)))
    serve()
    process.start()
    return process


def run(module: str, *arguments: str, tmp_path: Path, **kwargs) -> subprocess.CompletedProcess[str]:
    """Runs `python -m module` to its end; `tmp_path` is a folder for what it writes. For the rest see `start`."""
    stdout, stderr = tmp_path / "stdout.txt", tmp_path / "stderr.txt"
    process = start(module, *arguments, stdout=stdout, stderr=stderr, **kwargs)
    process.join()
    return subprocess.CompletedProcess([module, *arguments], process.exitcode, stdout.read_text(), stderr.read_text())


def _run(module, arguments, cwd, variables, stdout, stderr) -> None:
    os.environ.clear()
    os.environ.update(variables)
    os.chdir(cwd)
    for path, stream in ((stdout, sys.stdout), (stderr, sys.stderr)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream.fileno())
    sys.argv = [module, *arguments]
    sys.modules.pop(module, None)  # it runs anew, as `__main__`
    runpy.run_module(module, run_name="__main__", alter_sys=True)
