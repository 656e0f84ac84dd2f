# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""A run of `llm-codec tokenize`: planned or gone on with, carried out, and summed up."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from transformers.utils import logging

from .card import Summary, make_card
from .configuration import TokenizeConfig
from .executors import make_executor
from .flight import Flight
from .identity import CodecIdentity, identify
from .plan import PROBLEM, STATE, Plan, check_unchanged, make_plan, read_plan, retry_plan
from .sources import Source, make_source
from .steps import ERRORS, error_name, json_lines, load, make_steps, read_errors
from .store import Store
from .supervisor import SupervisedExecutor

logger = logging.get_logger(__name__)
CARD = "README.md"


def tokenize(config: TokenizeConfig) -> Summary:
    """
    Encodes a corpus, or goes on with it. One process at a time may do so with a folder.

    Workers are started as `multiprocessing` starts them, so a script calls this below `if __name__ == "__main__":`.

    Args:
        config: What, where and how.

    Returns:
        How the run stands. On Slurm it has only begun then.

    Raises:
        ValueError: If the source, the codec or the settings are not those that the run began with; for a source that
            has no audio; if a task fails for another reason than its clips; if another process works on the folder.
        OSError: If the source is not there, or the folder cannot be written to.
    """
    store, source = Store(config.output_dir), make_source(config)
    with store.alone(f"{STATE}/lock"):
        return _tokenize(config, store, source)


def _tokenize(config: TokenizeConfig, store: Store, source: Source) -> Summary:
    identity = identify(load(config.model, "cpu")[0], config.model)
    settings = config.fixed | {"codec_hash": identity.codec_hash}
    plan = read_plan(store)
    if plan is None:
        plan = make_plan(store, source, settings, config.task_seconds, config.workers)
    else:
        _check_settings(plan, settings)
        check_unchanged(plan, source, {row["id"] for row in read_errors(store)})
    for name, reason in source.left_out:
        logger.info("%s is left out: %s.", name, reason)
    _sort_out_errors(store, source, plan)
    summary = _carry_out(config, store, source, plan, identity)
    if config.retry_errors and summary.errors and not summary.unfinished:
        ids = {row["id"] for row in read_errors(store)}
        plan = retry_plan(plan, source, ids, config.task_seconds, config.workers)
        _sort_out_errors(store, source, plan)
        summary = _carry_out(config, store, source, plan, identity)
    return summary


def _check_settings(plan: Plan, settings: dict[str, Any]) -> None:
    for name, value in settings.items():
        if plan.settings.get(name) != value:
            raise ValueError(
                f"The run in {plan.store.root} was begun with `{name}` {plan.settings.get(name)!r}, now it is "
                f"{value!r}. Name another output_dir, or go on with what it was."
            )


def _sort_out_errors(store: Store, source: Source, plan: Plan) -> None:
    """Removes the errors of clips that the last part of the plan tries again, and writes those of its headers."""
    last = len(plan.parts) - 1
    names = {error_name(f"plan-{last:03d}")} | {
        error_name(rank) for rank in range(plan.parts[last].first, plan.parts[last].stop)
    }
    for name in store.names(ERRORS):
        if f"{ERRORS}/{name}" not in names:
            store.remove(f"{ERRORS}/{name}")
    if problems := plan.problems():
        rows = [{"id": c.id, "source": source.name, "place": c.place, "error": c.problem} for c in problems]
        store.write(error_name(f"plan-{last:03d}"), json_lines(rows))


def _carry_out(config: TokenizeConfig, store: Store, source: Source, plan: Plan, identity: CodecIdentity) -> Summary:
    """Does the tasks that are left, and brings the card up to date."""
    steps = make_steps(config, identity, plan, source, supervised=config.executor == "local")
    executor = make_executor(config, steps, len(plan.seconds), store)
    unfinished = executor.get_incomplete_ranks()
    summary = _sum_up(store, plan, unfinished)
    store.write(CARD, make_card(config, identity, plan, source.name, summary))
    if unfinished:
        if isinstance(executor, SupervisedExecutor):
            with _progress(store, plan, unfinished) as show:
                executor.run(show)
        else:
            executor.run()
        summary = _sum_up(store, plan, executor.get_incomplete_ranks())
        store.write(CARD, make_card(config, identity, plan, source.name, summary))
    return summary


def _sum_up(store: Store, plan: Plan, unfinished: list[int]) -> Summary:
    errors, left = {row["id"] for row in read_errors(store)}, {*unfinished, PROBLEM}
    newest = {clip.id: (clip.rank, clip.seconds) for clip in plan.all_clips()}
    good = [seconds for name, (rank, seconds) in newest.items() if rank not in left and name not in errors]
    return Summary(len(plan.seconds), len(unfinished), len(good), len(errors), sum(good))


@contextmanager
def _progress(store: Store, plan: Plan, unfinished: list[int]) -> Iterator[Callable[[list[int], list[int]], None]]:
    """A bar over the seconds of audio: those that are done, how many a second, and the time that is left."""
    total, before = sum(plan.seconds), sum(plan.seconds) - sum(plan.seconds[rank] for rank in unfinished)
    form = "{desc}: {percentage:3.0f}% |{bar}| {n:.0f}/{total:.0f} s of audio [{elapsed}<{remaining}, {rate_fmt}]"
    with logging.tqdm(total=total, initial=before, desc="Encoding", unit="s", bar_format=form, disable=None) as bar:

        def show(done: list[int], at_work: list[int]) -> None:
            now = before + sum(plan.seconds[rank] for rank in done)
            now += sum(min(Flight(store, rank).seconds, plan.seconds[rank]) for rank in at_work)
            bar.update(max(now, bar.n) - bar.n)

        yield show


__all__ = ["Summary", "tokenize"]
