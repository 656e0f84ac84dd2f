# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""
What a task has in flight, on disk: so a clip that kills the process that works on it is known, and set aside.

Before a task works on clips it writes their names, and what it has done so far. Whoever finds that it died notes it
for each of them. Such a clip is worked on alone; when the process has died too often, it is not tried again. Where the
run's folder is no local one, none of this is written.
"""

import contextlib
import json
import os
from collections.abc import Iterable

from .plan import STATE
from .store import Store

MOST_DEATHS = 3  # once with others in its batch, and twice alone
# Deaths that may come from outside: from whoever kills jobs, or from the system, where memory is short. They count as
# well, for a clip may be what takes the memory; but chance must not meet one clip so often.
LOST = "its process was lost"
FROM_OUTSIDE = ("signal SIGKILL", "signal SIGTERM", LOST)
MOST_DEATHS_FROM_OUTSIDE = 6


class Flight:
    """
    The journal of a task.

    Args:
        store: The folder of the run.
        rank: The task.
    """

    def __init__(self, store: Store, rank: int):
        self._names = None
        if store.is_local:
            folder = store.path(f"{STATE}/flight")
            os.makedirs(folder, exist_ok=True)
            self._names = {name: f"{folder}/{rank:05d}.{name}.json" for name in ("now", "deaths")}
        self._deaths: dict[str, list[str]] = self._read("deaths") or {}

    def begin(self, ids: Iterable[str], seconds: float) -> None:
        """
        Says what the task is about to work on.

        Args:
            ids: The clips; none while it works on none.
            seconds: Of audio that it has done.
        """
        self._write("now", {"ids": list(ids), "seconds": seconds})

    def survived(self, clip: str) -> None:
        """Says that a clip that was in flight when a process died is not the reason."""
        if self._deaths.pop(clip, None) is not None:
            self._write("deaths", self._deaths)

    def deaths(self, clip: str) -> list[str]:
        """How each process died that worked on a clip."""
        return self._deaths.get(clip, [])

    def is_hopeless(self, clip: str) -> bool:
        """Whether processes died so often on a clip that it is not to be tried again."""
        deaths = self.deaths(clip)
        crashes = sum(how not in FROM_OUTSIDE for how in deaths)
        return crashes >= MOST_DEATHS or len(deaths) >= MOST_DEATHS_FROM_OUTSIDE

    def died(self, how: str) -> bool:
        """
        Says that the process of the task died.

        Args:
            how: As people understand it.

        Returns:
            Whether clips were in flight, which may be the reason.
        """
        ids = (self._read("now") or {}).get("ids", [])
        for clip in ids:
            self._deaths.setdefault(clip, []).append(how)
        if ids:
            self._write("deaths", self._deaths)
        self._remove("now")
        return bool(ids)

    @property
    def is_up(self) -> bool:
        """Whether the task's process is at work, or died and nobody has noticed."""
        return self._read("now") is not None

    @property
    def seconds(self) -> float:
        """Seconds of audio that the task has done, of what it has to do; 0 where it is not at work."""
        return (self._read("now") or {}).get("seconds", 0.0)

    def end(self) -> None:
        """Says that the task is done."""
        self._remove("now")
        self._remove("deaths")

    def _read(self, name: str) -> dict | None:
        if self._names is None:
            return None
        try:
            with open(self._names[name], encoding="utf-8") as file:
                return json.load(file)
        except FileNotFoundError:
            return None

    def _write(self, name: str, content: dict) -> None:
        """Not synced: it has to outlive the process, and not the machine."""
        if self._names is not None:
            temporary = f"{self._names[name]}.tmp"
            with open(temporary, "w", encoding="utf-8") as file:
                json.dump(content, file)
            os.replace(temporary, self._names[name])

    def _remove(self, name: str) -> None:
        if self._names is not None:
            with contextlib.suppress(FileNotFoundError):
                os.remove(self._names[name])


__all__ = ["LOST", "MOST_DEATHS", "Flight"]
