# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""
A corpus of good and bad files, and runs of `llm-codec tokenize` on it that are killed at random.

    PYTHONPATH=.:tests python tests/corpus_kills.py --folder work --model CODEC --clips 2000 --kills 100
"""

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import soundfile
from pyarrow import parquet

from llm_codec_hf import LLMCodecFeatureExtractor, LLMCodecModel
from llm_codec_hf.audio_llm_codec import read_audio
from llm_codec_hf.corpus.reading import row_to_codes

FORMATS = [("wav", 16000), ("flac", 22050), ("ogg", 8000), ("mp3", 16000), ("wav", 48000)]


def make_corpus(folder: Path, clips: int, bad: int, seconds: float = 1.0) -> set[str]:
    """Writes clips of mixed formats, rates, channels and lengths, some of them bad in eight ways; names these."""
    rng, names = np.random.default_rng(0), set()
    for number in range(clips):
        suffix, rate = FORMATS[number % len(FORMATS)]
        length, channels = int(rate * seconds * rng.uniform(0.05, 1.0)), 1 + number % 2
        samples = rng.normal(size=(length, channels)).cumsum(axis=0)
        path = folder / f"{number % 7}" / f"{number:05d}.{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, samples / np.abs(samples).max() / 2, rate)
        if number % max(1, clips // bad) == 0 and len(names) < bad:
            names.add(_spoil(path, len(names) % 8).relative_to(folder).as_posix())
    return names


def _spoil(path: Path, way: int) -> Path:
    content = path.read_bytes()
    path.unlink()
    path = path.with_suffix((".wav", ".flac", ".wav", ".wav", ".wav", ".wav", ".wav", ".mp3")[way])
    if way == 0:
        path.write_bytes(b"This is no audio.")
    elif way == 1:
        path.write_bytes(b"")
    elif way == 2:
        soundfile.write(path, np.full(4000, np.nan, np.float32), 16000, "FLOAT")
    elif way == 3:
        soundfile.write(path, np.arange(4000, dtype=np.float32), 16000, "FLOAT")  # integers as floats
    elif way == 4:
        soundfile.write(path, np.array([[0.5, -0.5]] * 4000), 16000)  # channels that cancel
    elif way == 5:
        soundfile.write(path, np.zeros((4000, 1)), 16000)
        path.write_bytes(path.read_bytes()[:1000])  # cut
    elif way == 6:
        path.symlink_to("nowhere.wav")
    else:
        path.write_bytes(content[:3] + bytes(300))
    return path


def descendants(pid: int) -> list[int]:
    """The processes that a process has started, and those that they have."""
    parents = {}
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit():
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    found, waiting = [], [pid]
    while waiting:
        parent = waiting.pop()
        children = [child for child, its in parents.items() if its == parent]
        found += children
        waiting += children
    return found


def check_readable(folder: Path) -> dict[str, dict]:
    """All rows and errors that are there by their ids, which must come once; raises for a file that cannot be read."""
    rows = {}
    for path in (folder / "data").glob("[!.]*"):
        for row in parquet.read_table(path).to_pylist():
            assert row["id"] not in rows, row["id"]
            rows[row["id"]] = row
    for path in (folder / "errors").glob("[!.]*"):
        for row in map(json.loads, path.read_text(encoding="utf-8").splitlines()):
            assert row["id"] not in rows, row["id"]
            rows[row["id"]] = row
    return rows


def run_with_kills(
    command: list[str], output_dir: Path, kills: int, wait: float, log: Path, rng: random.Random
) -> dict[str, int]:
    """
    Runs a command again and again, killed at random, it or its workers, until it ends by itself.

    Args:
        command: The command.
        output_dir: What it writes, which must be readable at every kill.
        kills: How many, at most.
        wait: Seconds before a kill, at most.
        log: What the command says.
        rng: Draws times and processes.

    Returns:
        How many processes of each kind were killed, and how often the command was started.
    """
    killed = {"workers": 0, "parents": 0, "runs": 0}
    while True:
        with open(log, "ab") as told:
            process = subprocess.Popen(command, stdout=told, stderr=told, start_new_session=True)
        killed["runs"] += 1
        since = time.time()
        while process.poll() is None and killed["workers"] + killed["parents"] < kills:
            _wait_for_work(process, output_dir, since)
            time.sleep(rng.uniform(0, wait))
            check_readable(output_dir)
            workers = descendants(process.pid)
            kind = "workers" if workers and rng.random() < 0.85 else "parents"
            try:
                os.kill(rng.choice(workers) if kind == "workers" else process.pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            if kind == "workers" or process.wait() == -signal.SIGKILL:
                killed[kind] += 1
                with open(log, "a") as told:
                    told.write(f"killed: {killed}\n")
        if (status := process.wait()) != -signal.SIGKILL:
            assert status in (0, 1), log.read_text(errors="replace")[-3000:]
            return killed


def _wait_for_work(process: subprocess.Popen, output_dir: Path, since: float) -> None:
    """Waits until a task has written what it works on, or the process has ended."""
    while process.poll() is None:
        for path in (output_dir / ".tokenize" / "flight").glob("*.now.json"):
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime > since:
                    return
        time.sleep(0.02)


def check_corpus(source: Path, output_dir: Path, bad: set[str], model: Path) -> int:
    """Checks that every good file has the row that `encode` gives for it alone, and every bad one an error."""
    rows = check_readable(output_dir)
    names = {path.relative_to(source).as_posix() for path in source.rglob("*.*")}
    assert set(rows) == names, (len(rows), len(names))
    assert {name for name, row in rows.items() if "error" in row} == bad
    codec, extractor = LLMCodecModel.from_pretrained(model).eval(), LLMCodecFeatureExtractor.from_pretrained(model)
    for name in names - bad:
        samples, rate = read_audio(source / name)
        inputs = extractor(samples, rate, resample=True, channels="mean", return_tensors="pt")
        codes = codec.encode(**inputs).audio_codes[0]
        assert row_to_codes(rows[name], codec.config.codes_per_group).equal(codes), name
    return len(names - bad)


def tokenize_command(source: Path, output_dir: Path, model: Path, workers: int, task_seconds: float) -> list[str]:
    command = [sys.executable, "-m", "llm_codec_cli", "tokenize", str(source), "--output_dir", str(output_dir)]
    command += ["--model", str(model), "--device", "cpu", "--workers", str(workers), "--batch_seconds", "4"]
    return [*command, "--task_seconds", str(task_seconds)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--clips", type=int, default=2000)
    parser.add_argument("--bad", type=int, default=40)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--task_seconds", type=float, default=20.0)
    parser.add_argument("--wait", type=float, default=2.0)
    args = parser.parse_args()
    bad = make_corpus(args.folder / "source", args.clips, args.bad)
    command = tokenize_command(
        args.folder / "source", args.folder / "codes", args.model, args.workers, args.task_seconds
    )
    started, total, rng, runs = time.monotonic(), Counter(), random.Random(0), 0
    while not runs or total["workers"] + total["parents"] < args.kills:  # a run may end before all kills
        shutil.rmtree(args.folder / "codes", ignore_errors=True)
        left = args.kills - total["workers"] - total["parents"]
        total.update(run_with_kills(command, args.folder / "codes", left, args.wait, args.folder / "log.txt", rng))
        good, runs = check_corpus(args.folder / "source", args.folder / "codes", bad, args.model), runs + 1
        seconds = round(time.monotonic() - started)
        print(json.dumps({"corpora": runs, **total, "good": good, "bad": len(bad), "seconds": seconds}), flush=True)


if __name__ == "__main__":
    main()
