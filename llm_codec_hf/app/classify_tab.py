# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""The tab "Classify"."""

import gradio as gr

from .classifying import classify
from .clips import Limits, read_clip
from .models import Choice, Models
from .widgets import PRIVATE, QUEUE, ExamplesEditor, ModelChoice, audio_input, need_clip, told


def classify_tab(models: Models, choice: ModelChoice, limits: Limits) -> None:
    """Shows the tab."""
    gr.Markdown("A frozen language model reads the examples' words with their labels, and names another clip.")
    gr.Markdown("### 1. Examples")
    editor = ExamplesEditor(models, choice, limits, "Label", "{label}", "classify")
    gr.Markdown("### 2. A clip to name")
    with gr.Row():
        with gr.Column():
            query = audio_input("The query", "classify_query")
            start = gr.Button("Name it", variant="primary", elem_id="classify_start")
            status = gr.Markdown(elem_id="classify_status")
        scores = gr.Label(label="The language model", elem_id="classify_scores")
        nearest = gr.Label(label="The nearest example", elem_id="classify_nearest")
    prompt = gr.Textbox(
        label="The prompt, as the language model reads it", lines=8, interactive=False, elem_id="classify_prompt"
    )

    @told
    def run(examples: list, path: str | None, *chosen: str) -> dict:
        path = need_clip(path)
        pipe = models.pipeline(Choice(*chosen))
        with models.computing:
            answer = classify(pipe, examples, read_clip(path, pipe.feature_extractor, limits.example_seconds))
        return {
            scores: answer.scores,
            nearest: answer.nearest_scores,
            prompt: answer.prompt,
            status: f"The query's words: *{' '.join(answer.words)}*. The prompt has {answer.tokens} tokens. The scores "
            "of the language model add up to 1; those of the nearest example are the share of the query's words that "
            "it has.",
        }

    outputs = [scores, nearest, prompt, status]
    start.click(run, [editor.state, query, *choice], outputs, **QUEUE, **PRIVATE)


__all__ = ["classify_tab"]
