# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Make English speech of packaged synthesizers, to widen the speakers of the embedded default's training data.

Words, phrases and example sentences of WordNet 3.0 (Debian's `wordnet-base`) are spoken by Debian's `flite` and
`espeak-ng`, each by a few voices that are varied in size, pitch and speed. What is said is known exactly:

    DIR/speech-flite/<speaker>/<number>.flac        16 kHz mono 16-bit FLAC
    DIR/speech-flite/metadata.jsonl                 one line a clip: file_name, text, speaker, seconds
    DIR/speech-espeak-ng/…                          likewise

Usage:

    python recipes/embedded_default/make_speech.py --output_dir AUDIO/train [--minutes 60] [--packages_dir DEBS]

It needs `flite`, `espeak-ng`, `apt-get` and `dpkg-deb` on the path. The same seed makes the same clips. SOURCES.md next
to this file has the licences.
"""

import argparse
import functools
import io
import json
import logging
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile as sf
import soxr
from debian_packages import fetch_package, unpack
from tqdm import tqdm

from llm_codec_hf.files.atomic import whole_folder

logger = logging.getLogger(__name__)

SAMPLE_RATE = 16_000
PEAK = 0.6
EDGE = 0.04  # seconds of silence kept at both ends: synthesizers add up to half a second
SHORT_SHARE = 0.25  # of the time goes to words and phrases: a short training clip holds them whole, text and all
# Words of which nobody wants a training clip are marked in their gloss.
UNWANTED = re.compile(
    r"offensive|obscen|slur|vulgar|disparag|derogat|insult|slang|sexual|copulat|excret", re.IGNORECASE
)
PLAIN = re.compile(r"[A-Za-z][A-Za-z ,'-]*[a-z][.?!]?")

FLITE_VOICES = {
    "kal16": (80, 130),
    "awb": (90, 150),
    "rms": (75, 125),
    "slt": (140, 220),
}  # range of the mean pitch, Hz
ACCENTS = "en-gb en-us en-gb-scotland en-gb-x-rp en-gb-x-gbclan en-gb-x-gbcwmd en-029 en-us-nyc".split()
# Variants of espeak-ng that sound like people: no robots, whispers, creaks, or Klatt's synthesizer.
VARIANTS = (
    "adam Alex Alicia Andrea Andy Annie antonio aunty belinda benjamin boris caleb david Denis Diogo ed edward edward2 "
    "Gene Gene2 Gustave Henrique Hugo iven iven2 iven3 iven4 Jacky john Lee linda marcelo Marco Mario max Michael "
    "michel miguel Mike Nguyen pablo paul pedro quincy rob robert steph steph2 steph3 travis victor zac anika f2 f3 f4 "
    "f5 grandpa m2 m3 m4 m5 m6 m7 norbert sandro shelby m8 f1 m1 grandma"
).split()

Speak = Callable[[str, np.random.Generator], tuple[np.ndarray, int]]


class Speaker(NamedTuple):
    """A name, and what says a text: samples `(samples,)` and their rate, in Hz."""

    name: str
    speak: Speak


def main() -> None:
    """Make the speech."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output_dir", type=Path, required=True, help="a folder a synthesizer is made in it")
    parser.add_argument("--minutes", type=float, default=60, help="of speech in all")
    parser.add_argument("--packages_dir", type=Path, help="folder with wordnet-base_*.deb, if it is at hand")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    sources = {"speech-flite": (flite_speakers, "flite"), "speech-espeak-ng": (espeak_speakers, "espeak-ng")}
    for _, command in sources.values():
        if not shutil.which(command):
            raise SystemExit(f"`{command}` is not on the path: apt-get install {command}")
    with tempfile.TemporaryDirectory() as folder:
        archive = fetch_package("wordnet-base", args.packages_dir, Path(folder))
        texts = read_texts(unpack(archive, Path(folder) / "wordnet") / "usr/share/wordnet")
    logger.info("%d words and phrases, %d sentences", *map(len, texts))
    for number, (source, (make_speakers, _)) in enumerate(sources.items()):
        generator = np.random.default_rng((args.seed, number))
        make_source(
            args.output_dir / source, make_speakers(generator), texts, args.minutes * 60 / len(sources), generator
        )


def read_texts(folder: Path) -> tuple[list[str], list[str]]:
    """Read what to say from WordNet's database.

    Args:
        folder: Folder with `data.noun`, `data.verb`, `data.adj`, `data.adv` and `cntlist.rev`.

    Returns:
        Words and phrases that WordNet's tagged texts use, and example sentences of 4 to 16 words.
    """
    counts: dict[str, int] = {}
    for line in (folder / "cntlist.rev").read_text(encoding="utf-8").splitlines():
        key, _, count = line.split()
        lemma = key.partition("%")[0]
        counts[lemma] = counts.get(lemma, 0) + int(count)
    unwanted, words, sentences = set(), set(), set()
    for part in ("noun", "verb", "adj", "adv"):
        for line in (folder / f"data.{part}").read_text(encoding="utf-8").splitlines():
            if line.startswith(" "):  # the licence
                continue
            fields, _, gloss = line.partition(" | ")
            fields = fields.split()
            lemmas = [lemma.partition("(")[0] for lemma in fields[4 : 4 + 2 * int(fields[3], 16) : 2]]
            if UNWANTED.search(gloss):
                unwanted.update(lemmas)
                continue
            words.update(lemma for lemma in lemmas if lemma.islower() and counts.get(lemma, 0) > 1)
            # an author follows what is quoted of somebody: `"..."- Shakespeare`
            for example in re.findall(r'"([^"]+)"(?!\s*-)', gloss):
                if PLAIN.fullmatch(example) and 4 <= len(example.split()) <= 16:
                    sentences.add(example)
    short = sorted(word.replace("_", " ") for word in words - unwanted if len(word) > 1)
    banned = {word for word in unwanted if counts.get(word, 0) < 2}  # the sentences keep `bitter`, not the slurs
    kept = sorted(example for example in sentences if not banned.intersection(re.findall(r"[a-z]+", example.lower())))
    return [word for word in short if PLAIN.fullmatch(word)], kept


