# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""A run of tasks: a folder of what was asked, what was answered, and what it is worth. It resumes where it stopped."""

import importlib.metadata
import json
import os
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from pathlib import Path

import torch
from accelerate import PartialState
from transformers.utils import logging
from transformers.utils.logging import tqdm

from ..files.atomic import write_whole
from ..files.codec_folder import weights_sha256
from ..files.strict_json import to_json
from ..inputs_llm_codec import encode_clips
from ..modeling_llm_codec import LLMCodecModel
from ..processing_llm_codec import LLMCodecProcessor
from ..requests_llm_codec import Backend, GenerateRequest, LanguageModelError
from ..scoring_llm_codec import SCORINGS
from .answers import GENERATED, answer_labels
from .audio_answers import answer_audio, target_id
from .baselines import Features
from .clips import Clip, load_clips
from .episodes import Episode
from .report import write_report
from .sampling import make_episodes
from .tasks import Task

logger = logging.get_logger(__name__)

PACKAGES = ("llm-codec-hf", "torch", "transformers", "tokenizers", "numpy")
CLIPS_AT_ONCE = 16


@dataclass
class Systems:
    """
    What is evaluated.

    Args:
        codec: Writes audio in words, on its device.
        processor: Its words.
        backend: The language model.
        names: What the report calls them: `codec`, `language_model`.
    """

    codec: LLMCodecModel
    processor: LLMCodecProcessor
    backend: Backend
    names: dict[str, str]


def evaluate(
    tasks: Sequence[Task],
    systems: Systems,
    output_dir: str | Path,
    scoring: str = "support_shuffled",
    generated: Sequence[str] = (),
    scorings: Sequence[str] = (),
    baselines: bool = True,
    generation: Mapping[str, float] | None = None,
    arguments: dict | None = None,
    command: str | None = None,
) -> dict:
    """
    Runs tasks and writes a folder: `config.json`, `versions.json`, `episodes.jsonl` (a line an episode), `skipped.json`
    (clips that cannot be used), `summary.json`, `report.md` and pictures; `audio/`, where answers are audio.

    Episodes are answered a support set at a time, whose lines are written together; a run that was stopped goes on
    behind what is there. In several processes (torchrun, `accelerate launch`) the support sets are divided among them,
    and what they write is merged: the same files, whatever their number.

    Args:
        tasks: What to ask, at all their ways and shots.
        systems: Whom.
        output_dir: The folder; one that holds another run is refused.
        scoring: What stands for the language model in the report and scores its controls: a key of
            `scoring_llm_codec.SCORINGS` or of `answers.GENERATED`.
        generated: Ways of answering by generation to report besides, keys of `GENERATED`.
        scorings: Ways of scoring to report besides the plain ones, keys of `SCORINGS`.
        baselines: Whether what is reached without a language model is reported, where answers are labels.
        generation: How audio is made: `temperature` and `top_p`; by default of the most probable ids.
        arguments: Whatever else the report shall tell of the run.
        command: How to run it again.

    Returns:
        The summary, in the main process; an empty one in the others.

    Raises:
        ValueError: for a way of answering that is none, a folder of another run, and episodes that clips do not allow.
    """
    ways = {**SCORINGS, **GENERATED}
    if unknown := [way for way in (scoring, *generated, *scorings) if way not in ways]:
        raise ValueError(f"There is no way of answering {unknown[0]!r}; there are {', '.join(ways)}.")
    generation = dict(generation or {})
    if unknown := sorted(generation.keys() - {"temperature", "top_p"}):
        raise ValueError(f"`generation` has no field {unknown[0]!r}; it has temperature and top_p.")
    GenerateRequest([0], 1, **generation)  # its checks
    state = process_state()
    # what is refused is refused before the folder is made
    clips_of = [load_clips(task) for task in tasks]
    blocks_of = [list(_blocks(task, clips)) for task, clips in zip(tasks, clips_of)]
    folder = Path(output_dir)
    config = {
        "tasks": [_without_paths(task) for task in tasks],
        "scoring": scoring,
        "generated": list(generated),
        "scorings": list(scorings),
        "baselines": baselines,
        "generation": generation,
        **systems.names,
        "arguments": arguments or {},
        "command": command,
    }
    if state.is_main_process:
        folder.mkdir(parents=True, exist_ok=True)
        _claim(folder, config)
        _write_json(folder / "versions.json", versions(systems.codec))
        for path in _parts(folder):
            _repair(path)
    state.wait_for_everyone()
    done = {record["episode"] for record in _read(folder)}
    state.wait_for_everyone()  # nobody writes before all have read
    skipped = {}
    with open(folder / f"part-{state.process_index:03d}.jsonl", "a", encoding="utf-8") as file:
        for task, clips, blocks in zip(tasks, clips_of, blocks_of):
            skipped[task.name] = clips.skipped
            todo = [block for block in blocks if not all(episode.id in done for episode in block)]
            mine = todo[state.process_index :: state.num_processes]
            features = Features(systems.codec) if baselines and task.output == "label" and mine else None
            codes, broken = encode_named(systems, clips, mine, features)
            shared = {"codes": codes, "processor": systems.processor, "backend": systems.backend, "task": task}
            if task.output == "audio":
                made = {"clips": {clip.id: clip for clip in clips}, "codec": systems.codec, "folder": folder}
                answer = partial(answer_audio, **shared, **made, generation=generation)
            else:
                ways = {"scoring": scoring, "generated": generated, "scorings": scorings}
                answer = partial(answer_labels, **shared, **ways, features=features)
            bar = tqdm(total=sum(map(len, mine)), desc=task.name, unit="episode", disable=not state.is_main_process)
            with bar:
                for block in mine:
                    _append(file, _answer(block, broken, answer))
                    bar.update(len(block))
    state.wait_for_everyone()
    if not state.is_main_process:
        return {}
    _write_json(folder / "skipped.json", skipped)
    _merge(folder)
    return write_report(folder)


