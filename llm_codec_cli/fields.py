# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Fields of a dataclass as options, and back."""

import argparse
import dataclasses
import importlib
import importlib.util
import json
import sys
import types
from collections.abc import Collection
from types import ModuleType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

TRUE, FALSE = ("yes", "true", "t", "y", "1"), ("no", "false", "f", "n", "0")


def import_alone(name: str) -> ModuleType:
    """
    Imports a module that stands on the standard library without running the packages that it is in, for
    `import llm_codec_hf` loads torch and transformers, and its rooms ask for the packages of their extras.

    Empty modules stand in for these packages meanwhile, and nothing of it stays behind in `sys.modules`. So what is
    imported serves to look at, as the parser does at the fields of a dataclass.

    Args:
        name: The module, such as `llm_codec_hf.evaluation.configuration`.
    """
    before, parts = set(sys.modules), name.split(".")
    try:
        for package in [".".join(parts[:length]) for length in range(1, len(parts))]:
            if package not in sys.modules:
                spec = importlib.util.find_spec(package)  # found, not run
                sys.modules[package] = importlib.util.module_from_spec(spec)
        return importlib.import_module(name)
    finally:
        for loaded in set(sys.modules) - before:
            if loaded.split(".")[0] == parts[0]:
                del sys.modules[loaded]


def add_fields(parser: argparse.ArgumentParser, kind: type, skip: Collection[str] = ()) -> None:
    """
    Adds an option per field of a dataclass. Where an option is not given, what is parsed does not have it.

    Args:
        parser: The parser.
        kind: The dataclass; its fields' metadata has `help`.
        skip: Names of fields that get no option.
    """
    hints = get_type_hints(kind)
    for field in dataclasses.fields(kind):
        if field.name not in skip:
            text = field.metadata["help"].replace("%", "%%")
            how = _how(hints[field.name], field)
            parser.add_argument(f"--{field.name}", default=argparse.SUPPRESS, help=text, **how)


def given_fields(args: argparse.Namespace, kind: type) -> dict[str, Any]:
    """The fields of a dataclass that arguments have given."""
    return {field.name: vars(args)[field.name] for field in dataclasses.fields(kind) if field.name in vars(args)}


def to_arguments(settings: Any, positional: str) -> list[str]:
    """
    Writes a dataclass as arguments, from which its options make the same.

    Args:
        settings: The dataclass.
        positional: Name of its field that is not an option: the positional arguments.

    Returns:
        The positional arguments, then the fields that are not as by default.
    """
    arguments = list(getattr(settings, positional))
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        default = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
        if field.name == positional or value == default:
            continue
        arguments.append(f"--{field.name}")
        if isinstance(value, dict):
            arguments.append(json.dumps(value, ensure_ascii=False))
        elif isinstance(value, (list, tuple)):
            texts = [str(item) for item in value]
            arguments += [",".join(texts)] if field.metadata.get("commas") else texts
        elif value is not True:
            arguments.append(str(value))
    return arguments


def _how(hint: Any, field: dataclasses.Field) -> dict[str, Any]:
    """How argparse is to take a field."""
    if get_origin(hint) in (Union, types.UnionType):
        (hint,) = [one for one in get_args(hint) if one is not type(None)]
    if get_origin(hint) is Literal:
        return {"choices": get_args(hint)}
    if hint is bool:
        return {"nargs": "?", "const": True, "type": boolean}
    if hint is dict:
        return {"type": json_object, "metavar": "JSON"}
    if get_origin(hint) is list:
        (item,) = get_args(hint)
        if field.metadata.get("commas"):
            return {"type": comma_separated(item)}
        may_be_empty = field.default_factory is not dataclasses.MISSING and not field.default_factory()
        return {"nargs": "*" if may_be_empty else "+", "type": item}
    return {"type": hint}


# ---- Types of arguments: argparse puts their names into its messages


def boolean(text: str) -> bool:
    """`true`, `false`, or another of the usual words."""
    if text.lower() not in TRUE + FALSE:
        raise ValueError(text)
    return text.lower() in TRUE


def json_object(text: str) -> dict:
    """A JSON object."""
    value = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError(text)
    return value


def comma_separated(item: type):
    """The type of a list whose items stand in one argument, with commas between them."""

    def convert(text: str) -> list:
        return [item(part) for part in text.split(",")]

    convert.__name__ = f"comma-separated {item.__name__}"
    return convert
