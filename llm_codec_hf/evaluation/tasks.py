# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Few-shot tasks as small records, most of them YAML files that ship with the package."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ..fields_llm_codec import from_fields
from .clips import Source

RECORDS = Path(__file__).parent / "task_records"
OUTPUTS = ("label", "audio")
CONVERTED = ("source", "labels", "ways", "shots", "layers", "questions")  # fields that Task takes in several forms


@dataclass(frozen=True)
class Task:
    """
    A few-shot task.

    Args:
        name: What it is called in episodes and reports; no `/` in it.
        description: What it is, where its clips are from, and what to beware of, for the report.
        source: Where its clips are.
        labels: Label of the source → how the prompt writes it; a list where that is the same. By default the labels of
            the source, as they are.
        ways: Numbers of labels an episode has.
        shots: Numbers of demonstrations a label has.
        episodes: Episodes of each number of ways and of shots.
        queries_per_support: Queries that share a set of demonstrations, at most.
        instruction: Whether the prompt names the labels first; or a text of your own.
        layers: Layers of the codec in the prompt.
        seconds: The seconds of a clip that are taken; None for all.
        trim: Whether the silence before a clip is left out.
        repeats: How often the demonstrations stand in the prompt.
        seed: Of the episodes.
        group_disjoint: Whether a query shares its group (speaker, recording, word) with no demonstration.
        output: `"label"`: what is this; or `"audio"`: the answer is a clip. Then a demonstration is a text and a clip
            (`prompt` and a clip of the label), or, where the source has a `target`, a clip and its target.
        prompt: The text of a demonstration with audio out, with `{label}`.
        questions: Question → the label of the right answer, for audio out: the queries are `prompt` with a question in
            place of the label.
        published: Setting → method → accuracy in percent, of others, to stand beside ours in the report:
            `{"5-way 1-shot": {"ProtoNet": 68.8}}`.
        license: Of the data.
        citation: Whose data and whose task it is.

    Raises:
        ValueError: naming the task, and what is wrong with it.
    """

    name: str
    description: str
    source: Source
    labels: Mapping[str, str] = field(default_factory=dict)
    ways: tuple[int, ...] = (2,)
    shots: tuple[int, ...] = (1, 3, 5)
    episodes: int = 300
    queries_per_support: int = 10
    instruction: bool | str = True
    layers: tuple[int, ...] = (0,)
    seconds: float | None = None
    trim: bool = False
    repeats: int = 1
    seed: int = 0
    group_disjoint: bool = True
    output: str = "label"
    prompt: str = "{label}"
    questions: Mapping[str, str] = field(default_factory=dict)
    published: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    license: str = ""
    citation: str = ""

    def __post_init__(self):
        for name in ("ways", "shots", "layers"):
            value = getattr(self, name)
            object.__setattr__(self, name, (value,) if isinstance(value, int) else tuple(value))
        labels = self.labels or {}
        labels = labels if isinstance(labels, Mapping) else {label: label for label in labels}
        object.__setattr__(self, "labels", {str(label): str(text) for label, text in labels.items()})
        questions = {str(question): str(answer) for question, answer in (self.questions or {}).items()}
        object.__setattr__(self, "questions", questions)
        if isinstance(self.source, Mapping):
            object.__setattr__(self, "source", from_fields(Source, self.source, f"The source of task {self.name!r}"))
        for problem in self._problems():
            raise ValueError(f"Task {self.name!r}: {problem}")

    def _problems(self):
        """What is wrong, one after the other."""
        if not isinstance(self.name, str) or not self.name or "/" in self.name:
            yield "`name` is a text without a `/`."
        if not isinstance(self.source, Source):
            yield f"`source` is a Source or its fields, got {self.source!r}."
        for name, least in {"ways": 1, "shots": 1, "layers": 0}.items():
            if not getattr(self, name) or any(type(n) is not int or n < least for n in getattr(self, name)):
                yield f"`{name}` are integers, at least one, of {least} or more; got {getattr(self, name)!r}."
        for name, least in {"episodes": 1, "queries_per_support": 1, "repeats": 1, "seed": 0}.items():
            if type(getattr(self, name)) is not int or getattr(self, name) < least:
                yield f"`{name}` is an integer of {least} or more, got {getattr(self, name)!r}."
        if self.seconds is not None and not self.seconds > 0:
            yield f"`seconds` is above 0, or None for all of a clip; got {self.seconds!r}."
        if not isinstance(self.instruction, (bool, str)):
            yield f"`instruction` is True, False or a text, got {self.instruction!r}."
        if self.output not in OUTPUTS:
            yield f"`output` is one of {OUTPUTS}, got {self.output!r}."
        if self.labels and max(self.ways) > len(self.labels):
            yield f"{max(self.ways)} ways need as many labels, `labels` has {len(self.labels)}: {list(self.labels)}."
        if len(set(self.labels.values())) < len(self.labels):
            yield f"two labels are written the same in `labels`: {self.labels}."
        if "{label}" not in self.prompt:
            yield f"`prompt` has {{label}} in it, got {self.prompt!r}."
        if self.output == "audio" and self.seconds is None:
            yield "audio out needs `seconds`: every clip of the prompt has one duration."
        if self.output == "label" and (self.questions or self.source.target):
            yield "`questions` and a source's `target` need `output: audio`."
        if self.trim and self.source.target:
            yield "`trim` would move a clip against its target; leave one of them out."
        if strangers := sorted(set(self.questions.values()) - set(self.labels)) if self.questions else []:
            yield f"answers of `questions` are no `labels`: {strangers}."

    def label_text(self, label: str) -> str:
        """How the prompt writes a label."""
        return self.labels.get(label, label)

    def to_dict(self) -> dict[str, Any]:
        """Its fields, JSON-able; `Task.from_dict` undoes it."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> "Task":
        """
        A task from its fields.

        Raises:
            ValueError: for fields that a task has not, that are missing, or that mean nothing.
        """
        return from_fields(cls, record, f"Task {record.get('name')!r}", unchecked=CONVERTED)


def list_tasks() -> list[str]:
    """The names of the tasks that ship with the package."""
    return sorted(path.stem for path in RECORDS.glob("*.yaml"))


def load_task(name_or_path: str | Path, **overrides: Any) -> Task:
    """
    A task by its name or from a YAML file.

    Args:
        name_or_path: One of `list_tasks()`, or the path of a YAML file of a task's fields.
        **overrides: Fields of the task, or of its source, that replace the record's: `shots=(1, 3)`, `root="audio"`.

    Raises:
        ValueError: for a name that is none, and for a record or overrides that make no task.
        FileNotFoundError: where there is no such file.
    """
    path = Path(name_or_path)
    if path.suffix not in (".yaml", ".yml"):
        path = RECORDS / f"{name_or_path}.yaml"
        if str(name_or_path) not in list_tasks():
            raise ValueError(
                f"There is no task {str(name_or_path)!r}; there are {', '.join(list_tasks())}, and those of a YAML "
                "file of yours, by its path."
            )
    try:
        record = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is no YAML: {error}") from error
    if not isinstance(record, Mapping) or not isinstance(record.get("source", {}), Mapping):
        raise ValueError(f"{path} holds no task: it needs a task's fields, with `source` the fields of a source.")
    of_source = {f.name for f in dataclasses.fields(Source)}
    source = dict(record.get("source", {})) | {n: v for n, v in overrides.items() if n in of_source}
    kinds = [n for n in ("folder", "hub", "scp") if overrides.get(n)]
    if kinds:  # another kind of source takes the place of the record's
        source |= {n: None for n in ("folder", "hub", "scp") if n not in kinds}
    rest = {n: v for n, v in overrides.items() if n not in of_source}
    return Task.from_dict({"name": path.stem} | dict(record) | {"source": source} | rest)
