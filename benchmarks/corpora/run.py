# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""
Seconds of audio per second of one core: a plain loop over files, `datasets.map`, and the tasks of `llm-codec tokenize`.

    python -m benchmarks.corpora --clips 100 --output_dir work

Clips of noise of 1 to 12 seconds, as FLAC at 16 kHz, each way in a process of its own, in turn, twice. Counted is the
time that the process has had a core (`time.process_time`), from the loaded model to the last row on disk, and its peak
memory above that of the loaded model.
"""

import argparse
import json
import multiprocessing
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch

from llm_codec_hf.audio_llm_codec import read_audio
from llm_codec_hf.corpus.configuration import TokenizeConfig
from llm_codec_hf.corpus.identity import identify
from llm_codec_hf.corpus.plan import make_plan
from llm_codec_hf.corpus.sources import make_source
from llm_codec_hf.corpus.steps import load, make_steps
from llm_codec_hf.corpus.store import Store
from llm_codec_hf.embedded import default_codec
from llm_codec_hf.files.markdown import markdown_table

from ..machine import describe
from ..meters import CpuMeter

RATE = 16000


def make_clips(folder: Path, count: int) -> float:
    """Writes clips; returns their seconds."""
    rng, seconds = np.random.default_rng(0), 0.0
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        samples = rng.uniform(-0.3, 0.3, size=int(RATE * rng.uniform(1, 12)))
        soundfile.write(folder / f"{number:05d}.flac", samples, RATE)
        seconds += len(samples) / RATE
    return seconds


@torch.no_grad()
def codes_of(model: Any, extractor: Any, path: str) -> np.ndarray:
    """What a user writes: the codes of a file."""
    samples, rate = read_audio(path)
    inputs = extractor(samples, rate, resample=True, channels="mean", return_tensors="pt")
    return model.encode(**inputs).audio_codes[0].T.numpy().astype(np.int32)


def loop(model: Any, extractor: Any, source: Path, output: Path) -> None:
    output.mkdir(parents=True)
    for path in sorted(source.iterdir()):
        np.save(output / path.stem, codes_of(model, extractor, str(path)))


def dataset_map(model: Any, extractor: Any, source: Path, output: Path) -> None:
    from datasets import Dataset

    rows = Dataset.from_dict({"path": [str(path) for path in sorted(source.iterdir())]})
    rows.map(
        lambda row: {"audio_codes": codes_of(model, extractor, row["path"])}, load_from_cache_file=False
    ).save_to_disk(output)


def tokenize(model: Any, extractor: Any, source: Path, output: Path, model_id: str) -> None:
    """All tasks of a run, one after the other, in this process."""
    config = TokenizeConfig(source=str(source), output_dir=str(output), model=model_id, device="cpu")
    identity, listed = identify(model, model_id), make_source(config)
    plan = make_plan(Store(config.output_dir), listed, {}, None, 1)
    for rank in range(len(plan.seconds)):
        documents = None
        for step in make_steps(config, identity, plan, listed, supervised=True):
            documents = step(documents, rank, len(plan.seconds))
        for _ in documents:
            pass


def measure(way: str, model_id: str, source: Path, output: Path, pipe: Any) -> None:
    torch.set_num_threads(1)
    model, extractor = load(model_id, "cpu")
    shutil.rmtree(output, ignore_errors=True)
    codes_of(model, extractor, str(next(source.iterdir())))
    meter = CpuMeter()
    meter.set_loaded()
    meter.start()
    before = time.process_time()
    if way == "loop":
        loop(model, extractor, source, output)
    elif way == "map":
        dataset_map(model, extractor, source, output)
    else:
        tokenize(model, extractor, source, output, model_id)
    pipe.send((time.process_time() - before, meter.peak() or 0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=100)
    parser.add_argument("--model", default=str(default_codec()))
    parser.add_argument("--output_dir", type=Path, required=True)
    args = parser.parse_args()
    audio = make_clips(args.output_dir / "clips", args.clips)
    context, best = multiprocessing.get_context("spawn"), {}
    for way in ("loop", "map", "tokenize") * 2:
        here, there = context.Pipe()
        work = (way, args.model, args.output_dir / "clips", args.output_dir / way, there)
        process = context.Process(target=measure, args=work)
        process.start()
        there.close()  # so that the end of the process is seen
        best[way] = min(best.get(way, (np.inf, 0)), here.recv())
        process.join()
    rows = [[way, f"{audio / seconds:.1f}", f"{peak / 2**20:.0f}"] for way, (seconds, peak) in best.items()]
    print(json.dumps(describe("cpu")))
    print(f"{args.clips} clips, {audio:.0f} s of audio; {Path(args.model).name}\n")
    print(markdown_table(["way", "seconds of audio per second of a core", "peak memory, MiB"], rows, left=1))