def process_state() -> PartialState:
    """This process's rank and device. Accelerate ignores groups of CPU processes unless told `cpu=True`."""
    on_cpu = os.environ.get("ACCELERATE_USE_CPU") == "true" or not torch.accelerator.is_available()
    return PartialState(cpu=on_cpu)


def _blocks(task: Task, clips: Sequence[Clip]) -> Iterator[list[Episode]]:
    """Episodes that share their demonstrations, of every setting of a task."""
    settings = [(ways, shots) for ways in task.ways for shots in task.shots]
    for ways, shots in settings[:1] if task.source.scp else settings:  # a file of episodes has its own
        for _, block in groupby(make_episodes(task, clips, ways, shots), key=lambda episode: episode.support):
            yield list(block)


def _answer(
    block: Sequence[Episode], broken: Mapping[str, str], answer: Callable[[Sequence[Episode]], list[dict]]
) -> list[dict]:
    """Records of a support set; of what cannot be asked, since a clip is broken, or answered, the reason."""
    of_support = next((clip for clip, _ in block[0].examples if clip in broken), None)
    clips = {e.id: of_support or (e.query if e.query in broken else None) for e in block}
    reasons = {id_: broken[clip] for id_, clip in clips.items() if clip is not None}
    records = _try(answer, [episode for episode in block if episode.id not in reasons], reasons)
    return records + [episode.record(failed=reasons[episode.id]) for episode in block if episode.id in reasons]


def _try(
    answer: Callable[[Sequence[Episode]], list[dict]], block: Sequence[Episode], reasons: dict[str, str]
) -> list[dict]:
    """Records of the episodes that the language model answers, all together; why it does not, is put into `reasons`."""
    if not block:
        return []
    try:
        return answer(block)
    except LanguageModelError as error:
        if len(block) == 1:
            reasons[block[0].id] = str(error)
            return []
    failing = dict(reasons)
    for episode in block:
        _try(answer, [episode], failing)
    able = [episode for episode in block if episode.id not in failing]
    if len(able) == len(block):  # only together they fail
        able, failing = (
            [],
            failing | dict.fromkeys((e.id for e in block), "the language model fails on its support set"),
        )
    reasons.update(failing)
    return _try(answer, able, reasons)


