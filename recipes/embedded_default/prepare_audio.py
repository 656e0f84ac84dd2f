# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Rebuild the audio data of the embedded default codec from Debian 12 packages.

Every clip comes from a package of Debian 12 (bookworm), so the data can be rebuilt on any such machine with `apt-get`
and without an account anywhere. The program downloads and unpacks the packages, decodes every clip to 16 kHz mono
16-bit FLAC and records where each clip came from:

    DIR/train/<package>/<flattened path>.flac      clips the codec may be trained on
    DIR/heldout/<package>/<flattened path>.flac    clips used for evaluation only, never for training
    DIR/manifest.jsonl                             one line a clip: path, split, seconds, license, attribution, text...
    DIR/skipped.jsonl                              one line a file that was left out, with the reason
    DIR/packages/                                  the downloaded packages
    DIR/unpacked/<package>/                        their content

Usage:

    python recipes/embedded_default/prepare_audio.py --output_dir DIR [--packages_dir DIR_WITH_DEBS] [--split train]

It needs `apt-get`, `dpkg-deb` and `ffmpeg` on the path and this package and tqdm in Python. A second run
keeps what is already there. `sources.toml` next to this file lists the sources; SOURCES.md says what was
left out and why.
"""

import argparse
import json
import logging
import multiprocessing
import re
import subprocess
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr
from clip_texts import TEXT_READERS
from debian_packages import fetch_package, package_version, unpack
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from llm_codec_hf.files.atomic import whole_file, write_whole

logger = logging.getLogger(__name__)

SAMPLE_RATE = 16_000
MIN_SECONDS = 0.1
SILENCE_PEAK = 1e-3  # a clip that never exceeds this (-60 dBFS) holds nothing to learn from
AUDIO_SUFFIXES = frozenset({".aiff", ".flac", ".g722", ".ogg", ".wav"})


@dataclass(frozen=True)
class Source:
    """Clips of one package that share a license.

    Attributes:
        package: Debian package that holds the clips; also the name of the output folder.
        split: "train" or "heldout".
        root: Folder inside the package that paths are taken relative to.
        license: License of the clips, as an SPDX identifier where one exists.
        attribution: Copyright holders to be named.
        pattern: Glob below `root`; only files with a suffix of `AUDIO_SUFFIXES` count.
        language: Language spoken in the clips, if there is one.
        text: Name of the reader in `TEXT_READERS` that knows what is said, or played, in the clips, if any.
        text_package: Package with the texts where it is not `package`.
        optional: Whether the source is left out unless it is asked for.
    """

    package: str
    split: str
    root: str
    license: str
    attribution: str
    pattern: str = "**/*"
    language: str | None = None
    text: str | None = None
    text_package: str | None = None
    optional: bool = False


SOURCES = tuple(
    Source(**fields)
    for fields in tomllib.loads(Path(__file__).with_name("sources.toml").read_text(encoding="utf-8"))["source"]
)


@dataclass(frozen=True)
class Clip:
    """One file to decode."""

    source: Source
    version: str
    original: Path
    relative: str
    output: Path
    text: str | None


def main() -> None:
    """Download, unpack and decode the selected sources and write the manifest."""
    args = parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    output_dir = args.output_dir.resolve()
    sources = [source for source in SOURCES if is_selected(source, args)]

    packages = {source.package for source in sources}
    versions, roots = {}, {}
    for package in sorted(packages | {source.text_package for source in sources if source.text_package}):
        archive = fetch_package(package, args.packages_dir, output_dir / "packages")
        versions[package] = package_version(archive)
        roots[package] = unpack(archive, output_dir / "unpacked" / package)

    clips = [clip for source in sources for clip in find_clips(source, versions[source.package], roots, output_dir)]
    check_names(clips)
    with logging_redirect_tqdm():
        done, skipped = decode_all(clips, output_dir, args.workers)

    update_jsonl(output_dir / "manifest.jsonl", done, packages)
    update_jsonl(output_dir / "skipped.jsonl", skipped, packages)
    log_summary(done, skipped)


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output_dir", type=Path, required=True, help="where the clips and the manifest go")
    parser.add_argument("--packages_dir", type=Path, help="folder of .deb files that need not be downloaded again")
    parser.add_argument("--split", choices=["train", "heldout"], help="prepare this split alone")
    parser.add_argument(
        "--packages", nargs="+", metavar="NAME", choices=sorted({source.package for source in SOURCES}),
        help="prepare these packages alone, optional ones included",
    )  # fmt: skip
    parser.add_argument("--workers", type=int, default=2, help="decoding processes (default: %(default)s)")
    return parser.parse_args()


def is_selected(source: Source, args: argparse.Namespace) -> bool:
    """Tell whether the command line asks for a source."""
    if args.split and source.split != args.split:
        return False
    return source.package in args.packages if args.packages else not source.optional


def find_clips(source: Source, version: str, roots: dict[str, Path], output_dir: Path) -> Iterator[Clip]:
    """List the audio files of a source.

    Args:
        source: The source.
        version: Version of its package.
        roots: Folder of each unpacked package.
        output_dir: Folder of the prepared data.

    Yields:
        One clip a file, in the order of the paths.
    """
    root = roots[source.package] / source.root
    if not root.is_dir():
        raise FileNotFoundError(f"{source.package} {version} has no folder {source.root}: has the package changed?")
    texts = TEXT_READERS[source.text](roots[source.text_package or source.package], root) if source.text else None
    folder = output_dir / source.split / source.package
    for original in sorted(root.glob(source.pattern)):
        if original.suffix.lower() not in AUDIO_SUFFIXES or not original.is_file():
            continue
        relative = original.relative_to(root)
        name = re.sub(r"[^\w.+-]", "_", "__".join(relative.with_suffix("").parts))
        text = (texts(relative) or None) if texts else None
        yield Clip(source, version, original, relative.as_posix(), folder / f"{name}.flac", text)


def check_names(clips: list[Clip]) -> None:
    """Make sure that no two clips would be written to the same file."""
    repeated = [str(path) for path, count in Counter(clip.output for clip in clips).items() if count > 1]
    if repeated:
        raise ValueError(f"Several clips flatten to the same name: {repeated}")


def decode_all(clips: list[Clip], output_dir: Path, workers: int) -> tuple[list[dict], list[dict]]:
    """Decode clips in a few processes.

    Args:
        clips: What to decode.
        output_dir: Folder that the manifest's paths are relative to.
        workers: Number of processes.

    Returns:
        The manifest's rows and the rows of the files left out.
    """
    for folder in {clip.output.parent for clip in clips}:
        folder.mkdir(parents=True, exist_ok=True)
    done, skipped = [], []
    with multiprocessing.Pool(workers) as pool:
        results = pool.imap(prepare_clip, clips, chunksize=8)
        for clip, (seconds, source_rate, reason) in tqdm(
            zip(clips, results, strict=True), total=len(clips), unit="clip"
        ):
            row = {"package": clip.source.package, "split": clip.source.split, "original": clip.relative}
            if reason is not None:
                skipped.append(row | {"reason": reason})
                continue
            row = {"path": clip.output.relative_to(output_dir).as_posix()} | row
            done.append(
                row
                | {
                    "version": clip.version,
                    "seconds": round(seconds, 4),
                    "source_rate": source_rate,
                    "license": clip.source.license,
                    "attribution": clip.source.attribution,
                    "language": clip.source.language,
                    "text": clip.text,
                    "text_from": clip.source.text if clip.text is not None else None,
                }
            )
    return done, skipped


def prepare_clip(clip: Clip) -> tuple[float, int, str | None]:
    """Write a clip as 16 kHz mono 16-bit FLAC unless that is done already.

    Args:
        clip: The clip.

    Returns:
        Its length in seconds, the sampling rate it was recorded at, and None or the reason why it was left out.
    """
    try:
        if clip.output.exists():
            return soundfile.info(clip.output).duration, original_rate(clip.original), None
        samples, source_rate = load_mono(clip.original)
    except (subprocess.CalledProcessError, soundfile.LibsndfileError, ValueError) as error:
        return 0.0, 0, f"cannot be decoded: {error}"
    seconds = len(samples) / SAMPLE_RATE
    if seconds < MIN_SECONDS:
        return seconds, source_rate, f"too short: {seconds:.3f} s"
    if not np.isfinite(samples).all():
        return seconds, source_rate, "holds values that are not finite"
    if (peak := float(np.abs(samples).max())) < SILENCE_PEAK:
        return seconds, source_rate, f"silent: peak {peak:.6f}"
    with whole_file(clip.output) as partial:
        soundfile.write(partial, np.clip(samples, -1.0, 1.0), SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    return seconds, source_rate, None


def load_mono(path: Path) -> tuple[np.ndarray, int]:
    """Decode a file to mono float32 at `SAMPLE_RATE`.

    Args:
        path: An audio file.

    Returns:
        The samples (the mean of the channels) and the sampling rate of the file.
    """
    if path.suffix.lower() == ".g722":
        return load_with_ffmpeg(path), SAMPLE_RATE
    try:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError:
        return load_with_ffmpeg(path), original_rate(path)
    samples = samples.mean(axis=1)
    if rate != SAMPLE_RATE and len(samples):
        samples = soxr.resample(samples, rate, SAMPLE_RATE)
    return samples, rate


def load_with_ffmpeg(path: Path) -> np.ndarray:
    """Decode a file to mono float32 at `SAMPLE_RATE` with ffmpeg; raw G.722 carries no header and is named to it."""
    input_format = ["-f", "g722"] if path.suffix.lower() == ".g722" else []
    output_format = ["-f", "f32le", "-ac", "1", "-ar", str(SAMPLE_RATE), "-"]
    command = ["ffmpeg", "-nostdin", "-v", "error", *input_format, "-i", str(path), *output_format]
    return np.frombuffer(subprocess.run(command, check=True, capture_output=True).stdout, dtype="<f4")


def original_rate(path: Path) -> int:
    """Read the sampling rate of a file from its header; 0 where soundfile does not know the format."""
    if path.suffix.lower() == ".g722":
        return SAMPLE_RATE
    try:
        return soundfile.info(path).samplerate
    except soundfile.LibsndfileError:
        return 0


def update_jsonl(path: Path, rows: list[dict], packages: set[str]) -> None:
    """Replace the rows of some packages in a JSON-lines file, keeping those of the others.

    Args:
        path: The file; it need not exist.
        rows: The new rows.
        packages: Packages whose older rows are dropped.
    """
    if path.exists():
        older = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        rows = [row for row in older if row["package"] not in packages] + rows
    rows = sorted(rows, key=lambda row: (row["split"] != "train", row["package"], row["original"]))
    write_whole(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def log_summary(done: list[dict], skipped: list[dict]) -> None:
    """Log the clips and minutes of each package."""
    seconds = defaultdict(list)
    for row in done:
        seconds[row["split"], row["package"]].append(row["seconds"])
    for (split, package), lengths in seconds.items():
        logger.info("%-7s %-32s %5d clips %7.2f min", split, package, len(lengths), sum(lengths) / 60)
    for package, count in Counter(row["package"] for row in skipped).items():
        logger.info("skipped %-32s %5d files", package, count)


if __name__ == "__main__":
    main()
