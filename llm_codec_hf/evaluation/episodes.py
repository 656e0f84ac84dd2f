# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Episodes, the questions of a few-shot evaluation: as data, read from the original's files, and looked through."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Episode:
    """
    One question.

    Args:
        id: `percussion/5-way-3-shot/00017`.
        task: The task's name.
        ways: Labels to choose from.
        shots: Demonstrations a label.
        support: Id of its demonstrations; episodes of one support have the same ones in the same order.
        examples: Clip id and label of each demonstration, in the prompt's order: shot by shot.
        query: Clip id of the query, or the text of a question (`Task.questions`).
        truth: The right label.
        labels: The labels to choose from, in the order in which the prompt names them.
        seed: Of what is drawn to answer this episode (sampling, controls); differs from episode to episode.

    Raises:
        ValueError: where there is no example, or the truth or an example's label is not among the labels.
    """

    id: str
    task: str
    ways: int
    shots: int
    support: str
    examples: tuple[tuple[str, str], ...]
    query: str
    truth: str
    labels: tuple[str, ...]
    seed: int = 0

    def __post_init__(self):
        object.__setattr__(self, "examples", tuple((clip, label) for clip, label in self.examples))
        object.__setattr__(self, "labels", tuple(self.labels))
        if not self.examples:
            raise ValueError(f"Episode {self.id!r} has no examples.")
        if strangers := {self.truth, *(label for _, label in self.examples)} - set(self.labels):
            raise ValueError(f"Episode {self.id!r} has labels {sorted(strangers)} that are not among {self.labels}.")

    def record(self, **answered) -> dict:
        """A line of a run's `episodes.jsonl`: this episode, and what was answered; by default, nothing yet."""
        return {
            "episode": self.id,
            "task": self.task,
            "ways": self.ways,
            "shots": self.shots,
            "support": self.support,
            "query": self.query,
            "truth": self.truth,
            "labels": list(self.labels),
            "prompt_sha256": None,
            "scores": {},
            "predictions": {},
            "seconds": 0.0,
            "failed": None,
            **answered,
        }


def read_scp(
    path: str | os.PathLike, audio_root: str | os.PathLike | None = None, task_name: str | None = None
) -> list[Episode]:
    """
    Reads an episode file of the original's kind: a line an episode, of `class/file` with commas between, the last of
    them the query.

    Args:
        path: The file.
        audio_root: Where the clips are; if given, all of them must be there.
        task_name: How episodes are named; by default by the file's name.

    Raises:
        OSError: where there is no such file.
        ValueError: for a line that is no episode, and for a file without any.
        FileNotFoundError: where clips are not below `audio_root`.
    """
    path = Path(path)
    task_name = task_name or path.stem
    episodes, supports = [], {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        entries = [entry.strip() for entry in line.strip().strip(",").split(",")]
        if entries == [""]:
            continue
        labels = [entry.rpartition("/")[0] for entry in entries]
        if len(entries) < 2 or not all(labels):
            raise ValueError(
                f"Line {number} of {path} is no episode: it needs `class/file` twice or more, got {line!r}."
            )
        *examples, (query, truth) = zip(entries, labels)
        counts = Counter(labels[:-1])
        setting = f"{task_name}/{len(counts)}-way-{max(counts.values())}-shot"
        support = supports.setdefault(tuple(examples), f"{setting}/s{len(supports):04d}")
        try:
            episodes.append(
                Episode(
                    id=f"{setting}/{len(episodes):05d}",
                    task=task_name,
                    ways=len(counts),
                    shots=max(counts.values()),
                    support=support,
                    examples=tuple(examples),
                    query=query,
                    truth=truth,
                    labels=tuple(counts),
                    seed=len(episodes),
                )
            )
        except ValueError as error:
            raise ValueError(f"Line {number} of {path}: {error}") from error
    if not episodes:
        raise ValueError(f"{path} has no episodes.")
    if audio_root is not None:
        names = dict.fromkeys(name for e in episodes for name in (*(clip for clip, _ in e.examples), e.query))
        if missing := [name for name in names if not (Path(audio_root) / name).is_file()]:
            raise FileNotFoundError(f"{len(missing)} of {len(names)} clips are not below {audio_root}: {missing[:3]}.")
    return episodes


@dataclass(frozen=True)
class EpisodeReport:
    """
    What a set of episodes is worth, as it stands, before any is answered.

    Attributes:
        episodes: How many.
        settings: Number of ways and of shots → episodes.
        truths: Label → episodes whose right answer it is, the most frequent first.
        majority: The label that is right most often.
        majority_share: The accuracy of always answering it.
        demonstrations: Distinct clips among the demonstrations.
        demonstration_sets: Distinct sets of them, whatever their order.
        queries: Distinct queries.
        queries_in_own_support: Episodes whose query is one of their own demonstrations.
        queries_demonstrated: Queries that are a demonstration of some episode.
    """

    episodes: int
    settings: dict[str, int]
    truths: dict[str, int]
    majority: str
    majority_share: float
    demonstrations: int
    demonstration_sets: int
    queries: int
    queries_in_own_support: int
    queries_demonstrated: int

    def lines(self) -> list[str]:
        """The report in sentences."""
        chance = [1 / int(setting.split("-")[0]) for setting in self.settings]
        truths = ", ".join(f"{label} {count}" for label, count in self.truths.items())
        return [
            f"{self.episodes} episodes: {', '.join(f'{n} of {setting}' for setting, n in self.settings.items())}.",
            f"Right answers: {truths}.",
            f"Always answering {self.majority!r} is right in {self.majority_share:.1%}; chance is {min(chance):.1%}.",
            f"{self.demonstrations} distinct demonstrations in {self.demonstration_sets} distinct sets; "
            f"{self.queries} distinct queries.",
            f"{self.queries_in_own_support} episodes have their query among their own demonstrations; "
            f"{self.queries_demonstrated} queries are a demonstration of some episode.",
        ]


def describe_episodes(episodes: Sequence[Episode]) -> EpisodeReport:
    """
    Looks through episodes; no audio is needed.

    Raises:
        ValueError: for no episodes.
    """
    if not episodes:
        raise ValueError("There are no episodes to describe.")
    truths = dict(Counter(episode.truth for episode in episodes).most_common())
    majority = next(iter(truths))
    clips = [frozenset(clip for clip, _ in episode.examples) for episode in episodes]
    demonstrations, queries = frozenset().union(*clips), {episode.query for episode in episodes}
    return EpisodeReport(
        episodes=len(episodes),
        settings=dict(Counter(f"{episode.ways}-way-{episode.shots}-shot" for episode in episodes)),
        truths=truths,
        majority=majority,
        majority_share=truths[majority] / len(episodes),
        demonstrations=len(demonstrations),
        demonstration_sets=len(set(clips)),
        queries=len(queries),
        queries_in_own_support=sum(episode.query in shown for episode, shown in zip(episodes, clips)),
        queries_demonstrated=len(queries & demonstrations),
    )


def describe_scp(path: str | os.PathLike) -> EpisodeReport:
    """Looks through an episode file of the original's kind; no audio is needed. Errors as `read_scp`."""
    return describe_episodes(read_scp(path))
