# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""
A training corpus packed into a few audio files, for machines that take little input or read many files slowly.

    python -m llm_codec_hf.training.shards --audio_dir AUDIO --output_dir SHARDS [--format opus] [--max_megabytes 16]

A shard is a FLAC or OGG/Opus file of recordings one after another, which any player plays. (One file per
recording would cost 900 bytes of Opus headers each.) The index says what is where.
"""

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import soundfile as sf
import soxr
from transformers import HfArgumentParser
from transformers.utils.logging import tqdm

from ..files.atomic import whole_folder
from ..files.audio_files import inspect_audio
from .recordings import UNREADABLE, Recording, Skipped, add_skipped, list_folder, read_span

logger = logging.getLogger(__name__)

INDEX = "index.json"
SHARD_FORMATS = {"flac": ("FLAC", "PCM_16"), "opus": ("OGG", "OPUS")}
OPUS_RATES = (8000, 12000, 16000, 24000, 48000)


def pack(
    folder: str | Path,
    output_dir: str | Path,
    format: Literal["opus", "flac"] = "opus",
    max_bytes: int = 16 * 2**20,
    kilobits: float = 20.0,
    sampling_rate: int = 16000,
) -> Skipped:
    """
    Packs a folder of audio, with sources, names and texts, resampled and mixed where needed.

    Args:
        folder (`str` or `Path`): As `Clips.from_folder` takes it.
        output_dir (`str` or `Path`): Made whole or not at all; shards that are there are replaced.
        format (`str`): `"flac"`, 16 bits without loss, or `"opus"`.
        max_bytes (`int`): Of a shard, about: one ends before the recording that would make it longer. A recording that
            is longer alone has a shard of its own.
        kilobits (`float`): A second, of Opus, about: from 6 to 256.
        sampling_rate (`int`): Of the shards, in Hz.

    Returns:
        Name of what could not be read, and reason.

    Raises:
        ValueError: If arguments mean nothing, or no audio can be read.
        FileExistsError: If the output folder holds other things than shards.
    """
    folder, output_dir = Path(folder), Path(output_dir)
    if format not in SHARD_FORMATS:
        raise ValueError(f"`format` is one of {', '.join(SHARD_FORMATS)}; got {format!r}.")
    if format == "opus" and sampling_rate not in OPUS_RATES:
        raise ValueError(f"Opus has the rates {', '.join(map(str, OPUS_RATES))} Hz; got {sampling_rate}: take FLAC.")
    if not 6 <= kilobits <= 256 or max_bytes <= 0:
        raise ValueError(f"`kilobits` is from 6 to 256 and `max_bytes` above 0; got {kilobits} and {max_bytes}.")
    if output_dir.is_dir() and any(output_dir.iterdir()) and not (output_dir / INDEX).is_file():
        raise FileExistsError(f"{output_dir} holds other things than shards; name another folder.")
    sources, skipped = list_folder(folder)
    rows = []
    with (
        whole_folder(output_dir, overwrite=True) as temporary,
        tqdm(total=sum(map(len, sources.values())), desc="Packing", unit="file") as progress,
    ):
        writer = ShardWriter(temporary, format, max_bytes, kilobits, sampling_rate)
        for source, recordings in sources.items():
            for recording in recordings:
                progress.update()
                try:
                    audio = read_span(folder / recording.name, 0, recording.frames)
                except UNREADABLE as error:
                    add_skipped(skipped, recording.name, error)
                    continue
                if recording.rate != sampling_rate:
                    audio = soxr.resample(audio, recording.rate, sampling_rate)
                row = {"source": source, "name": recording.name, "text": recording.text, "frames": len(audio)}
                rows.append(row | writer.write(audio))
        writer.close()
        if not rows:
            raise ValueError(f"Found no audio that can be read in {folder}; {len(skipped)} cannot: {skipped[:3]}")
        index = {"sampling_rate": sampling_rate, "recordings": rows}
        (temporary / INDEX).write_text(json.dumps(index, ensure_ascii=False, separators=(",", ":")), encoding="utf-8")
    if skipped:
        logger.warning("Left out %d that cannot be read, such as %s.", len(skipped), skipped[:3])
    return skipped


class ShardWriter:
    """Writes recordings one after another into files of a bounded size."""

    def __init__(self, folder: Path, format: str, max_bytes: int, kilobits: float, sampling_rate: int):
        self.folder, self.format, self.max_bytes, self.sampling_rate = folder, format, max_bytes, sampling_rate
        # how libsndfile takes a bit rate
        self.options = {"compression_level": (256 - kilobits) / 250} if format == "opus" else {}
        # FLAC's bound; Opus takes more than its bit rate where it needs it
        self.bytes_per_sample = 1.5 * 125 * kilobits / sampling_rate if format == "opus" else 2.01
        self.count, self.frames, self.path, self.file = 0, 0, None, None

    def write(self, audio: np.ndarray) -> dict:
        """
        Adds a recording.

        Args:
            audio: `(samples,)`, float32.

        Returns:
            Where it is: `shard`, the name of the file, and `start`, its first frame.
        """
        if self.file is not None and self.path.stat().st_size + self.bytes_per_sample * len(audio) > self.max_bytes:
            self.close()
        if self.file is None:
            container, subtype = SHARD_FORMATS[self.format]
            self.path = self.folder / f"shard-{self.count:05d}.{self.format}"
            self.file = sf.SoundFile(
                self.path, "w", self.sampling_rate, 1, subtype=subtype, format=container, **self.options
            )
            self.count, self.frames = self.count + 1, 0
        # libsndfile would scale by 32767 what it reads as 1/32768
        self.file.write(np.clip(np.rint(audio * 32768), -32768, 32767).astype(np.int16))
        start, self.frames = self.frames, self.frames + len(audio)
        return {"shard": self.path.name, "start": start}

    def close(self) -> None:
        if self.file is not None:
            self.file.close()
        self.file = None


def read_index(folder: str | Path) -> dict[str, list[Recording]]:
    """
    The recordings of each source, in the order in which they were packed.

    Raises:
        ValueError: If the index is damaged, or shards are missing or shorter than it says.
    """
    path = Path(folder) / INDEX
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
        sources: dict[str, list[Recording]] = {}
        ends: dict[str, int] = {}
        for row in index["recordings"]:
            recording = Recording(
                row["name"], row["frames"], index["sampling_rate"], row["text"], row["start"], row["shard"]
            )
            sources.setdefault(row["source"], []).append(recording)
            ends[row["shard"]] = row["start"] + row["frames"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is no index of shards ({error!r}); pack them again.") from error
    for shard, frames in ends.items():
        try:
            found = inspect_audio(path.with_name(shard)).frames
        except UNREADABLE as error:
            raise ValueError(
                f"Shard {path.with_name(shard)} cannot be read ({error}); pack or copy it again."
            ) from error
        if found != frames:
            raise ValueError(f"Shard {path.with_name(shard)} has {found} frames and not {frames}; copy it again.")
    return sources


@dataclass
class PackArguments:
    """What to pack, and how."""

    audio_dir: str
    output_dir: str
    format: Literal["opus", "flac"] = "opus"
    max_megabytes: float = 16.0
    kilobits: float = 20.0
    sampling_rate: int = 16000


def main() -> None:
    args = HfArgumentParser(PackArguments, description="Pack a folder of audio.").parse_args_into_dataclasses()[0]
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    pack(
        args.audio_dir,
        args.output_dir,
        args.format,
        round(args.max_megabytes * 2**20),
        args.kilobits,
        args.sampling_rate,
    )
    sources = read_index(args.output_dir)
    size = sum(path.stat().st_size for path in Path(args.output_dir).iterdir())
    seconds = sum(recording.frames / recording.rate for source in sources.values() for recording in source)
    logger.info(
        "%d sources, %.2f h, %.1f MB, %.1f MB/h", len(sources), seconds / 3600, size / 1e6, size / seconds * 3.6e-3
    )


if __name__ == "__main__":
    main()
