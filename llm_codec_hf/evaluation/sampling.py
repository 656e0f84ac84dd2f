# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Episodes drawn from a task's clips: balanced, no query among its demonstrations, the same for the same seed."""

import zlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from .clips import Clip
from .episodes import Episode, read_scp
from .tasks import Task

ATTEMPTS = 50  # draws of a support set before its groups are said not to allow one
SUPPORTS, EPISODES = 0, 1  # streams of a seed


def make_episodes(task: Task, clips: Sequence[Clip], ways: int, shots: int) -> list[Episode]:
    """
    The episodes of a task at one of its settings; those of its file, where its source is an episode file.

    Args:
        task: The task.
        clips: Its clips, as `load_clips` has them.
        ways: Labels an episode.
        shots: Demonstrations a label.

    Raises:
        ValueError: where the clips do not allow them.
    """
    if task.source.scp:
        found = {clip.id for clip in clips}
        episodes = read_scp(task.source.locate(task.name), task_name=task.name)[: task.episodes]
        return [e for e in episodes if {e.query, *(clip for clip, _ in e.examples)} <= found]
    return sample_episodes(
        clips,
        task.name,
        ways,
        shots,
        episodes=task.episodes,
        queries_per_support=task.queries_per_support,
        seed=task.seed,
        group_disjoint=task.group_disjoint,
        questions=task.questions,
    )


def sample_episodes(
    clips: Sequence[Clip],
    task_name: str,
    ways: int,
    shots: int,
    episodes: int = 300,
    queries_per_support: int = 10,
    seed: int = 0,
    group_disjoint: bool = True,
    questions: Mapping[str, str] | None = None,
) -> list[Episode]:
    """
    Draws episodes.

    A support set has `ways` labels, those asked for least so far, and `shots` demonstrations of each, of as many groups
    as there are; its queries are other clips, of groups that no demonstration is of, as many of each label as of the
    others. A clip is a query once a support set, and is preferred the less often it was one. The first episodes do not
    depend on how many are drawn, nor any on the order of `clips`.

    Args:
        clips: The clips to draw from.
        task_name: The task, which begins the episodes' ids.
        ways: Labels an episode.
        shots: Demonstrations a label.
        episodes: How many episodes.
        queries_per_support: Queries a support set, at most; fewer where a label has not enough clips.
        seed: Seed of the random draw.
        group_disjoint: Whether groups are kept apart. A clip without a group is one of its own.
        questions: Question → label; they are the queries in place of clips, each asked as often as the others.

    Returns:
        `list[Episode]`, those of a support set one after the other.

    Raises:
        ValueError: where there are not clips, groups or labels enough, naming the label, what it has and what it needs.
    """
    if min(ways, shots, episodes, queries_per_support) < 1:
        raise ValueError(
            f"`ways`, `shots`, `episodes` and `queries_per_support` are 1 or more, got {ways}, {shots}, {episodes}, "
            f"{queries_per_support}."
        )
    setting = f"{task_name}/{ways}-way-{shots}-shot"
    if repeated := [name for name, count in Counter(clip.id for clip in clips).items() if count > 1]:
        raise ValueError(f"{setting}: several clips have the ids {repeated[:3]}.")
    by_label = _group(clips, group_disjoint)
    _check_enough(setting, by_label, ways, shots, with_queries=not questions)
    key = (seed, zlib.crc32(task_name.encode()), ways, shots)
    asked, used = Counter(), Counter()  # labels and queries of the episodes so far
    drawn: list[Episode] = []
    support = 0
    while len(drawn) < episodes:
        rng = np.random.default_rng((*key, SUPPORTS, support))
        lot = _lots(by_label, rng)
        labels = sorted(by_label, key=lambda label: (asked[label], lot[label]))[:ways]
        labels = [labels[i] for i in rng.permutation(ways)]
        groups = {label: by_label[label] for label in labels}
        taken = _demonstration_groups(setting, groups, shots, rng, with_queries=not questions)
        chosen = {label: _spread(groups[label], taken, shots, rng) for label in labels}
        orders = [[labels[i] for i in rng.permutation(ways)] for _ in range(shots)]
        examples = tuple((chosen[label][shot], label) for shot, order in enumerate(orders) for label in order)
        if questions:
            lot = _lots(questions, rng)
            queries = sorted(questions, key=lambda question: (used[question], lot[question]))[:queries_per_support]
            pairs = [(question, questions[question]) for question in queries]
        else:
            pairs = list(_queries(groups, taken, queries_per_support, asked, used, rng))
        for query, truth in pairs:
            asked[truth] += 1
            used[query] += 1
            number = len(drawn)
            state = np.random.SeedSequence((*key, EPISODES, number)).generate_state(1)
            drawn.append(
                Episode(
                    id=f"{setting}/{number:05d}",
                    task=task_name,
                    ways=ways,
                    shots=shots,
                    support=f"{setting}/s{support:04d}",
                    examples=examples,
                    query=query,
                    truth=truth,
                    labels=tuple(labels),
                    seed=int(state[0]),
                )
            )
        support += 1
    return drawn[:episodes]


