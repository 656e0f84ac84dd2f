# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""
Speed and memory of this codec and of its peers, on the machine at hand.

    python -m benchmarks.speed                                          # everything; on a GPU too where there is one
    python -m benchmarks.speed --quick                                  # 1 s, batch 1: a few minutes
    python -m benchmarks.speed --rows ours snac --seconds 10 --refresh  # these again; the rest is kept
    python -m benchmarks.speed --report                                 # table and picture of what was measured

It prints a table and writes, in `--output_dir`, results (`cpu.jsonl`), table (`cpu.md`) and picture (`cpu.png`). What
the results hold is not measured again, so an interrupted run goes on. README.md says what the columns mean.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch

from llm_codec_hf.extras import require

from .. import README, RESULTS
from ..machine import describe, matrix_product_rate
from . import gpu
from .codecs import COMPILED, EMBEDDED, OURS, PEERS, RECOMPUTED, SPECTRAL, Row
from .measurements import Case, Measurements, speed
from .report import duration, megabytes, rate, report, update_readme
from .worker import Worker

ROWS = {"cpu": (OURS, SPECTRAL, EMBEDDED, RECOMPUTED, COMPILED, *PEERS), "cuda": gpu.ROWS}
TURNS, BUDGET = 3, 10.0  # a row is measured in so many turns, or for so many seconds


def measure_case(workers: Sequence[Worker], measurements: Measurements, case: Case) -> None:
    """
    Measures some rows at one size, in turns, so that a slow spell of the machine falls on all of them.

    Before every turn the rate of a matrix product tells how fast the machine is just then.
    """
    once = case.much or case.kind == "length"
    size = {"operation": case.operation, "seconds": case.seconds, "batch": case.batch}
    records = {worker: {"row": worker.row.key, **size, "times": []} for worker in workers}
    for turn in range(1 if once else TURNS):
        for worker, record in records.items():
            if "error" in record or sum(record["times"]) >= BUDGET:
                continue
            now = matrix_product_rate(worker.device, worker.row.dtype, quick=True)
            measurements.add("ceiling", dtype=worker.row.dtype, rate=now)
            if case.kind == "length":
                request = {"budget": 0, "flops_one": 0}
            else:
                known = measurements.case(worker.row.key, case.operation, case.seconds, 1) or {}
                request = {"budget": BUDGET if once else BUDGET / 10, "flops_one": known.get("flops_one")}
            answer = worker.ask(**size, **request, first=turn == 0)
            if "error" in answer:
                record["error"] = answer["error"]
                continue
            record["times"] += answer["times"]
            if turn == 0:
                record |= {name: answer[name] for name in ("loaded", "memory", "flops_one")}
                one, fixed = answer["flops_one"], answer["flops_once"][case.operation]
                record["flops"] = (one - fixed) * case.batch + fixed if one else None
    for record in records.values():
        announce(measurements.add(case.kind, **record))


def announce(record: dict) -> None:
    text = record.get("error") or f"{rate(speed(record))} s/s, {megabytes(record['memory'])}"
    size = f"{record['operation']} {record['batch']} × {duration(record['seconds'])}"
    print(f"{size:20} {record['row']:16} {text}", flush=True)


def measure(measurements: Measurements, rows: Sequence[Row], device: str, args: argparse.Namespace) -> None:
    """Everything that was asked for and is not among the results."""
    measurements.check_machine(describe(device))
    for dtype in {row.dtype for row in rows}:
        measurements.add("ceiling", dtype=dtype, rate=matrix_product_rate(device, dtype))
    sizes = sorted(((s, b) for s in args.seconds for b in args.batch), key=lambda size: size[0] * size[1])
    cases = [Case("case", operation, *size) for size in sizes for operation in args.operations]
    lengths = [seconds for seconds in sorted(args.memory_seconds) if (seconds, 1) not in sizes]
    cases += [Case("length", operation, seconds, 1) for seconds in lengths for operation in args.operations]
    workers = [Worker(row, device) for row in rows]
    try:
        for case in cases:
            todo = [w for w in workers if args.refresh or (w.row.key, case) not in measurements.cases]
            if case.kind == "length":
                todo = [worker for worker in todo if worker.row.key == OURS.key]
            if not case.much:
                measure_case(todo, measurements, case)
                continue
            for worker in todo:
                stop(workers)
                measure_case([worker], measurements, case)
    finally:
        stop(workers)
    if device == "cuda" and (args.refresh or measurements.half_precision is None):
        measurements.add("half_precision", **gpu.differing_codes())


def stop(workers: Sequence[Worker]) -> None:
    for worker in workers:
        worker.stop()


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m benchmarks.speed", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--devices", nargs="+", choices=["cpu", "cuda"], help="by default the CPU, and a GPU if any")
    parser.add_argument("--rows", nargs="+", help="keys of rows; by default all but `ours-compiled` on the CPU")
    parser.add_argument("--seconds", type=float, nargs="+", default=[1, 10, 60])
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--operations", nargs="+", choices=["encode", "decode"], default=["encode", "decode"])
    parser.add_argument("--memory_seconds", type=float, nargs="*", default=[1, 60, 600, 3600], help="of our codec")
    parser.add_argument("--quick", action="store_true", help="1 s, batch 1, memory at 1 and 10 s")
    parser.add_argument("--refresh", action="store_true", help="measure again what the results hold")
    parser.add_argument("--report", action="store_true", help="measure nothing")
    parser.add_argument("--output_dir", type=Path, default=RESULTS)
    parser.add_argument("--update_readme", action="store_true", help="put the table into README.md too")
    args = parser.parse_args(argv)
    if args.quick:
        args.seconds, args.batch, args.memory_seconds = [1], [1], [1, 10]
    return args


def main(argv: Sequence[str] | None = None, rows: dict[str, Sequence[Row]] = ROWS) -> None:
    args = parse(argv)
    require("benchmark", "The picture", "matplotlib")
    from .plot import plot

    for device in args.devices or (["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]):
        measurements = Measurements(args.output_dir / f"{device}.jsonl")
        default = [row.key for row in rows[device] if row != COMPILED or device == "cuda"]
        if unknown := set(args.rows or ()) - {row.key for row in rows[device]}:
            raise SystemExit(f"No such row on {device}: {', '.join(sorted(unknown))}. Rows: {', '.join(default)}.")
        if not args.report:
            chosen = args.rows or default
            measure(measurements, [row for row in rows[device] if row.key in chosen], device, args)
        if measurements.machine is None:
            raise SystemExit(f"{measurements.path} holds no results.")
        text = report(measurements, rows[device])
        print(f"\n{text}")
        measurements.path.with_suffix(".md").write_text(text)
        plot(measurements, rows[device], measurements.path.with_suffix(".png"))
        if args.update_readme:
            update_readme(README, device, text)
