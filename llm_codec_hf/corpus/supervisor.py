# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""
An executor of datatrove for one machine that survives the death of its workers.

(datatrove's own local executor waits for ever for the result of a worker that was killed.) Workers are processes that
take task after task. A dead one is noticed at once and replaced, and its task is done again.
"""

import copy
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import connection
from typing import Any

import torch
from datatrove.executor.base import DistributedEnvVars, PipelineExecutor
from datatrove.pipeline.base import PipelineStep
from tqdm import tqdm

from .flight import LOST, Flight
from .plan import STATE
from .steps import EncodeAudio
from .store import Store

PATIENCE = 10  # seconds that a worker has to end when there is no more to do
STARTS = 20  # tries to start a worker
POLL = 0.5  # seconds between two looks at the progress
UNKNOWN = 255  # the exit status that `multiprocessing` gives where the fork server was killed, and cannot tell
MOST_BLIND_DEATHS = 3  # of a task, with no clip in flight: then it is not the clips

# A process from a fork server has the libraries loaded. Forking this one is no choice: it may have used a GPU.
CONTEXT = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"


class WorkerError(ValueError):
    """A task failed for another reason than its clips."""


class SupervisedExecutor(PipelineExecutor):
    """
    Runs tasks in processes on this machine.

    Args:
        pipeline: The steps of a task.
        tasks: How many there are.
        workers: Processes at once.
        logging_dir: Where datatrove keeps markers and logs.
        store: The folder of the run, with the journals of the tasks.
        devices: What the workers encode on, in turn; empty for what the steps say.
    """

    def __init__(
        self, pipeline: list[PipelineStep], tasks: int, workers: int, logging_dir: str, store: Store, devices: list[str]
    ):
        super().__init__(pipeline, logging_dir)
        self.tasks, self.workers, self.store, self.devices = tasks, workers, store, devices

    @property
    def world_size(self) -> int:
        return self.tasks

    def get_distributed_env(self, node_rank: int = -1) -> DistributedEnvVars:
        return DistributedEnvVars(
            datatrove_node_ips="localhost",
            datatrove_cpus_per_task="-1",
            datatrove_mem_per_cpu="-1",
            datatrove_gpus_on_node="-1",
            datatrove_executor="LOCAL",
        )

    def run(self, progress: Callable[[list[int], list[int]], None] = lambda done, at_work: None) -> None:
        """
        Runs all tasks that are not complete, the first ones first.

        Args:
            progress: Is told now and then which tasks were completed and which are at work.

        Raises:
            WorkerError: If a task fails for another reason than a clip, such as a full disk, or if workers die that
                work on no clip. What was completed stays.
        """
        waiting, done, blind = deque(self.get_incomplete_ranks()), [], {}
        with self._workers(min(self.workers, len(waiting))) as workers:
            while waiting or any(worker.rank is not None for worker in workers):
                for worker in workers:
                    if worker.rank is None and waiting:
                        worker.give(waiting.popleft())
                sentinels = [worker.process.sentinel for worker in workers]
                connection.wait([*sentinels, *(worker.pipe for worker in workers)], timeout=POLL)
                for number, worker in enumerate(workers):
                    if worker.rank is None:
                        continue
                    rank, answer = worker.rank, worker.answer()
                    if answer is not None:
                        if answer["error"]:
                            raise WorkerError(f"Task {rank} failed: {answer['error']}")
                        done.append(rank)
                        worker.rank = None
                    elif not worker.process.is_alive():
                        how = worker.how_it_died()
                        if not Flight(self.store, rank).died(how):
                            blind[rank] = blind.get(rank, 0) + 1
                        if blind.get(rank, 0) >= MOST_BLIND_DEATHS:
                            raise WorkerError(
                                f"The worker of task {rank} died {blind[rank]} times before it worked on a clip (the "
                                f"last time: {how}). Is there enough memory for {self.workers} workers? "
                                f"{self.store.url(STATE)}/logs may say more."
                            )
                        waiting.appendleft(rank)
                        workers[number] = self._start(number)
                progress(done, [worker.rank for worker in workers if worker.rank is not None])

    @contextmanager
    def _workers(self, count: int) -> Iterator[list["_Worker"]]:
        workers: list[_Worker] = []
        try:
            workers += [self._start(number) for number in range(count)]
            yield workers
            for worker in workers:
                worker.pipe.close()  # there is no more to do
                worker.process.join(PATIENCE)
        finally:
            for worker in workers:
                worker.process.kill()  # what they write is whole or absent
                worker.process.join()

    def _start(self, number: int) -> "_Worker":
        executor = copy.copy(self)
        if self.devices:
            executor.pipeline = copy.deepcopy(self.pipeline)
            for step in executor.pipeline:
                if isinstance(step, EncodeAudio):
                    step.device = self.devices[number % len(self.devices)]
        threads = max(1, torch.get_num_threads() // self.workers)
        log = self.store.path(f"{STATE}/logs/worker_{number:02d}.log") if self.store.is_local else None
        context = multiprocessing.get_context(CONTEXT)
        if CONTEXT == "forkserver":
            context.set_forkserver_preload([EncodeAudio.__module__])  # of no effect once it runs
        for tries_left in reversed(range(STARTS)):
            here, there = context.Pipe()
            process = context.Process(target=_work, args=(there, executor, threads, log), daemon=True)
            try:
                process.start()
            except (
                EOFError,
                ConnectionError,
            ):  # the fork server was killed; there will be another one
                if not tries_left:
                    raise
                time.sleep(POLL)
                continue
            finally:
                there.close()
            return _Worker(process, here)


class _Worker:
    """A process that takes tasks, and the task that it has."""

    def __init__(self, process: Any, pipe: connection.Connection):
        self.process, self.pipe, self.rank = process, pipe, None

    def give(self, rank: int) -> None:
        self.rank = rank
        try:
            self.pipe.send(rank)
        except OSError:  # it died; that is seen next
            pass

    def answer(self) -> dict | None:
        """What it says of its task; None where it has said nothing."""
        try:
            return self.pipe.recv() if self.pipe.poll() else None
        except (EOFError, OSError):
            return None

    def how_it_died(self) -> str:
        self.process.join()
        code = self.process.exitcode
        if code == UNKNOWN:
            return LOST
        if code is not None and code < 0:
            return f"signal {signal.Signals(-code).name}"
        return f"exit status {code}"


def _work(pipe: connection.Connection, executor: SupervisedExecutor, threads: int, log: str | None) -> None:
    """What a worker does: a task after the other, until the process that gives them ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of Ctrl-C on the terminal, which the other process answers
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if log is not None:  # also what libraries say that crash
        os.makedirs(os.path.dirname(log), exist_ok=True)
        os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND), sys.stderr.fileno() if sys.stderr else 2)
    tqdm.set_lock(threading.RLock())  # one of processes would be left behind where this one is killed
    torch.set_num_threads(threads)
    pipeline = executor.pipeline
    while True:
        try:
            rank = pipe.recv()
        except (EOFError, ConnectionError):
            return
        executor.pipeline = copy.deepcopy(pipeline)  # steps count what they do
        error = None
        try:
            executor._run_for_rank(rank, local_rank=1)  # datatrove logs number 0 on the terminal
        except Exception as failure:
            error = f"{type(failure).__name__}: {failure}"
        pipe.send({"rank": rank, "error": error})


def _end_with_parent() -> None:
    connection.wait([multiprocessing.parent_process().sentinel])
    os._exit(1)


__all__ = ["SupervisedExecutor", "WorkerError"]
