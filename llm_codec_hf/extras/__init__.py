# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""The extras of this package, such as `llm-codec-hf[eval]`: who lacks one is told its name."""

from importlib.util import find_spec


def require(extra: str, purpose: str, *modules: str) -> None:
    """
    Checks that modules of an extra are installed; they are looked for, not imported.

    Args:
        extra: The extra that has them.
        purpose: What needs them, as the message begins: "Training".
        modules: Their names, as in `import`.

    Raises:
        ImportError: If a module is missing. The message names the modules and the extra to install.
    """
    if missing := [module for module in modules if find_spec(module) is None]:
        raise ImportError(f"{purpose} needs {' and '.join(missing)}: run `pip install 'llm-codec-hf[{extra}]'`.")
