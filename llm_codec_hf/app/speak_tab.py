# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""The tab "Speak"."""

import base64
from collections.abc import Iterator

import gradio as gr
import numpy as np

from .clips import Limits, pcm
from .models import Choice, Models
from .speaking import MOST_SECONDS, speak
from .widgets import PRIVATE, QUEUE, ExamplesEditor, ModelChoice, audio_output, one_at_a_time, playable, told

TEMPLATE = "an audio of a {label}"
# Plays audio while it grows, sample for sample and without a gap; Gradio's own stream needs ffmpeg, and compresses.
# `play` gets all that there is so far, as the page may leave out some of what comes fast.
PLAYER = """<script>
window.llmCodecPlayer = {
  begin() {
    this.end();
    this.context = new AudioContext();
    this.heard = 0;
    this.until = 0;
  },
  play(text) {
    if (!text || !this.context) return;
    const [rate, data] = text.split(":");
    const samples = new Int16Array(Uint8Array.from(atob(data), (c) => c.charCodeAt(0)).buffer);
    const fresh = Float32Array.from(samples.subarray(this.heard), (sample) => sample / 32768);
    if (!fresh.length) return;
    this.heard = samples.length;
    const buffer = this.context.createBuffer(1, fresh.length, Number(rate));
    buffer.copyToChannel(fresh, 0);
    const source = this.context.createBufferSource();
    source.buffer = buffer;
    source.connect(this.context.destination);
    this.until = Math.max(this.until, this.context.currentTime);
    source.start(this.until);
    this.until += buffer.duration;
  },
  end() {
    if (this.context) this.context.close();
    this.context = null;
  },
};
</script>"""


def speak_tab(models: Models, choice: ModelChoice, limits: Limits) -> None:
    """Shows the tab; the page needs `PLAYER` in its head."""
    gr.Markdown(
        "A frozen language model reads texts with the clips that answer them, and answers another text with audio, "
        "which plays while it is written."
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
        with gr.Column():
            status = gr.Markdown(elem_id="speak_status")
            whole = audio_output("The whole", "speak_whole")
    written = gr.Textbox(visible="hidden", elem_id="speak_written")

    @told
    def run(examples: list, asked: str, length: float, heat: float, number: int, *chosen: str) -> Iterator[dict]:
        yield {status: "Reading the examples …", whole: None, written: ""}
        pipe = models.pipeline(Choice(*chosen))
        rate, made = pipe.feature_extractor.sampling_rate, np.zeros(0, np.float32)
        for piece in one_at_a_time(models, speak(pipe, asked, examples, length, heat, number)):
            made = np.concatenate([made, piece])
            yield {
                status: f"{len(made) / rate:.2f} s of {length:.2f} s written …",
                written: f"{rate}:{base64.b64encode(pcm(made).astype('<i2').tobytes()).decode()}",
            }
        yield {status: f"{len(made) / rate:.2f} s of audio.", whole: playable(rate, made)}

    start.click(None, js="() => { llmCodecPlayer.begin() }", **PRIVATE)
    written.change(None, written, js="(text) => { llmCodecPlayer.play(text) }", **PRIVATE)
    inputs = [editor.state, text, seconds, temperature, seed, *choice]
    event = start.click(run, inputs, [status, whole, written], show_progress="minimal", **QUEUE, **PRIVATE)
    stop.click(None, js="() => { llmCodecPlayer.end() }", **PRIVATE)
    stop.click(lambda: "Stopped.", None, status, cancels=[event], queue=False, **PRIVATE)


__all__ = ["PLAYER", "speak_tab"]
