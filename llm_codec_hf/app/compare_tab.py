# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""The tab "Compare"."""

from collections.abc import Iterator, Sequence

import gradio as gr

from ..files.markdown import markdown_table
from ..metrics.baselines import BASELINES
from .clips import Limits
from .comparing import COMPARED, Compared, compare
from .listen_tab import progress
from .listening import Heard, Step, listen
from .models import Choice, Models
from .widgets import PRIVATE, QUEUE, ModelChoice, audio_input, audio_output, need_clip, one_at_a_time, playable, told


def compare_tab(models: Models, choice: ModelChoice, limits: Limits) -> None:
    """Shows the tab."""
    gr.Markdown("The same clip through this codec, and through Opus and Codec2 at their lowest rates.")
    with gr.Row():
        with gr.Column():
            source = audio_input("A clip", "compare")
            with gr.Row():
                start = gr.Button("Compare", variant="primary", elem_id="compare_start")
                stop = gr.Button("Stop", elem_id="compare_stop")
            status = gr.Markdown(elem_id="compare_status")
        with gr.Column():
            original = audio_output("Original, at the codec's rate", "compare_original")
            ours = audio_output("The codec", "compare_codec")
            others = [audio_output(BASELINES[name].title, f"compare_{name}") for name in COMPARED]

    @told
    def run(path: str | None, *chosen: str) -> Iterator[dict]:
        path = need_clip(path)
        yield {status: "Loading the codec …"}
        codec = models.codec(Choice(*chosen))
        heard = None
        for item in one_at_a_time(models, listen(codec, path, limits.example_seconds)):
            if isinstance(item, Step):
                yield {status: progress(item)}
            else:
                heard = item
        yield {status: "Opus and Codec2 …"}
        compared = compare(heard.original, heard.rate)
        values = {
            status: rates_table(heard, compared),
            original: playable(heard.rate, heard.original),
            ours: playable(heard.rate, heard.versions[0].samples),
        }
        for player, other in zip(others, compared):
            there = other.samples is not None
            values[player] = gr.Audio(playable(heard.rate, other.samples) if there else None, visible=there)
        yield values

    outputs = [status, original, ours, *others]
    event = start.click(run, [source, *choice], outputs, show_progress="minimal", **QUEUE, **PRIVATE)
    stop.click(lambda: "Stopped.", None, status, cancels=[event], queue=False, **PRIVATE)


def rates_table(heard: Heard, compared: Sequence[Compared]) -> str:
    """What each codec wrote for the clip, as a table in Markdown."""
    rows = [("This codec, all layers", f"{heard.versions[0].bitrate:.0f} bit/s")]
    rows += [
        (other.title, f"{other.bitrate:.0f} bit/s" if other.missing is None else f"not here: {other.missing}")
        for other in compared
    ]
    return markdown_table(["Codec", "Rate on this clip"], rows)


__all__ = ["compare_tab"]
