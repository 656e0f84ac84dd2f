# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Modules that have moved: what stands at the old place, which is a folder where the root's files travel to the Hub."""

import importlib
import sys
import warnings
from types import ModuleType


def moved(old: str, new: str) -> ModuleType:
    """
    Puts a module in the place of the one that calls this, and warns whoever imported that.

    Args:
        old: The calling module's `__name__`.
        new: The module's name today.

    Returns:
        The module.
    """
    # the frames between are those of import itself, which warnings leave out
    warnings.warn(f"`{old}` is now `{new}`; the old name will go.", DeprecationWarning, stacklevel=3)
    module = sys.modules[old] = importlib.import_module(new)
    return module