def flite_speakers(generator: np.random.Generator) -> list[Speaker]:
    """Four voices of flite, each at six sizes of the vocal tract."""
    speakers = []
    for voice, pitches in FLITE_VOICES.items():
        for size in np.linspace(0.86, 1.16, 6):
            # played slower, a voice is deeper and larger; its speed is restored by the synthesizer
            pitch = generator.uniform(*pitches) * size
            speakers.append(
                Speaker(f"{voice}-{size:.2f}", functools.partial(speak_with_flite, voice=voice, size=size, pitch=pitch))
            )
    return speakers


def speak_with_flite(
    text: str, generator: np.random.Generator, voice: str, size: float, pitch: float
) -> tuple[np.ndarray, int]:
    stretch = generator.uniform(0.85, 1.2) / size
    settings = {"duration_stretch": stretch, "int_f0_target_mean": pitch * generator.uniform(0.94, 1.06)}
    command = ["flite", "-voice", voice]
    for name, value in settings.items():
        command += ["--setf", f"{name}={value:.3f}"]
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:  # flite writes to files alone
        subprocess.run([*command, "-t", text, "-o", file.name], check=True, capture_output=True)
        samples, rate = sf.read(file.name, dtype="float32")
    return samples, round(rate / size)


def espeak_speakers(generator: np.random.Generator) -> list[Speaker]:
    """All variants of espeak-ng's voice that sound like people, each in one of its eight English accents."""
    speakers = []
    for variant in VARIANTS:
        accent, pitch, speed = generator.choice(ACCENTS), generator.uniform(30, 70), generator.uniform(130, 180)
        speak = functools.partial(speak_with_espeak, voice=f"{accent}+{variant}", pitch=pitch, speed=speed)
        speakers.append(Speaker(f"{accent}-{variant}", speak))
    return speakers


def speak_with_espeak(
    text: str, generator: np.random.Generator, voice: str, pitch: float, speed: float
) -> tuple[np.ndarray, int]:
    pitch, speed = pitch + generator.uniform(-8, 8), speed * generator.uniform(0.85, 1.15)
    command = ["espeak-ng", "-v", voice, "-p", f"{pitch:.0f}", "-s", f"{speed:.0f}", "--stdout", text]
    wave = subprocess.run(command, check=True, capture_output=True).stdout
    # a stream's header states a length that it has not: read what is there
    samples, rate = sf.read(io.BytesIO(wave), dtype="float32")
    return samples, rate


def make_source(
    folder: Path,
    speakers: list[Speaker],
    texts: tuple[list[str], list[str]],
    seconds: float,
    generator: np.random.Generator,
) -> None:
    """Write the clips of one synthesizer, whole or not at all.

    Args:
        folder: Where they go; replaced if it is there.
        speakers: Take turns.
        texts: Words, and sentences.
        seconds: Of speech in all.
        generator: Draws the texts and how they are said.
    """
    rows, spoken = [], [0.0, 0.0]  # seconds of words, of sentences
    orders = [generator.permutation(len(kind)) for kind in texts]
    with (
        whole_folder(folder, overwrite=True) as partial,
        tqdm(total=round(seconds), unit="s", desc=folder.name) as progress,
    ):
        while sum(spoken) < seconds:
            kind = int(spoken[0] >= SHORT_SHARE * sum(spoken) + 1e-9) if rows else 0
            number = sum(1 for row in rows if row["kind"] == kind)
            text = texts[kind][orders[kind][number % len(orders[kind])]]
            speaker = speakers[len(rows) % len(speakers)]
            samples = prepare(*speaker.speak(text, generator))
            name = f"{speaker.name}/{len(rows):05d}.flac"
            (partial / name).parent.mkdir(parents=True, exist_ok=True)
            sf.write(partial / name, samples, SAMPLE_RATE, subtype="PCM_16")
            length = len(samples) / SAMPLE_RATE
            rows.append(
                {"file_name": name, "text": text, "speaker": speaker.name, "seconds": round(length, 3), "kind": kind}
            )
            spoken[kind] += length
            progress.update(round(sum(spoken)) - progress.n)
        lines = [json.dumps({key: value for key, value in row.items() if key != "kind"}) + "\n" for row in rows]
        (partial / "metadata.jsonl").write_text("".join(lines), encoding="utf-8")
    count = len({row["speaker"] for row in rows})
    logger.info("%s: %d clips, %.1f min, %d speakers", folder.name, len(rows), sum(spoken) / 60, count)


def prepare(samples: np.ndarray, rate: int) -> np.ndarray:
    """Resample to 16 kHz, trim the silence at both ends, set the peak."""
    samples = soxr.resample(samples, rate, SAMPLE_RATE)
    loud = np.flatnonzero(np.abs(samples) > 0.01 * np.abs(samples).max())
    edge = round(EDGE * SAMPLE_RATE)
    samples = samples[max(0, loud[0] - edge) : loud[-1] + edge]
    return samples * (PEAK / np.abs(samples).max())


if __name__ == "__main__":
    main()
