# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""The table of language model families: what it finds of a few, and its page."""

from benchmarks.language_models.run import ask, page
from benchmarks.language_models.toys import families


def test_the_table_tells_families_apart():
    found = {family: ask(family) for family in ("llama", "mistral", "jamba", "bert")}
    assert [found[family]["state"] for family in found] == ["shared", "shared", "whole", "refused"]
    assert found["llama"]["way"] == "shared prompt, labels in one row"
    assert found["mistral"]["way"] == "shared prompt, a row per label"  # its prompts pass the window
    assert all(f["distance"] < 1e-4 for f in found.values() if "distance" in f)
    text = page(found)
    assert "| `jamba` | JambaForCausalLM |" in text.partition("## Exact by full passes")[2]
    assert "is not causal" in text and "nowhere" in text


def test_what_does_not_build_is_said():
    assert ask("no-such-family")["state"] == "unbuilt" and "llama" in families()
