# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""
Runs code where a package is missing, and writes what it was told.

A process of its own, forked for every case, so that nothing of what a case does to `sys.modules` stays. Cases come as
JSON on stdin, name → `module` and `code`; on stdout goes name → the messages.
"""

import json
import os
import sys
import tempfile

import transformers.pipelines  # noqa: F401  (once for all cases)

import llm_codec_cli  # noqa: F401
import llm_codec_hf  # noqa: F401


def run(module: str, code: str) -> str:
    """Runs code without a module; returns what it wrote to stderr, and its error."""
    for name in list(sys.modules):
        if name == module or name.startswith(f"{module}."):
            del sys.modules[name]
    sys.modules[module] = None  # Python's own way to make an import fail
    with tempfile.TemporaryFile("w+", encoding="utf-8") as told:
        os.dup2(told.fileno(), sys.stderr.fileno())  # loggers have it open
        message = ""
        try:
            exec(code, {"__name__": "case"})
        except (Exception, SystemExit) as error:
            message = f"{type(error).__name__}: {error}"
        sys.stderr.flush()
        told.seek(0)
        return told.read() + message


def main() -> None:
    told = {}
    for name, case in json.load(sys.stdin).items():
        reader, writer = os.pipe()
        if (child := os.fork()) == 0:
            with open(writer, "w", encoding="utf-8") as file:
                file.write(run(**case))
            os._exit(0)
        os.close(writer)
        with open(reader, encoding="utf-8") as file:
            told[name] = file.read()
        os.waitpid(child, 0)
    print(json.dumps(told))


if __name__ == "__main__":
    main()
