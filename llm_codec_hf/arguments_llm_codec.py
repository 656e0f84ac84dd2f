# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Checks of arguments: a ValueError that says what came, what was expected and what to do."""

import difflib
import math
import numbers
from collections.abc import Iterable
from typing import Any


def is_whole(value: Any) -> bool:
    """Whether a value is an integer, of Python or of NumPy, and no boolean."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def whole_number(name: str, value: Any, least: int, most: int | None = None) -> int:
    """An integer from `least` to `most`, of Python or of NumPy; nothing that only poses as one."""
    if is_whole(value):
        if least <= value and (most is None or value <= most):
            return int(value)
    expected = f"{least} or more" if most is None else f"from {least} to {most}"
    raise ValueError(f"`{name}` is an integer, {expected}; got {value!r}.")


def real_number(name: str, value: Any, least: float, most: float = math.inf, above: bool = False) -> float:
    """A finite number from `least` to `most`; where `above`, more than `least`."""
    if isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value):
        if least <= value <= most and not (above and value == least):
            return float(value)
    expected = f"above {least:g}" if above else f"{least:g} or more"
    if most < math.inf:
        expected += f" and at most {most:g}"
    raise ValueError(f"`{name}` is a finite number, {expected}; got {value!r}.")


def true_or_false(name: str, value: Any) -> bool:
    """A boolean, and nothing that only counts as one, such as the text "false"."""
    if isinstance(value, bool):
        return value
    raise ValueError(f"`{name}` is True or False, got {value!r}.")


def unknown_option(name: str, known: Iterable[str], where: str) -> TypeError:
    """The error for an option that does not exist, with the known one that is most like it."""
    near = difflib.get_close_matches(name, known, 1)
    hint = f"; did you mean `{near[0]}`?" if near else f". There are {', '.join(sorted(known))}."
    return TypeError(f"{where} has no option `{name}`{hint}")


__all__ = ["is_whole", "real_number", "true_or_false", "unknown_option", "whole_number"]
