# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""What the tabs have in common: errors as sentences, the choice of models, inputs of audio, and examples."""

import functools
import html
import inspect
import os
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import gradio as gr
from safetensors import SafetensorError

from ..files.markdown import markdown_table
from .clips import Example, Limits, pcm, read_clip, shipped_audio, shipped_examples, shipped_names
from .models import Choice, Models

TOLD = (
    ValueError,
    OSError,
    ImportError,
    RuntimeError,
    SafetensorError,
)  # as the command line tells them, and no others
QUEUE = {"concurrency_id": "models", "concurrency_limit": 1}  # of events that compute: one after the other
PRIVATE = {"api_visibility": "private"}  # no event is an interface for programs: those have the library


def told(function: Callable) -> Callable:
    """A function, or a generator, whose errors visitors see as the library's sentences."""

    @functools.wraps(function)
    def plain(*args):
        try:
            return function(*args)
        except TOLD as error:
            raise _shown(error) from error

    @functools.wraps(function)
    def generator(*args):
        try:
            yield from function(*args)
        except TOLD as error:
            raise _shown(error) from error

    return generator if inspect.isgeneratorfunction(function) else plain


def _shown(error: Exception) -> gr.Error:
    return gr.Error(html.escape(sentence(error), quote=False), duration=None, print_exception=False)


def sentence(error: Exception) -> str:
    """An error on one line, with the names of uploads in place of where they lie."""
    text = " ".join(str(error).split())
    folder = os.environ.get("GRADIO_TEMP_DIR")
    return re.sub(rf"{re.escape(folder)}/(?:[0-9a-f]{{16,}}/)?", "", text) if folder else text


def one_at_a_time(models: Models, items: Iterator) -> Iterator:
    """Items whose making holds `models.computing`, which is free between them: whoever stops leaves nothing held."""
    end = object()
    while True:
        with models.computing:
            item = next(items, end)
        if item is end:
            return
        yield item


class ModelChoice(NamedTuple):
    """The widgets that choose models."""

    codec: gr.Dropdown
    language_model: gr.Dropdown
    device: gr.Dropdown


def choose_models(models: Models) -> ModelChoice:
    """Shows what there is to choose from."""
    first = models.first
    with gr.Accordion("Models", open=False, elem_id="models"), gr.Row():
        return ModelChoice(
            gr.Dropdown(list(models.codecs), value=first.codec, label="Codec"),
            gr.Dropdown(list(models.language_models), value=first.language_model, label="Language model"),
            gr.Dropdown(models.devices, value=first.device, label="Device"),
        )


def audio_input(label: str, name: str) -> gr.Audio:
    """
    Shows where a clip is recorded, uploaded, or chosen from those that ship.

    Args:
        label: What the clip is for.
        name: The beginning of the elements' ids.
    """
    audio = gr.Audio(
        sources=["upload", "microphone"], type="filepath", label=label, elem_id=f"{name}_audio", buttons=["download"]
    )
    shipped = gr.Dropdown(
        shipped_names(), value=None, label="… or a clip that ships with the package", elem_id=f"{name}_shipped"
    )
    shipped.input(lambda clip: shipped_audio(clip) if clip else None, shipped, audio, **PRIVATE)
    return audio


def audio_output(label: str, name: str, **options: Any) -> gr.Audio:
    """Shows a clip that was made."""
    return gr.Audio(label=label, elem_id=name, interactive=False, buttons=["download"], **options)


def playable(rate: int, samples) -> tuple:
    """float32 samples as `gr.Audio` takes them."""
    return rate, pcm(samples)


def need_clip(path: str | None) -> str:
    """
    The path of a clip that is there.

    Raises:
        ValueError: where there is none yet.
    """
    if path is None:
        raise ValueError("There is no audio yet: record or upload some, or choose a clip that ships.")
    return path


class ExamplesEditor:
    """
    The examples of one tab and one visitor: each visitor has a list of their own, which no other sees.

    Args:
        models: Whose codec reads the clips.
        choice: The widgets that choose it.
        limits: Of the clips.
        kind: What is written beside a clip, as visitors read it: "Label".
        template: What is written of a label that ships: "{label}".
        name: The beginning of the elements' ids.

    Attributes:
        state: The list, a `gr.State` of [`Example`]s.
    """

    def __init__(self, models: Models, choice: ModelChoice, limits: Limits, kind: str, template: str, name: str):
        self.models, self.limits, self.kind, self.template = models, limits, kind, template
        self.state = gr.State([])
        with gr.Row():
            with gr.Column():
                text = gr.Textbox(label=kind, max_lines=1, elem_id=f"{name}_label")
                clip = audio_input("Its clip", f"{name}_example")
                with gr.Row():
                    add = gr.Button("Add this example", elem_id=f"{name}_add")
                    ship = gr.Button("Add those that ship", elem_id=f"{name}_ship")
                    remove = gr.Button("Remove all", elem_id=f"{name}_remove")
            table = gr.Markdown(self.table([]), elem_id=f"{name}_examples")
        events = {"outputs": [self.state, table], **QUEUE, **PRIVATE}
        add.click(told(self.add), [self.state, text, clip, *choice], **events)
        ship.click(told(self.add_shipped), [self.state, *choice], **events)
        remove.click(lambda: ([], self.table([])), None, [self.state, table], **PRIVATE)

    def add(self, examples: list[Example], text: str, path: str | None, *choice: str) -> tuple[list[Example], str]:
        """The list with one example more, and its table."""
        if not text.strip():
            raise ValueError(f"The example has no {self.kind.lower()} yet: write one.")
        extractor = self.models.codec(Choice(*choice)).processor.feature_extractor
        audio = read_clip(need_clip(path), extractor, self.limits.example_seconds)
        return self._grown(examples, [Example(text.strip(), os.path.basename(path), audio)])

    def add_shipped(self, examples: list[Example], *choice: str) -> tuple[list[Example], str]:
        """The list with the examples that ship, and its table."""
        extractor = self.models.codec(Choice(*choice)).processor.feature_extractor
        return self._grown(examples, shipped_examples(extractor, self.template))

    def _grown(self, examples: list[Example], more: list[Example]) -> tuple[list[Example], str]:
        if len(examples) + len(more) > self.limits.examples:
            raise ValueError(
                f"These would be {len(examples) + len(more)} examples, and up to {self.limits.examples} are taken here."
            )
        examples = [*examples, *more]
        return examples, self.table(examples)

    def table(self, examples: list[Example]) -> str:
        """The examples as a table in Markdown."""
        if not examples:
            return "No examples yet."
        rows = [
            (html.escape(label), html.escape(name), f"{len(samples) / rate:.2f} s")
            for label, name, (rate, samples) in examples
        ]
        return markdown_table([self.kind, "Clip", "Length"], rows)


__all__ = ["ExamplesEditor", "ModelChoice", "audio_input", "audio_output", "choose_models", "one_at_a_time", "told"]
