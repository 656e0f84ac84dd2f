# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Dataclasses of mappings, as JSON and YAML give them, with errors that name what does not fit."""

import dataclasses
import difflib
import numbers
import os
import types
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")

# What a value of a type is an instance of, and how errors call it. A path will do for a text.
PLAIN = {
    str: ((str, os.PathLike), "a text"),
    bool: ((bool,), "true or false"),
    int: ((numbers.Integral,), "an integer"),
    float: ((numbers.Real,), "a number"),
    type(None): ((type(None),), "null"),
}


def from_fields(kind: type[T], fields: Mapping[str, Any], what: str, unchecked: Collection[str] = ()) -> T:
    """
    Makes a dataclass of a mapping.

    Args:
        kind: The dataclass.
        fields: Name of a field → its value.
        what: How errors call it, such as "A training run".
        unchecked: Names of the fields whose type the class itself checks, or which it converts.

    Raises:
        ValueError: For a field that the class does not have, one that is missing, and a value of another type than the
            field's; whatever the class itself raises.
    """
    if not isinstance(fields, Mapping):
        raise ValueError(f"{what} is made of fields and their values, got {fields!r}.")
    known = {field.name: field for field in dataclasses.fields(kind)}
    if unknown := [str(name) for name in fields if name not in known]:
        near = [name for text in unknown for name in difflib.get_close_matches(text, known, n=1)]
        meant = f" (is {', '.join(near)} meant?)" if near else ""
        raise ValueError(f"{what} has no field {', '.join(unknown)}{meant}; it has {', '.join(known)}.")
    none = (dataclasses.MISSING, dataclasses.MISSING)
    needed = [name for name, field in known.items() if (field.default, field.default_factory) == none]
    if missing := [name for name in needed if name not in fields]:
        raise ValueError(f"{what} needs {', '.join(missing)}.")
    hints = get_type_hints(kind)
    for name, value in fields.items():
        if name not in unchecked and not _fits(value, hints[name]):
            raise ValueError(f"{what}: `{name}` is {_described(hints[name])}; got {value!r}.")
    return kind(**fields)


def _is_union(hint: Any) -> bool:
    return get_origin(hint) in (Union, types.UnionType)


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value is of a type; of mappings, the keys and values are not looked at."""
    origin, arguments = get_origin(hint) or hint, get_args(hint)
    if _is_union(hint):
        return any(_fits(value, one) for one in arguments)
    if origin is Literal:
        return value in arguments
    if origin in PLAIN:
        return isinstance(value, PLAIN[origin][0]) and not (isinstance(value, bool) and origin in (int, float))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return isinstance(value, Mapping)
    if isinstance(origin, type) and issubclass(origin, Sequence):
        item = arguments[0] if arguments else Any
        return isinstance(value, (list, tuple)) and all(_fits(one, item) for one in value)
    return True  # what another class is, that class checks


def _described(hint: Any) -> str:
    origin, arguments = get_origin(hint) or hint, get_args(hint)
    if _is_union(hint):
        return " or ".join(map(_described, arguments))
    if origin is Literal:
        return f"one of {', '.join(map(str, arguments))}"
    if origin in PLAIN:
        return PLAIN[origin][1]
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return "a mapping"
    if isinstance(origin, type) and issubclass(origin, Sequence):
        return f"a list, each item {_described(arguments[0])}" if arguments else "a list"
    return f"a {getattr(origin, '__name__', origin)}"
