# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""
Labels prepared clips for the few-shot tasks that run on Debian's audio: a folder a task, a subfolder a label.

    python recipes/embedded_default/label_clips.py --audio_dir AUDIO --output_dir AUDIO/tasks [--tasks percussion ...]

AUDIO is what `prepare_audio.py` wrote, and `make_natural_speech.py --kept`; a task whose packages are not there is left
out. Beside the clips of a task stands `metadata.jsonl`, as the `audiofolder` of `datasets` has it: `file_name`,
`label`, `group`, `text`, `package`. A `group` is what clips have in common beside the label (a drum, a word, a
speaker): episodes keep it on one side, of the demonstrations or of the query. Of clips that are identical, one is kept;
none where they have two labels.

Tasks for reports are of held-out sources. Those of the codec's training sources end in `_dev`: scoring is chosen on
them. `denoising_dev` ends so for its made noise: its speech is held out.
"""

import argparse
import hashlib
import json
import logging
import random
import re
import shutil
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile as sf

from llm_codec_hf.evaluation.clips import trim_start
from llm_codec_hf.files.atomic import whole_folder

logger = logging.getLogger(__name__)

SEED = 0
DRUMS = {  # label -> what matches the file's name in sonic-pi-samples and in the kits of hydrogen-data
    "kick": r"bd_|drum_bass_|drum_heavy_kick|elec_.*_kick|808_Kick|Kick-",
    "snare": r"sn_|drum_snare_|elec_.*snare|808_Snare|Snare(Rimshot)?-",
    "cymbal": r"drum_(cymbal|splash)_|elec_cymbal|808_(Cymbal|Hat)|(24Ride|Crash|Hat\w+|Ride|Splash)-",
    "tom": r"drum_tom_|elec_fuzz_tom|808_(Tom|Conga)|Tom\w+-",
    "tabla": r"tabla_",
    "bass": r"bass_",
    "ambient": r"ambi_",
}
LOUDNESS = r"[-_](hard(est)?|soft(est)?|med|hi|mid|lo|low|open|closed|pedal|long|short|\d+)(?=[-_]|$)"
KIT_DRUMS = {  # label -> what matches the instrument's name in the training kits of hydrogen-drumkits
    "kick": r"BassDrum|bass drum",
    "snare": r"Snare|snare",
    "cymbal": r"Ride|Crash|Hi Hat|hi-hat|cymbal|crash|ride",
    "tom": r"Tom|tom",
    "djembe": r"Djembe",
}
LANGUAGES = ("be", "ca", "el", "es", "fr", "ro", "ru")  # of Tux Paint's names, those of most clips
LETTERS = "FKLMOPRS"  # their names hold their sounds in all the languages
MAX_GROUPS, MAX_CLIPS = 120, 200  # of a label
NOISY_CLIPS, NOISY_SECONDS, SNR = 50, 0.96, 5  # clips of an actor; decibels


class Labelled(NamedTuple):
    """A clip of a task."""

    row: dict
    label: str
    group: str


def percussion(rows: list[dict]) -> Iterator[Labelled]:
    """Drum types; a group is a drum whatever its loudness, or a family of samples."""
    for row in rows:
        name = Path(row["original"]).stem
        label = next((label for label, pattern in DRUMS.items() if re.match(pattern, name)), None)
        if label is None:
            continue
        if label in ("tabla", "bass", "ambient"):
            family = re.sub(r"\d+$", "", "_".join(name.split("_")[:2]))
        else:
            family = re.sub(LOUDNESS, "", name, flags=re.IGNORECASE)
        yield Labelled(row, label, f"{Path(row['original']).parent}/{family}")


def percussion_dev(rows: list[dict]) -> Iterator[Labelled]:
    """Drum types of the training kits; a group is an instrument of a kit, all the strokes of a djembe one."""
    for row in rows:
        text = row["text"] or ""
        for label, pattern in KIT_DRUMS.items():
            if re.search(pattern, text):
                instrument = text.split(" ")[0] if label == "djembe" else text
                yield Labelled(row, label, f"{Path(row['original']).parent}/{instrument}")
                break


def spoken_language(rows: list[dict]) -> Iterator[Labelled]:
    """Names of things in seven languages, the same things in each; a group is a thing."""
    found = defaultdict(dict)
    for row in rows:
        name, _, language = Path(row["original"]).stem.partition("_desc_")
        if language in LANGUAGES:
            found[re.sub(r"-\d+$", "", name)].setdefault(language, row)
    things = sorted(thing for thing, by_language in found.items() if len(by_language) == len(LANGUAGES))
    for thing in random.Random(SEED).sample(things, min(MAX_GROUPS, len(things))):
        for language, row in sorted(found[thing].items()):
            yield Labelled(row, language, thing)


def spoken_letter(rows: list[dict]) -> Iterator[Labelled]:
    """Letters of the Latin alphabet; a group is a language, which is a speaker."""
    for row in rows:
        if row["text"] and row["text"] in LETTERS:
            yield Labelled(row, row["text"], row["original"].split("/")[0])


def actor(rows: list[dict]) -> Iterator[Labelled]:
    """Two actors of Czech and two of Dutch; a group is a room of the game, whose lines they share."""
    found = defaultdict(list)
    for row in rows:
        *room, language, name = row["original"].split("/")
        if voice := re.search(r"-([mv])-", name):
            found[f"{language}-{voice[1]}"].append(Labelled(row, f"{language}-{voice[1]}", "/".join(room)))
    for _, clips in sorted(found.items()):
        yield from random.Random(SEED).sample(clips, min(MAX_CLIPS, len(clips)))


def digit_dev(rows: list[dict]) -> Iterator[Labelled]:
    """Digits in six sets of telephone prompts; a group is a set, which is a speaker of a language."""
    for row in rows:
        if digit := re.fullmatch(r"digits/(\d)\.\w+", row["original"]):
            yield Labelled(row, digit[1], row["package"])


def language_dev(rows: list[dict]) -> Iterator[Labelled]:
    """Telephone prompts in five languages; a group is a prompt."""
    found = defaultdict(list)
    for row in rows:
        if 0.8 <= row["seconds"] <= 6:
            found[str(Path(row["original"]).with_suffix(""))].append(row)
    prompts = sorted(name for name, same in found.items() if len({row["language"] for row in same}) == 5)
    for name in random.Random(SEED).sample(prompts, min(MAX_GROUPS, len(prompts))):
        for row in found[name]:
            yield Labelled(row, row["language"], name)


def kept_digit(rows: list[dict]) -> Iterator[Labelled]:
    """Digits said by the kept synthetic voices, each at three speeds; a group is a voice."""
    for row in rows:
        if row["kind"] == "digits":
            yield Labelled(row, row["text"], row["speaker"])


def kept_speaker(rows: list[dict]) -> Iterator[Labelled]:
    """Sentences of the kept synthetic voices, each said once; a group is a sentence."""
    for row in rows:
        if row["kind"] == "sentence":
            yield Labelled(row, row["speaker"], row["text"])


def denoising_dev(rows: list[dict]) -> Iterator[Labelled]:
    """Lines of the actors long enough to make noisy; the label is the actor, the group as there."""
    taken = Counter()
    for clip in actor(rows):
        if clip.row["seconds"] >= 1.5 and taken[clip.label] < NOISY_CLIPS:
            taken[clip.label] += 1
            yield clip


def add_noise(folder: Path) -> None:
    """
    The first 0.96 s of each clip's sound, which `metadata.jsonl` then has as `clean`, and as `file_name` the same with
    white noise at 5 dB; seeded by the clip's name, and both quieter where the noisy one would clip.
    """
    lines = []
    for line in (folder / "metadata.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        clean, rate = sf.read(folder / row["file_name"])
        clean = trim_start(clean, rate)[: round(NOISY_SECONDS * rate)]
        noise = np.random.default_rng((SEED, zlib.crc32(row["file_name"].encode()))).standard_normal(len(clean))
        noise *= np.sqrt(np.mean(clean**2) / np.mean(noise**2) / 10 ** (SNR / 10))
        scale = min(1, 0.99 / np.abs(clean + noise).max())
        noisy = Path("noisy") / row["file_name"]
        (folder / noisy).parent.mkdir(parents=True, exist_ok=True)
        sf.write(folder / row["file_name"], scale * clean, rate)
        sf.write(folder / noisy, scale * (clean + noise), rate)
        row |= {"file_name": noisy.as_posix(), "clean": row["file_name"]}
        lines.append(json.dumps(row, ensure_ascii=False) + "\n")
    (folder / "metadata.jsonl").write_text("".join(lines), encoding="utf-8")


KEPT = "speech-kokoro"  # what make_natural_speech.py --kept wrote
ASTERISK = tuple(f"asterisk-core-sounds-{code}-g722" for code in ("en", "es", "fr", "it", "ru"))
TASKS: dict[str, tuple[Callable[[list[dict]], Iterator[Labelled]], tuple[str, ...]]] = {
    "percussion": (percussion, ("sonic-pi-samples", "hydrogen-data")),
    "spoken_language": (spoken_language, ("tuxpaint-stamps-default",)),
    "spoken_letter": (spoken_letter, ("klettres-data",)),
    "actor": (actor, ("fillets-ng-data-cs", "fillets-ng-data-nl")),
    "kept_digit": (kept_digit, (KEPT,)),
    "kept_speaker": (kept_speaker, (KEPT,)),
    "percussion_dev": (percussion_dev, ("hydrogen-drumkits",)),
    "digit_dev": (digit_dev, (*ASTERISK, "asterisk-prompt-it-menardi-wav")),
    "language_dev": (language_dev, ASTERISK),
    "denoising_dev": (denoising_dev, ("fillets-ng-data-cs", "fillets-ng-data-nl")),
}


def distinct(clips: list[Labelled], audio_dir: Path) -> list[Labelled]:
    """Leaves out clips that repeat one of their label, and those that have two labels."""
    same = defaultdict(list)
    for clip in clips:
        same[hashlib.sha256((audio_dir / clip.row["path"]).read_bytes()).digest()].append(clip)
    return [group[0] for group in same.values() if len({clip.label for clip in group}) == 1]


def write_task(
    clips: list[Labelled], audio_dir: Path, folder: Path, finish: Callable[[Path], None] = lambda folder: None
) -> None:
    """Copies a task's clips into a folder a label, and writes what is known of them; `finish` may change it."""
    lines = []
    with whole_folder(folder, overwrite=True) as partial:
        for clip in clips:
            path = Path(clip.row["path"])
            name = f"{clip.label}/{path.parent.name}__{path.name}"
            (partial / clip.label).mkdir(parents=True, exist_ok=True)
            shutil.copy(audio_dir / path, partial / name)
            record = {"file_name": name, "label": clip.label, "group": clip.group, "text": clip.row["text"]}
            lines.append(json.dumps(record | {"package": clip.row["package"]}, ensure_ascii=False) + "\n")
        (partial / "metadata.jsonl").write_text("".join(lines), encoding="utf-8")
        finish(partial)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--audio_dir", type=Path, required=True, help="what prepare_audio.py wrote")
    parser.add_argument("--output_dir", type=Path, required=True, help="where a folder a task goes")
    parser.add_argument("--tasks", nargs="+", choices=sorted(TASKS), default=list(TASKS), metavar="TASK")
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    rows = defaultdict(list)
    for line in (args.audio_dir / "manifest.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        rows[row["package"]].append(row)
    kept = args.audio_dir / "heldout" / KEPT
    if kept.is_dir():
        for line in (kept / "metadata.jsonl").read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            rows[KEPT].append(row | {"path": f"heldout/{KEPT}/{row['file_name']}", "package": KEPT})
    args.output_dir.mkdir(parents=True, exist_ok=True)
    for name in args.tasks:
        label_rows, packages = TASKS[name]
        if missing := [package for package in packages if package not in rows]:
            logger.warning("%s: left out; prepare_audio.py has yet to prepare %s", name, ", ".join(missing))
            continue
        labelled = list(label_rows([row for package in packages for row in rows[package]]))
        clips = distinct(labelled, args.audio_dir)
        finish = {"finish": add_noise} if name == "denoising_dev" else {}
        write_task(clips, args.audio_dir, args.output_dir / name, **finish)
        counts = ", ".join(f"{label} {count}" for label, count in sorted(Counter(c.label for c in clips).items()))
        groups = len({clip.group for clip in clips})
        logger.info("%s: %s; %d groups; %d repeats left out", name, counts, groups, len(labelled) - len(clips))


if __name__ == "__main__":
    main()
