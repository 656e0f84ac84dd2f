# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""
The plan of a run: which clips there are, as their headers tell, and which task encodes which.

A plan is made once. It has parts: the first has all clips; whenever errors are tried again, a further part has them.
The tasks of all parts are numbered through. `run.json` names the parts, and is written last.
"""

import hashlib
import heapq
import itertools
import json
import math
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import pyarrow
from pyarrow import parquet
from transformers.utils.logging import tqdm

from ..files.audio_files import inspect_audio
from .sources import Entry, Source
from .store import Store

STATE = ".tokenize"  # the folder of plan, markers and logs in that of a run
RUN = f"{STATE}/run.json"
FORMAT = 1
READERS = 8  # threads that read headers: mostly they wait for the disk
TASK_SECONDS = (60.0, 3600.0)  # of audio, at least and at most, unless it is said
TASKS_PER_WORKER = 8  # so many, unless that makes them too small or large: the last ones end about together
PROBLEM = -1  # in place of the task of a clip that no task can encode

SCHEMA = pyarrow.schema(
    {
        "rank": pyarrow.int32(),
        "seconds": pyarrow.float64(),
        "id": pyarrow.string(),
        "place": pyarrow.string(),
        "stamp": pyarrow.string(),
        "text": pyarrow.string(),
        "problem": pyarrow.string(),
    }
)


class Planned(NamedTuple):
    """
    A clip of a plan.

    Attributes:
        rank: Its task; −1 where its header says that it cannot be read.
        seconds: Its length, as the header tells.
        id, place, stamp, text, problem: As [`Entry`] has them.
    """

    rank: int
    seconds: float
    id: str
    place: str
    stamp: str
    text: str | None
    problem: str | None


@dataclass(frozen=True)
class Part:
    """
    A part of a plan.

    Args:
        first: Its first task.
        seconds: Of audio, of each of its tasks.
        clips: How many, of each of its tasks.
        problems: Clips that no task can encode.
        sha256: Of its file.
    """

    first: int
    seconds: list[float]
    clips: list[int]
    problems: int
    sha256: str

    @property
    def stop(self) -> int:
        """The task after its last."""
        return self.first + len(self.seconds)


class Plan:
    """
    The plan of a run, as it is in the folder that the run writes.

    Args:
        store: That folder.
        content: What `run.json` has: `format`, `settings` and `parts`.

    Attributes:
        settings (`dict`): What the codes depend on beside the audio, as `make_plan` was told.
        parts (`list[Part]`): Its parts.
    """

    def __init__(self, store: Store, content: dict[str, Any]):
        self.store, self.settings = store, content["settings"]
        self.parts = [Part(**part) for part in content["parts"]]

    @property
    def hash(self) -> str:
        """Of all clips, their places and stamps, and of the settings."""
        digest = hashlib.sha256(json.dumps(self.settings, sort_keys=True).encode())
        for part in self.parts:
            digest.update(part.sha256.encode())
        return digest.hexdigest()

    @property
    def seconds(self) -> list[float]:
        """Seconds of audio of each task."""
        return [seconds for part in self.parts for seconds in part.seconds]

    @property
    def clips(self) -> list[int]:
        """How many clips each task has."""
        return [clips for part in self.parts for clips in part.clips]

    def task(self, rank: int) -> list[Planned]:
        """The clips of a task, the longest first."""
        number = next(number for number, part in enumerate(self.parts) if part.first <= rank < part.stop)
        return self._read(number, [("rank", "=", rank)])

    def problems(self) -> list[Planned]:
        """The clips of the last part that no task can encode."""
        return self._read(len(self.parts) - 1, [("rank", "=", PROBLEM)])

    def all_clips(self) -> Iterator[Planned]:
        """All clips; one that was tried again comes several times, the last time as it is now."""
        for number in range(len(self.parts)):
            yield from self._read(number, None)

    def _read(self, part: int, filters: list | None) -> list[Planned]:
        with self.store.open(_part_name(part)) as file:
            table = parquet.read_table(file, filters=filters)
        return [Planned(*row) for row in zip(*(column.to_pylist() for column in table.columns))]

    def with_part(self, clips: Iterable[Planned]) -> "Plan":
        """
        The plan with another part, which is written.

        Args:
            clips: Of that part, with tasks from 0 on.
        """
        first = len(self.seconds)
        clips = sorted(clips, key=lambda clip: (clip.rank, -clip.seconds, clip.id))
        tasks = max((clip.rank for clip in clips), default=PROBLEM) + 1
        seconds, counts = [0.0] * tasks, [0] * tasks
        for clip in clips:
            if clip.rank != PROBLEM:
                seconds[clip.rank] += clip.seconds
                counts[clip.rank] += 1
        rows = [clip._replace(rank=clip.rank + first) if clip.rank != PROBLEM else clip for clip in clips]
        columns = list(zip(*rows)) or [()] * len(SCHEMA)
        table = pyarrow.table([pyarrow.array(c, f.type) for c, f in zip(columns, SCHEMA)], schema=SCHEMA)
        name = _part_name(len(self.parts))
        with self.store.writing(name) as path:
            parquet.write_table(table, path, row_group_size=10_000, compression="zstd")
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
        part = Part(first, seconds, counts, len(clips) - sum(counts), digest)
        content = {"format": FORMAT, "settings": self.settings, "parts": [vars(p) for p in (*self.parts, part)]}
        self.store.write(RUN, json.dumps(content))
        return Plan(self.store, content)


def _part_name(part: int) -> str:
    return f"{STATE}/plan-{part:03d}.parquet"


def read_plan(store: Store) -> Plan | None:
    """
    The plan of a folder; None where there is none.

    Raises:
        ValueError: For one of another version.
    """
    content = store.read(RUN)
    if content is None:
        return None
    content = json.loads(content)
    if content.get("format") != FORMAT:
        raise ValueError(
            f"{store.url(RUN)} is a plan in version {content.get('format')}, this program reads version {FORMAT}: go "
            "on with the version that made it, or name another output_dir."
        )
    return Plan(store, content)


def make_plan(store: Store, source: Source, settings: dict[str, Any], task_seconds: float | None, workers: int) -> Plan:
    """
    Plans a run: lists the clips, reads their headers, packs tasks, writes the plan.

    Args:
        store: The folder of the run.
        source: The clips.
        settings: What codes depend on beside the audio.
        task_seconds: Seconds of a task; None for what suits the workers.
        workers: How many there are to be.

    Raises:
        ValueError: If two clips have one id, or there are none.
    """
    clips = list(_inspected(source, list_entries(source)))
    if not clips:
        raise ValueError(f"{source.config.source} has no audio. (Left out: {source.left_out[:3]})")
    return Plan(store, {"settings": settings, "parts": []}).with_part(pack(clips, task_seconds, workers))


def list_entries(source: Source) -> list[Entry]:
    """
    The clips of a source.

    Raises:
        ValueError: If two have one id.
    """
    entries, seen = list(source.entries()), set()
    for entry in entries:
        if entry.id in seen:
            raise ValueError(f"{source.config.source} has two clips of the id {entry.id!r}: name another `id_column`.")
        seen.add(entry.id)
    return entries


def retry_plan(plan: Plan, source: Source, ids: set[str], task_seconds: float | None, workers: int) -> Plan:
    """The plan with another part: the clips of these ids, as they are now."""
    entries = [entry for entry in list_entries(source) if entry.id in ids]
    gone = ids - {entry.id for entry in entries}
    entries += [Entry(name, "", "", None, "It is not in the source any more.") for name in sorted(gone)]
    return plan.with_part(pack(list(_inspected(source, entries)), task_seconds, workers))


def check_unchanged(plan: Plan, source: Source, errors: set[str]) -> None:
    """
    Checks that a source is what the plan has. Clips that could not be encoded may have changed.

    Raises:
        ValueError: If clips were added, taken away, or changed; it names one.
    """
    planned = {clip.id: (clip.place, clip.stamp, clip.text) for clip in plan.all_clips()}
    where = f"the plan in {plan.store.url(STATE)}. Name another output_dir for other data"
    for entry in list_entries(source):
        known = planned.pop(entry.id, None)
        if known is None:
            raise ValueError(f"{source.config.source} has {entry.id!r}, which is not in {where}.")
        if known != (entry.place, entry.stamp, entry.text) and entry.id not in errors:
            raise ValueError(f"{entry.id!r} of {source.config.source} has changed since {where}.")
    if gone := sorted(set(planned) - errors):
        raise ValueError(f"{source.config.source} has no {gone[0]!r} any more, which is in {where}.")


def pack(clips: list[Planned], task_seconds: float | None, workers: int) -> list[Planned]:
    """
    Gives each clip its task: tasks have about equal seconds, the first ones the most.

    The longest clips come first, each into the task that has the least so far.

    Args:
        clips: With any task; those with −1 keep it.
        task_seconds: Seconds of a task; None for what suits the workers.
        workers: How many there are to be.
    """
    good = sorted((clip for clip in clips if clip.rank != PROBLEM), key=lambda clip: (-clip.seconds, clip.id))
    total = sum(clip.seconds for clip in good)
    if task_seconds is None:
        least, most = TASK_SECONDS
        task_seconds = min(max(total / (workers * TASKS_PER_WORKER), least), most)
    count = min(len(good), max(1, math.ceil(total / task_seconds)))
    loads = [(0.0, task) for task in range(count)]
    tasks: list[list[Planned]] = [[] for _ in range(count)]
    for clip in good:
        load, task = loads[0]
        heapq.heapreplace(loads, (load + clip.seconds, task))
        tasks[task].append(clip)
    order = sorted(range(count), key=lambda task: -sum(clip.seconds for clip in tasks[task]))
    packed = [clip._replace(rank=rank) for rank, task in enumerate(order) for clip in tasks[task]]
    return packed + [clip for clip in clips if clip.rank == PROBLEM]


def _inspected(source: Source, entries: list[Entry]) -> Iterator[Planned]:
    """The clips with what their headers tell."""

    def inspect(entry: Entry) -> Planned:
        problem, seconds = entry.problem, 0.0
        if problem is None:
            try:
                info = inspect_audio(source.open(entry.place), source.config.allow_truncated)
                seconds = info.frames / info.sampling_rate
            except (OSError, ValueError, RuntimeError) as error:
                problem = f"{type(error).__name__}: {error}"
        rank = 0 if problem is None else PROBLEM
        return Planned(rank, seconds, entry.id, entry.place, entry.stamp, entry.text, problem)

    with (
        ThreadPoolExecutor(READERS) as pool,
        tqdm(total=len(entries), desc="Planning", unit="clip", disable=None) as bar,
    ):
        entries = iter(entries)
        while block := list(itertools.islice(entries, 1000)):
            for clip in pool.map(inspect, block):
                bar.update()
                yield clip


__all__ = ["PROBLEM", "STATE", "Plan", "Planned", "check_unchanged", "make_plan", "pack", "read_plan", "retry_plan"]
