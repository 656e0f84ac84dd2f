# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""What the methods and measures of a report are, in words."""

from .baselines import BASELINES

NAMES = {
    "shuffled_words": "the prompt with the words of another query in the query's place",
    "nearest": "the label of the demonstration nearest to the query on the same codes; no language model",
    **BASELINES,
    "blend_shuffled_words": "the scoring `blend` where the language model hears another query, and the nearest "
    "demonstration is the query's own: what the words alone give",
    "text_only": "the prompt without any audio: what the language model expects of the labels' names",
    "shuffled_labels": "the demonstrations' labels permuted",
    "random": "a label drawn at random",
    "heard": "the label that a recogniser hears in the audio that the language model made, if it hears just one",
    "written": "the label of the demonstration that has the most codes of what the language model wrote, at their "
    "places; no recogniser",
    "codec": "the label that the recogniser hears in a clip that would be right, encoded and decoded: what the codec "
    "allows",
    "original": "the label that the recogniser hears in that clip itself",
}
MEASURED = {  # what metrics were computed of
    "generated": "the audio that the language model made",
    "shuffled": "the same, measured against the target of another query",
    "input": "the query's clip, as it is",
    "input_codec": "the query's clip, encoded and decoded",
    "codec": "the clip that would be right, encoded and decoded: what the codec allows",
    "original": "the clip that would be right, as it is",
}
