# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Files that are whole or as they were before."""

import os
from pathlib import Path


def write_whole(path: str | os.PathLike, content: str | bytes) -> None:
    """A file with all of its content, text as UTF-8, or as it was before."""
    path = Path(path)
    temporary = path.with_name(f"{path.name}.tmp")
    temporary.write_bytes(content.encode() if isinstance(content, str) else content)
    temporary.replace(path)
