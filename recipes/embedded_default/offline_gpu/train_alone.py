# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""
`llm-codec train` without evaluation, on a machine that lacks its packages: python train_alone.py RUN.yaml [options]

Opus shards are decoded first, as a training reads them many times.
"""

import json
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from types import ModuleType

import soundfile as sf


def decode(paths: tuple[Path, Path]) -> None:
    """One shard, as 16-bit WAV."""
    samples, rate = sf.read(paths[0], dtype="int16")
    sf.write(paths[1], samples, rate, subtype="PCM_16")


def decode_shards(folder: Path, output_dir: Path) -> None:
    """All shards of a folder, and their index."""
    output_dir.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor() as pool:
        list(pool.map(decode, [(path, output_dir / f"{path.stem}.wav") for path in sorted(folder.glob("*.opus"))]))
    index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    for row in index["recordings"]:
        row["shard"] = row["shard"].replace(".opus", ".wav")
    (output_dir / "index.json").write_text(json.dumps(index), encoding="utf-8")


def main() -> None:
    """Decode, and train."""
    place = sys.argv.index("--data") + 1
    decoded = Path(sys.argv[sys.argv.index("--output_dir") + 1]) / "audio"
    if not (decoded / "index.json").is_file():
        decode_shards(Path(sys.argv[place]), decoded)
    sys.argv[place] = str(decoded)
    for name in ("datasets", "evaluate"):  # what only evaluation and datasets of the Hub need
        sys.modules.setdefault(name, ModuleType(name)).__spec__ = __spec__ or object()
    from llm_codec_cli import main as llm_codec
    from llm_codec_hf.training.trainer import CodecTrainer

    CodecTrainer.evaluate = lambda self: None
    llm_codec(["train", *sys.argv[1:]])


if __name__ == "__main__":
    main()