def _group(clips: Sequence[Clip], group_disjoint: bool) -> dict[str, dict[str, list[str]]]:
    """Label → group → ids of its clips, all in an order that is theirs alone."""
    by_label: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for clip in sorted(clips, key=lambda clip: (clip.label, clip.id)):
        group = f"clip {clip.id}" if clip.group is None or not group_disjoint else f"group {clip.group}"
        by_label[clip.label][group].append(clip.id)
    return {label: dict(groups) for label, groups in by_label.items()}


def _check_enough(setting: str, by_label: dict, ways: int, shots: int, with_queries: bool) -> None:
    """Refuses what no draw could satisfy."""
    if len(by_label) < ways:
        raise ValueError(f"{setting} needs {ways} labels, the clips have {len(by_label)}: {sorted(by_label)}.")
    needed = shots + with_queries
    for label, groups in by_label.items():
        count = sum(map(len, groups.values()))
        if count < needed:
            raise ValueError(
                f"{setting}: label {label!r} has {count} clips, {needed} are needed: {shots} demonstrations"
                f"{' and a query' if with_queries else ''}."
            )
        if with_queries and len(groups) < 2:
            raise ValueError(
                f"{setting}: all {count} clips of label {label!r} are of one group, {next(iter(groups))!r}; two groups "
                "are needed, for the demonstrations and for the queries (or `group_disjoint=False`)."
            )


def _lots(keys: Sequence | Mapping, rng: np.random.Generator) -> dict:
    """A random rank of each."""
    return dict(zip(sorted(keys), rng.permutation(len(keys)).tolist()))


def _demonstration_groups(
    setting: str, groups: dict[str, dict[str, list[str]]], shots: int, rng: np.random.Generator, with_queries: bool
) -> set[str]:
    """
    The groups that demonstrations come from, no more than needed, so that the others have the queries: at first a clip
    of a group is to do for a label, and where that needs too many groups all of its clips may.
    """
    labels_of = defaultdict(list)
    for label, members in groups.items():
        for group in members:
            labels_of[group].append(label)
    names = sorted(labels_of)
    for attempt in range(ATTEMPTS):
        most = 1 if attempt < ATTEMPTS // 2 else shots
        taken, missing = set(), dict.fromkeys(groups, shots)
        left = {label: len(members) for label, members in groups.items()}
        for group in (names[i] for i in rng.permutation(len(names))):
            of = labels_of[group]
            if not any(missing[label] > 0 for label in of):
                continue
            if with_queries and any(left[label] == 1 for label in of):
                continue  # it is the last one for a label's queries
            taken.add(group)
            for label in of:
                left[label] -= 1
                missing[label] -= min(most, len(groups[label][group]))
        if all(count <= 0 for count in missing.values()):
            return taken
    label = max(missing, key=missing.get)
    count = sum(map(len, groups[label].values()))
    raise ValueError(
        f"{setting}: {ATTEMPTS} draws found no groups that give label {label!r} {shots} demonstrations and leave every "
        f"label a query; it has {count} clips in {len(groups[label])} groups. Fewer shots, or `group_disjoint=False`."
    )


def _spread(groups: dict[str, list[str]], taken: set[str], shots: int, rng: np.random.Generator) -> list[str]:
    """Clips of a label, of as many groups as possible."""
    names = sorted(taken & set(groups))
    queues = [[groups[name][i] for i in rng.permutation(len(groups[name]))] for name in names]
    queues = [queues[i] for i in rng.permutation(len(queues))]
    clips = [queue[turn] for turn in range(max(map(len, queues))) for queue in queues if turn < len(queue)]
    return clips[:shots]


def _queries(
    groups: dict[str, dict[str, list[str]]],
    taken: set[str],
    most: int,
    asked: Counter,
    used: Counter,
    rng: np.random.Generator,
) -> Iterator[tuple[str, str]]:
    """Clips and labels, a round of the labels after the other, until there are enough or a label has no more."""
    queues = {}
    for label, members in groups.items():
        clips = [clip for group, ids in members.items() if group not in taken for clip in ids]
        lot = _lots(clips, rng)
        queues[label] = sorted(clips, key=lambda clip: (used[clip], lot[clip]), reverse=True)
    count = 0
    while True:
        lot = _lots(groups, rng)
        for label in sorted(groups, key=lambda label: (asked[label], lot[label])):
            if count == most or not queues[label]:
                return
            count += 1
            yield queues[label].pop(), label
