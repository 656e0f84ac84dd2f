# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""The model card of a trained codec."""

import json
from typing import TYPE_CHECKING

from huggingface_hub import ModelCardData

from .. import __version__
from ..files.markdown import markdown_table
from ..modeling_llm_codec import LLMCodecModel

if TYPE_CHECKING:
    from .trainer import CodecTrainer

CARD = """---
{front_matter}
---

# An LLM-Codec

An audio codec (arXiv 2406.10056) that writes {kilohertz:g} kHz audio in words and tokens of {language_model}.
Trained with llm-codec-hf {version}; `training.yaml` is the run.

| | |
| --- | --- |
| parameters | encoder {encoder:.2f} M, decoder {decoder:.2f} M; codebooks of {sizes} entries |
| rate | {codes:.1f} codes/s, {bitrate:.0f} bit/s |
| training | {step} steps of {batch} clips, {minutes:.0f} minutes on {processes} process(es), {device} |
| data | {sources} |

## What it scores

{scores}

Say here what the audio of the training is, whose it is and under which licence.

```python
from transformers import pipeline

pipe = pipeline("audio-fewshot", model="this folder", language_model="{language_model}", trust_remote_code=True)
```
"""


def make_card(trainer: "CodecTrainer", model: LLMCodecModel) -> str:
    """The card of what a trainer trained, from its log."""
    config, codec = trainer.config, model.config
    lines = (trainer.output_dir / "log.jsonl").read_text(encoding="utf-8").splitlines()
    evaluations = [record for record in map(json.loads, lines) if record.get("evaluation")]
    scores = "Not evaluated."
    if evaluations:
        names = list(evaluations[-1]["evaluation"])
        rows = [[record["step"], *(record["evaluation"].get(name, "") for name in names)] for record in evaluations]
        kind = "the training's audio, other draws" if trainer.eval_clips is None else "audio apart from the training's"
        scores = f"On {config.eval_clips} clips of {kind}:\n\n"
        scores += markdown_table(["step", *names], [list(map(str, row)) for row in rows], left=0)
    batch = config.batch_size * config.gradient_accumulation_steps * trainer.accelerator.num_processes
    count = lambda module: sum(parameter.numel() for parameter in module.parameters()) / 1e6  # noqa: E731
    name = config.language_model
    data = ModelCardData(
        library_name="transformers",
        pipeline_tag="audio-classification",
        tags=["audio", "codec", "speech", "llm-codec", "few-shot"],
        base_model=name if name and name.count("/") == 1 and name[0] not in "./" else None,
    )
    return CARD.format(
        front_matter=data.to_yaml(),
        kilohertz=codec.sampling_rate / 1000,
        language_model=name or "SmolLM2-135M-Instruct",
        version=__version__,
        encoder=count(model.encoder),
        decoder=count(model.decoder),
        sizes=", ".join(map(str, codec.codebook_sizes)),
        codes=codec.codes_per_group * codec.sampling_rate / codec.group_length,
        bitrate=codec.bitrate,
        step=trainer.step,
        batch=batch,
        minutes=trainer.minutes,
        processes=trainer.accelerator.num_processes,
        device=trainer.device.type,
        sources=trainer.clips.description,
        scores=scores,
    )
