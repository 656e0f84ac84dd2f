# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""The tab "Listen"."""

from collections.abc import Iterator

import gradio as gr

from .clips import Limits
from .listening import Heard, Step, listen
from .models import Choice, Models
from .widgets import PRIVATE, QUEUE, ModelChoice, audio_input, audio_output, need_clip, one_at_a_time, playable, told

PLAYERS = 3  # sets of layers, at most


def listen_tab(models: Models, choice: ModelChoice, limits: Limits) -> None:
    """Shows the tab."""
    gr.Markdown("Hear what the codec keeps of a clip: by all its layers, and by the first ones alone.")
    with gr.Row():
        with gr.Column():
            source = audio_input("A clip", "listen")
            with gr.Row():
                start = gr.Button("Listen", variant="primary", elem_id="listen_start")
                stop = gr.Button("Stop", elem_id="listen_stop")
            status = gr.Markdown(elem_id="listen_status")
        with gr.Column():
            original = audio_output("Original, at the codec's rate", "listen_original")
            players = [audio_output(f"Version {i}", f"listen_version_{i}") for i in range(PLAYERS)]
    picture = gr.Image(
        label="Spectrograms and words",
        show_label=False,
        elem_id="listen_picture",
        interactive=False,
        format="png",
        buttons=["download", "fullscreen"],
    )
    words = gr.Textbox(label="Words of layer 0", elem_id="listen_words", interactive=False)

    @told
    def run(path: str | None, *chosen: str) -> Iterator[dict]:
        path = need_clip(path)
        yield {status: "Loading the codec …"}
        codec = models.codec(Choice(*chosen))
        for item in one_at_a_time(models, listen(codec, path, limits.seconds)):
            yield {status: progress(item)} if isinstance(item, Step) else shown(item)

    def shown(heard: Heard) -> dict:
        values = {
            status: rates(heard),
            original: playable(heard.rate, heard.original),
            picture: heard.picture(),
            words: " ".join(heard.words),
        }
        for i, player in enumerate(players):
            values[player] = gr.Audio(visible=False)
            if i < len(heard.versions):
                version = heard.versions[i]
                label = f"{version.title}, {version.bitrate:.0f} bit/s".capitalize()
                values[player] = gr.Audio(playable(heard.rate, version.samples), label=label, visible=True)
        return values

    outputs = [status, original, *players, picture, words]
    event = start.click(run, [source, *choice], outputs, show_progress="minimal", **QUEUE, **PRIVATE)
    stop.click(lambda: "Stopped.", None, status, cancels=[event], queue=False, **PRIVATE)


def progress(step: Step) -> str:
    """How far long audio is, as visitors read it."""
    return f"{step.done:.0%}: {step.text} …"


def rates(heard: Heard) -> str:
    """What the layers carry, as visitors read it."""
    each = ", ".join(f"{version.bitrate:.0f} bit/s by {version.title}" for version in heard.versions)
    return f"{len(heard.original) / heard.rate:.2f} s of audio in {len(heard.words)} words: {each}."


__all__ = ["listen_tab"]
