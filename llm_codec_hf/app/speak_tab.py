# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""The tab "Speak"."""

import io
import shutil
from collections.abc import Iterator

import gradio as gr
import numpy as np
import soundfile

from .clips import Limits, pcm
from .models import Choice, Models
from .speaking import MOST_SECONDS, speak
from .widgets import PRIVATE, QUEUE, ExamplesEditor, ModelChoice, audio_output, one_at_a_time, playable, told

TEMPLATE = "an audio of a {label}"


def speak_tab(models: Models, choice: ModelChoice, limits: Limits) -> None:
    """Shows the tab."""
    streams = shutil.which("ffmpeg") is not None  # which Gradio streams by
    gr.Markdown(
        "A frozen language model reads texts with the clips that answer them, and answers another text with audio, "
        "which plays while it is written."
        + ("" if streams else " *Here it comes whole at the end: playing it before needs the program ffmpeg.*")
    )
    gr.Markdown("### 1. Examples")
    editor = ExamplesEditor(models, choice, limits, "Text", TEMPLATE, "speak")
    gr.Markdown("### 2. A text to answer")
    with gr.Row():
        with gr.Column():
            text = gr.Textbox(label="Text", value=TEMPLATE.format(label="kick"), max_lines=1, elem_id="speak_text")
            with gr.Row():
                seconds = gr.Slider(0.24, MOST_SECONDS, value=0.96, step=0.24, label="Seconds", elem_id="speak_seconds")
                temperature = gr.Slider(0, 1.5, value=0, step=0.1, label="Temperature", elem_id="speak_temperature")
                seed = gr.Number(0, label="Seed", precision=0, minimum=0, elem_id="speak_seed")
            with gr.Row():
                start = gr.Button("Speak", variant="primary", elem_id="speak_start")
                stop = gr.Button("Stop", elem_id="speak_stop")
            status = gr.Markdown(elem_id="speak_status")
        with gr.Column():
            stream = audio_output("While it is written", "speak_stream", streaming=True, autoplay=True, visible=streams)
            whole = audio_output("The whole", "speak_whole")

    @told
    def run(examples: list, asked: str, length: float, heat: float, number: int, *chosen: str) -> Iterator[dict]:
        yield {status: "Loading the models …", whole: None}
        pipe = models.pipeline(Choice(*chosen))
        rate = pipe.feature_extractor.sampling_rate
        yield {status: "Reading the examples …"}
        pieces = []
        for piece in one_at_a_time(models, speak(pipe, asked, examples, length, heat, number)):
            pieces.append(piece)
            told_so_far = {status: f"{sum(map(len, pieces)) / rate:.2f} s of {length:.2f} s written …"}
            yield told_so_far | ({stream: wav(rate, piece)} if streams else {})
        made = np.concatenate(pieces)
        yield {status: f"{len(made) / rate:.2f} s of audio.", whole: playable(rate, made)}

    inputs = [editor.state, text, seconds, temperature, seed, *choice]
    event = start.click(run, inputs, [status, stream, whole], show_progress="minimal", **QUEUE, **PRIVATE)
    stop.click(lambda: "Stopped.", None, status, cancels=[event], queue=False, **PRIVATE)


def wav(rate: int, samples: np.ndarray) -> bytes:
    """float32 samples as the bytes of a WAV file."""
    file = io.BytesIO()
    soundfile.write(file, pcm(samples), rate, format="WAV", subtype="PCM_16")
    return file.getvalue()


__all__ = ["speak_tab"]
