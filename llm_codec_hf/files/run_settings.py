# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""
Settings of a run as data: a dataclass whose fields say what they are, read from YAML.

This module stands on the standard library, so that the command line shows the fields without loading torch.
"""

import dataclasses
from pathlib import Path
from typing import Any, get_args, get_type_hints


def option(default: Any, help: str, **more: Any) -> Any:
    """
    Describes a field of a run.

    Args:
        default: Its default; a list or a dict is copied for every run.
        help: What it is, as `--help` shows it.
        **more: Further metadata of the field: `commas=True` for a list that is one argument, with commas.

    Returns:
        The field, for the body of a dataclass.
    """
    metadata = {"help": help, **more}
    if isinstance(default, (list, dict)):
        return dataclasses.field(default_factory=default.copy, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def read_fields(path: str | Path, kind: type) -> dict[str, Any]:
    """
    Reads the fields that a YAML file sets.

    Args:
        path: The file.
        kind: The dataclass that they are for.

    Raises:
        OSError: If there is no such file.
        ValueError: If it is no YAML mapping.
    """
    import yaml

    try:
        fields = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is no YAML: {error}") from error
    if not isinstance(fields, dict):
        raise ValueError(f"{path} must hold fields of a run, `name: value` per line; got {type(fields).__name__}.")
    hints = get_type_hints(kind)
    return {name: _number(value) if _is_float(hints.get(name)) else value for name, value in fields.items()}


def _is_float(hint: Any) -> bool:
    return hint is float or float in get_args(hint)


def _number(value: Any) -> Any:
    """A number that YAML 1.1 takes for a text: 1e-3, without a point."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value  # whoever makes the dataclass says what is wrong
