# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""The card of a dataset of codes, by which `load_dataset` of its folder finds the rows."""

import json
from dataclasses import dataclass

from ..files.markdown import markdown_table
from .configuration import TokenizeConfig
from .identity import CodecIdentity
from .plan import Plan
from .steps import DATA, SUFFIXES

CARD = """---
configs:
- config_name: default
  data_files:
  - split: train
    path: {data}/*{suffix}
tags:
- audio
- llm-codec
---

# Codes of {source}

Audio as codes of the codec `{codec}`, made with `llm-codec tokenize` of llm-codec-hf {version}.

{facts}

{columns}

```python
from datasets import load_dataset
from llm_codec_hf import LLMCodecModel, LLMCodecProcessor
from llm_codec_hf.corpus.reading import decode_row, row_to_ids

row = load_dataset("this folder", split="train")[0]
audio = decode_row(row, LLMCodecModel.from_pretrained(CODEC))  # float32, at {rate} Hz
ids = row_to_ids(row, LLMCodecProcessor.from_pretrained(CODEC))  # of the codec's language model
```

Say here what the audio is, whose it is and under which licence.
"""

PARQUET_COLUMNS = """Columns: `id`, `audio_codes` ({layout}), `num_samples` (to which decoded audio is
cut) at `sampling_rate`, `text` where it is known, `source`, and `codec`: its name and the beginning of the fingerprint
of its codebooks. The metadata of every Parquet file name codec, version and grid in full, under `llm_codec`."""
LAYOUTS = {
    "groups": "a list of groups of {n} codes, in the order of `LLMCodecProcessor`",
    "flat": "one list, of the groups' {n} codes in turn",
}
WEBDATASET_COLUMNS = """A sample is `KEY.codes.npy`, int32 of the shape (groups, {n}), `KEY.txt` with the text, if it is
known, and `KEY.json` with `id`, `num_samples`, `sampling_rate`, `source`, `codec` and, under `llm_codec`, codec,
version and grid in full."""


@dataclass(frozen=True)
class Summary:
    """
    How a run stands.

    Args:
        tasks: How many it has.
        unfinished: How many of them are not complete.
        clips: Rows that are written, of complete tasks.
        errors: Rows of `errors/`.
        seconds: Of the audio of these rows, as the headers tell.
    """

    tasks: int
    unfinished: int
    clips: int
    errors: int
    seconds: float


def make_card(config: TokenizeConfig, identity: CodecIdentity, plan: Plan, source_name: str, summary: Summary) -> str:
    """
    The card of a run as it stands.

    Args:
        config: The run.
        identity: The codec.
        plan: The plan.
        source_name: What rows call the source.
        summary: How it stands.
    """
    left = f"unfinished: {summary.unfinished} of {summary.tasks} tasks are left"
    facts = [
        ["clips", f"{summary.clips}, {summary.seconds / 3600:.2f} hours; {summary.errors} others are in `errors/`"],
        ["state", left if summary.unfinished else "complete"],
        ["codec", f"`{identity.name}`, hash `{identity.codec_hash}`, version {identity.version}"],
        ["grid", f"groups of {identity.codes_per_group} codes, {identity.group_seconds:g} s each"],
        ["plan", f"`{plan.hash}`"],
        ["settings", f"`{json.dumps(config.fixed)}`"],
    ]
    n = identity.codes_per_group
    columns = PARQUET_COLUMNS.format(layout=LAYOUTS[config.layout].format(n=n))
    return CARD.format(
        data=DATA,
        suffix=SUFFIXES[config.format],
        source=source_name,
        codec=identity.name,
        version=identity.version,
        facts=markdown_table(["", ""], facts, left=2),
        columns=columns if config.format == "parquet" else WEBDATASET_COLUMNS.format(n=n),
        rate=identity.sampling_rate,
    )


__all__ = ["Summary", "make_card"]
