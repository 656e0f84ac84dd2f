# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""
What to tokenize and how, as data: one dataclass, written as arguments of `llm-codec tokenize`.

This module stands on the standard library, so that `llm-codec tokenize --help` need not load torch.
"""

from dataclasses import dataclass
from typing import Any, Literal

from ..files.run_settings import option

# What the codes depend on beside the codec and the audio, or where they are written: a run keeps to it.
FIXED = ("channels", "allow_truncated", "layout", "format")


@dataclass
class TokenizeConfig:
    """
    A corpus to tokenize. Every field says in its metadata, and in `llm-codec tokenize --help`, what it is.

    Raises:
        ValueError: For values that mean nothing or do not fit together, naming the field.
    """

    source: str = option("", "a folder, a manifest, Parquet, WebDataset shards or an id of `datasets`")
    output_dir: str = option("", "the folder to write, or to go on with; also an URL such as hf://datasets/me/codes")

    # ---- The source
    config: str | None = option(None, "of an id of `datasets`, its configuration")
    split: str = option("train", "of an id of `datasets`, its split")
    audio_column: str = option("audio", "of Parquet and datasets, the column of the audio")
    text_column: str = option("text", "of tables, the column of what is said, where there is one")
    id_column: str = option("id", "of tables, the column that names a row, where there is one")
    channels: str = option("mean", "of several channels, their mean or the number of one, from 0")
    allow_truncated: bool = option(False, "take what is there of a file that is cut")

    # ---- The codec
    model: str | None = option(None, "the codec, an id or a folder; the embedded one by default")
    device: str | None = option(None, "cpu, cuda, cuda:1, …; by default a worker has an accelerator, if there is one")
    batch_seconds: float | None = option(
        None, "seconds of audio that are encoded at once, by default 15 on a CPU and else 60; longer files go in blocks"
    )

    # ---- What is written
    format: Literal["parquet", "webdataset"] = option("parquet", "parquet or webdataset")
    layout: Literal["groups", "flat"] = option("groups", "codes as a list of groups, or as one flat list")

    # ---- The work
    workers: int = option(1, "processes at once")
    task_seconds: float | None = option(None, "seconds of audio of a task, which is written whole or not at all")
    retry_errors: bool = option(False, "try again what is in errors/")
    executor: Literal["local", "slurm", "ray", "jobs"] = option("local", "where the tasks run: local, slurm, ray, jobs")
    executor_options: dict = option({}, 'of datatrove\'s executor, as JSON, such as {"partition": "gpu"}')

    def __post_init__(self):
        for problem in self._problems():
            raise ValueError(problem)

    def _problems(self):
        """What is wrong, one after the other."""
        if not self.source:
            yield "Name what to tokenize: a folder, a manifest, Parquet, WebDataset shards or an id of `datasets`."
        if not self.output_dir:
            yield "Name a folder for the codes: --output_dir."
        if self.workers < 1:
            yield f"`workers` is 1 or more, got {self.workers}."
        for name in ("batch_seconds", "task_seconds"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                yield f"`{name}` is a number of seconds above 0, got {value}."
        if self.channels != "mean" and not self.channels.isdecimal():
            yield f"`channels` is 'mean' or the number of a channel, from 0 on; got {self.channels!r}."
        if self.format == "webdataset" and self.layout == "flat":
            yield "`layout` is of Parquet; WebDataset has an array of groups."

    @property
    def channel(self) -> str | int:
        """`channels` as the feature extractor takes it."""
        return self.channels if self.channels == "mean" else int(self.channels)

    @property
    def fixed(self) -> dict[str, Any]:
        """The fields that a run keeps to when it goes on."""
        return {name: getattr(self, name) for name in FIXED}


__all__ = ["TokenizeConfig"]
