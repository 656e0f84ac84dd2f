# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""A process with one codec in it, which measures what it is asked to. Its memory is that codec's alone."""

import multiprocessing
import signal
import time
from collections.abc import Callable

import torch

from ..meters import CpuMeter, CudaMeter
from .codecs import Codec, Row
from .multiply_adds import count_flops

START_METHOD = "spawn"  # of multiprocessing: with nothing in memory but what the codec takes
LONG = 20.0  # seconds: a call that takes longer is measured by its first run


@torch.inference_mode()
def visit(
    codec: Codec,
    meter: CpuMeter | CudaMeter,
    operation: str,
    seconds: float,
    batch: int,
    *,
    first: bool,
    budget: float,
    flops_one: int | None,
) -> dict:
    """
    Runs one call for some time.

    Args:
        codec, meter: What is measured, and by what.
        operation: "encode" or "decode".
        seconds: Length of every item.
        batch: Number of items.
        first: Whether this is the first visit: it measures memory too.
        budget: Seconds to run for, at least one run; 0 to time the run whose memory is measured.
        flops_one: Floating-point operations of the same call with one item; counted here if `None`, 0 for never.

    Returns:
        `times`; on a first visit also `memory` and `flops_one`, the count.
    """

    def prepare(batch: int) -> Callable[[], object]:
        if operation == "encode":
            audio = codec.random_audio(seconds, batch)
            return lambda: codec.encode(audio)
        codes = codec.random_codes(seconds, batch)
        return lambda: codec.decode(codes)

    def run() -> float:
        meter.synchronize()
        start = time.perf_counter()
        call()
        meter.synchronize()
        return time.perf_counter() - start

    meter.limit()
    call = prepare(batch)
    answer = {}
    if first and codec.compiles:
        run()
    meter.start()
    warm_up = run()  # with the caches and the allocator as another process or a trimmed heap left them
    if first:
        answer["memory"] = meter.peak()
        answer["flops_one"] = flops_one
        if flops_one is None and not codec.compiles:
            answer["flops_one"] = count_flops(prepare(1))
    if warm_up > LONG or not budget:
        return {**answer, "times": [warm_up]}
    times = []
    while sum(times) < budget:
        times.append(run())
    return {**answer, "times": times}


def reason(error: BaseException) -> str:
    """A failure in a few words."""
    text = str(error).strip().partition("\n")[0]
    signs = ("can't allocate memory", "Cannot allocate memory", "out of memory", "bad_alloc")
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)) or any(sign in str(error) for sign in signs):
        return "out of memory"
    return f"{type(error).__name__}: {text}"


def serve(connection, build: Callable[..., Codec], device: str) -> None:
    """The worker's own side: builds the codec, then answers requests until it is stopped."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the asking side ends this process
    try:
        torch.manual_seed(0)
        codec, meter = build(device=device), CudaMeter() if device == "cuda" else CpuMeter()
        with torch.inference_mode():
            codec.decode(codec.random_codes(1, 1))
            codec.encode(codec.random_audio(1, 1))
        meter.set_loaded()
    except Exception as error:
        connection.send({"error": reason(error)})
        return
    connection.send({"loaded": meter.loaded, "flops_once": codec.flops_once})
    while True:
        request = connection.recv()
        try:
            connection.send(visit(codec, meter, **request))
        except Exception as error:
            connection.send({"error": reason(error)})


class Worker:
    """The asking side. It starts the process when it is asked first, and again after it ended."""

    def __init__(self, row: Row, device: str):
        self.row = row
        self.device = device
        self.process = None
        self.codec = {}

    def ask(self, **request) -> dict:
        """An answer of `visit` with what is known of the codec, or a dict with `error`."""
        if "error" in self.codec:
            return self.codec  # it cannot be built
        try:
            if self.process is None:
                self.start()
            answer = self.codec
            if "error" not in answer:
                self.connection.send(request)
                answer = {**self.codec, **self.connection.recv()}
        except (EOFError, ConnectionError):
            self.process.join()
            killed = self.process.exitcode == -signal.SIGKILL
            answer = {"error": "out of memory (killed)" if killed else f"ended with {self.process.exitcode}"}
        if "error" in answer:
            self.stop()
        return answer

    def start(self) -> None:
        context = multiprocessing.get_context(START_METHOD)
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs, self.row.build, self.device), daemon=True)
        self.process.start()
        theirs.close()
        self.codec = self.connection.recv()

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.join()
            self.connection.close()
            self.process = None
