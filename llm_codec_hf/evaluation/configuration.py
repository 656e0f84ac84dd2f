# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""
An evaluation as data: one dataclass, written as YAML or as arguments of `llm-codec evaluate`.

This module stands on the standard library, so that `llm-codec evaluate --help` need not load torch.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..fields_llm_codec import from_fields
from ..files.run_settings import option

# Fields that replace those of every task, where they are given.
OF_TASKS = ("root", "ways", "shots", "episodes", "queries_per_support", "seed", "seconds", "repeats", "layers")


@dataclass
class EvaluationConfig:
    """
    An evaluation. Every field says in its metadata, and in `llm-codec evaluate --help`, what it is.

    Raises:
        ValueError: For values that mean nothing or do not fit together, naming the field.
    """

    tasks: list[str] = option([], "names of tasks, YAML files of tasks, or folders with a subfolder of clips per label")
    root: str | None = option(None, "the folder that the tasks' folders of clips are in")
    scp: str | None = option(None, "file with episodes of the original's kind; says what they are worth")
    audio_root: str | None = option(None, "what the entries of the scp are relative to; then asks them")

    # ---- In place of what the tasks have
    ways: list[int] | None = option(None, "labels to choose from")
    shots: list[int] | None = option(None, "examples per label")
    episodes: int | None = option(None, "episodes of each number of ways and of shots")
    queries_per_support: int | None = option(None, "queries that share their examples")
    repeats: int | None = option(None, "how often the examples stand in the prompt")
    seconds: float | None = option(None, "how much of a clip is taken")
    layers: list[int] | None = option(None, "layers of the codec in the prompt, such as 0 or 0,1,2", commas=True)
    seed: int | None = option(None, "seed of the episodes")
    no_instruction: bool = option(False, "leave out the sentence that names the labels")

    # ---- Answers
    template: dict = option({}, "fields of a FewShotTemplate, as JSON; the codec's own by default")
    scoring: str = option("support_shuffled", "scoring of the headline accuracy; by default support_shuffled")
    scorings: list[str] = option([], "further scorings: knn, heads, orders, retrieved, supervised, blend")
    no_baselines: bool = option(False, "leave out the baselines on features of the audio")
    generated: list[str] = option([], "further ways of answering to report: generated, prefix_match, uniaudio, chat")
    temperature: float = option(0.0, "temperature of audio answers; 0 by default: the most probable")
    top_p: float = option(1.0, "share of the probability that audio answers are drawn from")

    # ---- Systems
    model: str | None = option(None, "the codec, an id or a folder; the embedded one by default")
    language_model: str | None = option(None, "the language model, an id or a folder")
    dtype: str = option("auto", "data type of the language model: bfloat16, float32, …")
    server: str | None = option(None, "URL of a served model to ask; its key from OPENAI_API_KEY, if any")
    device: str | None = option(None, "cpu, cuda, cuda:1, …; an accelerator if there is one")
    batch_size: int = option(64, "prompts at once, at most")
    num_processes: int = option(1, "processes, among which accelerate divides the devices")
    output_dir: str | None = option(None, "the folder to write, or to go on with")

    def __post_init__(self):
        for problem in self._problems():
            raise ValueError(problem)

    def _problems(self):
        """What is wrong, one after the other."""
        if not self.scp and not self.tasks:
            yield "Name tasks, folders of clips, or an --scp; `llm-codec evaluate --list` shows the tasks."
        if self.asks and not self.output_dir:
            yield "Name a folder for the results: --output_dir."
        if self.model and not self.language_model and not self.server:
            yield "--model needs --language_model too: the one whose words the codec writes."
        for name in ("episodes", "queries_per_support", "repeats", "batch_size", "num_processes"):
            value = getattr(self, name)
            if value is not None and value < 1:
                yield f"`{name}` is 1 or more, got {value}."
        for name in ("ways", "shots"):
            values = getattr(self, name)
            if values is not None and (not values or min(values) < 1):
                yield f"`{name}` are integers, at least one, of 1 or more; got {values}."

    @property
    def asks(self) -> bool:
        """Whether a model is asked; without `audio_root`, an `scp` is only described."""
        return bool(not self.scp or self.audio_root)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> "EvaluationConfig":
        """
        Makes an evaluation of its fields.

        Raises:
            ValueError: For fields that an evaluation does not have, or of another type.
        """
        return from_fields(cls, fields, "An evaluation")


__all__ = ["EvaluationConfig"]
