# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Measurements in a file of JSON lines, appended as they come: an interrupted run goes on where it stopped."""

import json
from datetime import date
from pathlib import Path
from statistics import median
from typing import NamedTuple


class Case(NamedTuple):
    """What a row is measured at. Of the kind "case" for the table, "length" for our codec's memory beside it."""

    kind: str
    operation: str
    seconds: float
    batch: int

    @property
    def much(self) -> bool:
        """So much audio that it has the machine's memory for itself: over two minutes, all items together."""
        return self.seconds * self.batch > 120


class Measurements:
    """
    A later line takes the place of an earlier one with the same key. Kinds of lines: "machine"; "ceiling", a rate of
    matrix products; those of a `Case`; "half_precision".
    """

    def __init__(self, path: Path):
        self.path = path
        self.machine = None
        self.date = None
        self.half_precision = None
        self.rates: dict[str, list[float]] = {}
        self.cases: dict[tuple, dict] = {}
        if path.exists():
            for line in path.read_text().splitlines(keepends=True):
                if line.endswith("\n"):  # the last line may have been cut
                    self._take(json.loads(line))
                else:
                    path.write_text(path.read_text().removesuffix(line))

    def add(self, kind: str, **fields) -> dict:
        record = {"kind": kind, **fields}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a") as file:
            file.write(json.dumps(record) + "\n")
        self._take(record)
        return record

    def _take(self, record: dict) -> None:
        match record["kind"]:
            case "machine":
                self.machine, self.date = record["machine"], record["date"]
            case "ceiling":
                self.rates.setdefault(record["dtype"], []).append(record["rate"])
            case "half_precision":
                self.half_precision = record
            case "case" | "length" as kind:
                case = Case(kind, record["operation"], record["seconds"], record["batch"])
                self.cases[record["row"], case] = record

    def check_machine(self, machine: dict) -> None:
        """Notes the machine in a new file; figures of two machines do not go into one."""
        if self.machine is None:
            self.add("machine", machine=machine, date=date.today().isoformat())
        changed = [name for name in machine if machine[name] != self.machine.get(name)]
        if changed:
            changes = ", ".join(f"{name} {self.machine.get(name)} → {machine[name]}" for name in changed)
            raise SystemExit(f"{self.path} is of another machine ({changes}); name another --output_dir.")

    def case(self, row: str, operation: str, seconds: float, batch: int) -> dict | None:
        return self.cases.get((row, Case("case", operation, seconds, batch)))

    def length(self, row: str, operation: str, seconds: float) -> dict | None:
        """One item of some length, from the table or beside it."""
        return self.case(row, operation, seconds, 1) or self.cases.get((row, Case("length", operation, seconds, 1)))

    def sizes(self) -> list[tuple[float, int]]:
        """The table's pairs of seconds and batch."""
        sizes = {(case.seconds, case.batch) for _, case in self.cases if case.kind == "case"}
        return sorted(sizes, key=lambda size: (size[1], size[0]))

    def lengths(self, row: str) -> list[float]:
        """Lengths of one item at which a row was measured."""
        return sorted({case.seconds for key, case in self.cases if key == row and case.batch == 1})


def speed(record: dict | None) -> float | None:
    """Seconds of audio per second: the median run."""
    if record is None or "error" in record:
        return None
    return record["seconds"] * record["batch"] / median(record["times"])