def encode_named(
    systems: Systems,
    clips: Sequence[Clip],
    blocks: Sequence[Sequence[Episode]],
    features: Features | None = None,
) -> tuple[dict[str, torch.LongTensor], dict[str, str]]:
    """
    Codes of the clips that some episodes name, and of their targets; `features` takes the clips, too.

    Returns:
        Clip id → codes `(codes_per_group, groups)`, of targets by their `target_id`; and clip id → why it has none.
    """
    named = {name for block in blocks for e in block for name in (e.query, *(clip for clip, _ in e.examples))}
    wanted = [clip for clip in clips if clip.id in named]
    extract = systems.processor.feature_extractor
    codes, broken = {}, {}
    for start in tqdm(range(0, len(wanted), CLIPS_AT_ONCE), desc="codes", disable=len(wanted) < 10 * CLIPS_AT_ONCE):
        batch = []
        for clip in wanted[start : start + CLIPS_AT_ONCE]:
            try:
                batch.append((clip.id, clip.load(extract.sampling_rate)))
                if clip.target is not None:
                    batch.append((target_id(clip.id), clip.load_target(extract.sampling_rate)))
            except (ValueError, OSError) as error:
                broken[clip.id] = str(error)
        if not batch:
            continue
        names, samples = zip(*batch)
        for name, audio in batch if features else ():
            features.add(name, audio)
        codes.update(zip(names, encode_clips(systems.codec, extract, list(samples))))
    return codes, broken


# ---- Files


def _claim(folder: Path, config: dict) -> None:
    """Writes what this run is; a folder of another run is refused."""
    path = folder / "config.json"
    if path.is_file():
        before, now = json.loads(path.read_text(encoding="utf-8")), json.loads(json.dumps(config))
        differing = [name for name in now if name != "command" and now[name] != before.get(name)]
        if differing and any(
            path.stat().st_size for path in _parts(folder)
        ):  # nothing is lost of a run without answers
            raise ValueError(
                f"{folder} holds another run: {', '.join(differing)} differ. Run into another folder, or delete it."
            )
    _write_json(path, config)


def _without_paths(task: Task) -> dict:
    """A task's record without where its data lies on this machine."""
    return replace(task, source=replace(task.source, root=None, audio_root=None)).to_dict()


def versions(codec: LLMCodecModel) -> dict[str, str]:
    """Versions of what answers, and a hash of the codec's weights."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed as a package"
    return found | {"codec_weights_sha256": weights_sha256(codec)}


def _parts(folder: Path) -> list[Path]:
    """What processes have written so far, and what was merged before."""
    return sorted([*folder.glob("part-*.jsonl"), *folder.glob("episodes.jsonl")])


def _repair(path: Path) -> None:
    """Cuts off a last line that a process was stopped in."""
    data = path.read_bytes()
    if data and not data.endswith(b"\n"):
        with open(path, "r+b") as file:
            file.truncate(data.rfind(b"\n") + 1)


def _read(folder: Path) -> list[dict]:
    """Every record that was written, once."""
    records = {}
    for path in _parts(folder):
        for line in path.read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            records.setdefault(record["episode"], record)
    return list(records.values())


def _append(file, records: Sequence[dict]) -> None:
    """Writes the lines of a support set at once, and to the disk."""
    file.write("".join(to_json(record) + "\n" for record in records))
    file.flush()
    os.fsync(file.fileno())


def _merge(folder: Path) -> None:
    """All records in `episodes.jsonl`, in the order of their episodes."""
    records = sorted(_read(folder), key=lambda record: record["episode"])
    lines = (to_json(record) + "\n" for record in records)
    write_whole(folder / "episodes.jsonl", "".join(lines))
    for path in folder.glob("part-*.jsonl"):
        path.unlink()


def _write_json(path: Path, content) -> None:
    write_whole(path, to_json(content, indent=2) + "\n")


__all__ = ["Systems", "encode_named", "evaluate"]
