# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""
How close to the original audio is after a codec of this package, beside Opus, Speex and Codec2.

    python -m benchmarks.reconstruction --audio_dir AUDIO/heldout --output results.json
    python -m benchmarks.reconstruction --audio_dir AUDIO/heldout --model old=OLD --model new=NEW --output both.json

It writes `results.json`, the same as tables in `results.md`, and every clip's scores in `results.jsonl`. What the last
holds is not measured again, so that an interrupted run goes on; remove it to measure anew. README.md says how clips are
chosen and what the columns mean. Needs the extra `eval`.
"""

import argparse
import json
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace

from transformers.utils import logging

from llm_codec_hf.embedded import default_codec
from llm_codec_hf.files.atomic import write_whole
from llm_codec_hf.files.audio_files import write_whole_wav
from llm_codec_hf.metrics import load_metric
from llm_codec_hf.metrics.baselines import BASELINES, RATE
from llm_codec_hf.metrics.recognition import Recognizer

from .clips import Clip, evenly, find_clips
from .report import report, summarize
from .systems import OWN, Model, System, make_systems

logger = logging.get_logger(__name__)

COMPARED = ("mel_distance", "mr_stft")  # with the original, of any sound
COMPARED_SPEECH = ("pesq", "stoi", "feature_r2")
HEARD = ("dnsmos", "wer")  # without the original audio; about 2 s of computing each
COUNTS = ("errors", "words", "letter_errors", "letters", "heard")


# ---- Measuring


def load_metrics(second_recognizer: str | None = None) -> tuple[dict, dict[str, str]]:
    """
    The metrics by name, and reasons of those whose packages are missing.

    What a second recogniser hears is a metric of its name, `wer/NAME`, so that scores of another are not taken for it.
    """
    metrics, left_out = {}, {}
    for name in (*COMPARED, *COMPARED_SPEECH, *HEARD):
        try:
            metrics[name] = load_metric(name)
        except ImportError as error:
            left_out[name] = str(error)
            logger.warning("Without the metric %s: %s", name, error)
    if second_recognizer:
        hear = partial(load_metric("wer").compute, recognizer=Recognizer(second_recognizer))
        metrics[f"wer/{Path(second_recognizer).name}"] = SimpleNamespace(compute=hear)
    return metrics, left_out


def heard_clips(clips: Sequence[Clip], sources: Sequence[str], dnsmos_files: int) -> dict[str, set[str]]:
    """Names of the clips of some sources that each metric of `HEARD` is measured on."""
    heard = {name: set() for name in HEARD}
    for source in sources:
        of_source = [clip for clip in clips if clip.source == source]
        heard["wer"] |= {clip.name for clip in of_source if clip.text}
        heard["dnsmos"] |= {clip.name for clip in evenly(of_source, dnsmos_files)}
    return heard


def wanted_metrics(clip: Clip, system: str, metrics: Iterable[str], heard: Mapping[str, set[str]]) -> list[str]:
    """
    Those of `metrics` that are of a clip which went through a system: the original is not compared with itself, and
    sounds are not measured as speech.
    """
    names = [] if system == "original" else [*COMPARED, *(COMPARED_SPEECH if clip.speech else ())]
    names += [name for name in HEARD if clip.name in heard[name]]
    return [name for name in metrics if name.partition("/")[0] in names]


def measure(clip: Clip, systems: Sequence[System], metrics: Mapping, heard: Mapping[str, set[str]]) -> list[dict]:
    """
    Sends a clip through systems and scores what comes out.

    Returns:
        A record a system: `clip`, `source`, `clip_sha256`, `seconds`, `system`, `model`, `bits`, `scores` (metric →
        value, or null where it failed), `failures` (metric, or "audio" where the system itself failed → reason) and, of
        a word error rate, its name → `COUNTS`.
    """
    samples = clip.load()
    records, sounds = [], []
    for system in systems:
        record = {
            "clip": clip.name,
            "source": clip.source,
            "clip_sha256": clip.sha256,
            "seconds": round(len(samples) / RATE, 4),
            "system": system.name,
            "model": system.model,
            "bits": None,
            "scores": dict.fromkeys(wanted_metrics(clip, system.name, metrics, heard)),
            "failures": {},
        }
        records.append(record)
        try:
            sound, record["bits"] = system.code(clip, samples)
        except Exception as error:  # whatever it is, it stands in the result
            record["failures"]["audio"] = f"{type(error).__name__}: {error}"
            sound = None
        sounds.append(sound)
    for name, metric in metrics.items():
        asked = [i for i, record in enumerate(records) if name in record["scores"] and sounds[i] is not None]
        if not asked:
            continue
        given = {"predictions": [sounds[i] for i in asked], "sampling_rate": RATE}
        spoken = name.startswith("wer")
        if spoken:
            given |= {"references": [clip.text] * len(asked), "language": clip.language}
        elif name != "dnsmos":
            given["references"] = [samples] * len(asked)
        result = metric.compute(**given)
        for place, i in enumerate(asked):
            score = result["scores"][place]
            records[i]["scores"][name] = None if score is None else round(score, 5)
            if spoken and score is not None:
                records[i][name] = {key: result["details"][place][key] for key in COUNTS}
        for failure in result["failed"]:
            records[asked[failure["index"]]]["failures"][name] = failure["reason"]
    return records


def read_records(path: Path) -> dict[tuple, dict]:
    """The records of a file, if it is there, by what tells one from another."""
    if not path.exists():
        return {}
    text = path.read_text()
    whole = text[: text.rfind("\n") + 1]
    if whole != text:  # a run that was killed left half a line
        write_whole(path, whole)
    records = [json.loads(line) for line in whole.splitlines()]
    return {(record["clip_sha256"], record["clip"], record["system"], record["model"]): record for record in records}


def measure_all(
    clips: Sequence[Clip], systems: Sequence[System], metrics: Mapping, heard: Mapping[str, set[str]], path: Path
) -> list[dict]:
    """
    Measures what `path` does not hold, and appends it, a clip at a time.

    Args:
        heard: Of [`heard_clips`].
        path: Records, a JSON line each.

    Returns:
        The records of these clips and systems, in their order, with the metrics that are wanted now.
    """
    done, found = read_records(path), []
    for clip in logging.tqdm(clips, desc="clips"):
        keys = {system.name: (clip.sha256, clip.name, system.name, system.model) for system in systems}
        wanted = {name: wanted_metrics(clip, name, metrics, heard) for name in keys}

        def lacks(system: System) -> bool:
            record = done.get(keys[system.name], {"scores": {}})
            return any(metric not in record["scores"] for metric in wanted[system.name])

        if pending := [system for system in systems if lacks(system)]:
            records = measure(clip, pending, metrics, heard)
            with open(path, "a") as file:
                file.writelines(json.dumps(record) + "\n" for record in records)
            done |= {keys[record["system"]]: record for record in records}
        for name, asked in wanted.items():
            if asked:  # nothing is asked of the original of a sound
                record = done[keys[name]]
                scores = {metric: record["scores"][metric] for metric in asked}
                failures = {key: why for key, why in record["failures"].items() if key in (*asked, "audio")}
                found.append({**record, "scores": scores, "failures": failures})
    return found


def write_audio(clips: Sequence[Clip], systems: Sequence[System], folder: Path) -> None:
    """Writes what comes out of the systems as `folder/SYSTEM/CLIP.wav`; what fails stands in the records already."""
    for clip in logging.tqdm(clips, desc="audio"):
        samples = clip.load()
        for system in systems:
            path = (folder / system.name.replace("/", "-") / clip.name).with_suffix(".wav")
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                write_whole_wav(path, system.code(clip, samples).samples, RATE)
            except Exception as error:
                logger.warning("%s has no %s: %s", path.parent, path.name, error)


# ---- The command


def main(argv: list[str] | None = None) -> dict:
    parser = argparse.ArgumentParser(
        "python -m benchmarks.reconstruction", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--audio_dir", type=Path, required=True, help="a folder a source")
    parser.add_argument("--output", type=Path, required=True, help="a .json file")
    parser.add_argument(
        "--model",
        action="append",
        metavar="[NAME=]FOLDER",
        help="may be given again; by default the embedded one; without a name, the folder's",
    )
    parser.add_argument("--sources", nargs="+", help="by default all folders of `audio_dir`")
    parser.add_argument("--max_files", type=int, default=10, help="of a source, evenly spaced in the sorted list")
    parser.add_argument(
        "--listen_to",
        nargs="*",
        metavar="SOURCE",
        help="sources of word error rates and DNSMOS; by default the English",
    )
    parser.add_argument("--dnsmos_files", type=int, default=5, help="clips of such a source that DNSMOS is measured on")
    parser.add_argument(
        "--second_recognizer",
        metavar="MODEL",
        help="a Whisper of the Hub or a folder that judges word errors as well, such as openai/whisper-small",
    )
    parser.add_argument("--systems", nargs="+", choices=[*OWN, *BASELINES], help="by default all")
    parser.add_argument("--audio_out", type=Path, metavar="DIR", help="where decoded clips go, a folder a system")
    args = parser.parse_args(argv)
    if min(args.max_files, args.dnsmos_files) < 1 or args.output.suffix != ".json":
        parser.error("--max_files and --dnsmos_files take positive numbers, and --output a .json file.")
    folders = {}
    for given in args.model or [f"embedded_default={default_codec()}"]:
        name, _, folder = given.rpartition("=")
        name = name or Path(folder).resolve().name
        if name in folders or name in (*OWN, *BASELINES):
            parser.error(f"{name} would stand for two systems: name models, as in --model before={folder}.")
        folders[name] = folder

    clips = find_clips(args.audio_dir, args.max_files, args.sources)
    sources = dict.fromkeys(clip.source for clip in clips)
    english = [source for source in sources if any(c.language == "en" for c in clips if c.source == source)]
    listen_to = english if args.listen_to is None else args.listen_to
    if strange := sorted(set(listen_to) - set(sources)):
        parser.error(f"--listen_to names {', '.join(strange)}; the sources of this run are {', '.join(sources)}.")
    heard = heard_clips(clips, listen_to, args.dnsmos_files)
    models = [Model(name, folder) for name, folder in folders.items()]
    systems, without = make_systems(models, args.systems)
    metrics, without_metrics = load_metrics(args.second_recognizer)
    args.output.parent.mkdir(parents=True, exist_ok=True)
    records = measure_all(clips, systems, metrics, heard, args.output.with_suffix(".jsonl"))
    if args.audio_out:
        write_audio(clips, systems, args.audio_out)
    for model in models:  # those of clips that an earlier run measured, too
        for clip in clips:
            if clip.name not in model.codes:
                model.encode(clip, clip.load())
    titles = {system.name: system.title for system in systems}
    result = {
        "models": {
            model.name: {
                "sha256": model.sha256,
                "bitrate": round(model.codec.config.bitrate, 1),
                "usage": model.usage(),
            }
            for model in models
        },
        "left_out": without | without_metrics,
        **summarize(records, titles, [f"{model.name}/all" for model in models]),
    }
    write_whole(args.output, json.dumps(result, indent=2, ensure_ascii=False) + "\n")
    write_whole(args.output.with_suffix(".md"), report(result))
    return result
