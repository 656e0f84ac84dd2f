# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""JSON that every program reads: numbers that are not finite, which it has no way to write, are null."""

import json
import math
from typing import Any


def to_json(value: Any, **kwargs: Any) -> str:
    """
    Writes JSON; NaN and infinite numbers become null.

    Args:
        value: What `json.dumps` takes.
        **kwargs: Further arguments of `json.dumps`.
    """
    return json.dumps(_finite(value), ensure_ascii=False, allow_nan=False, **kwargs)


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, (list, tuple)) else value


__all__ = ["to_json"]
