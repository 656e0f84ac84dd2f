# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""The folder of a codec: weights, configuration, processor, and the code that loads all of it without this package."""

from pathlib import Path

from ..modeling_llm_codec import LLMCodecModel
from ..pipeline_audio_fewshot import add_pipeline
from ..processing_llm_codec import LLMCodecProcessor


def save_codec(model: LLMCodecModel, processor: LLMCodecProcessor, folder: str | Path) -> None:
    """
    Saves a codec so that `AutoModel`, `AutoModelForAudioTokenization`, `AutoFeatureExtractor`, `AutoProcessor` and
    `pipeline("audio-fewshot")` load it, with this package or, by `trust_remote_code=True`, without.

    Args:
        model (`LLMCodecModel`): The codec.
        processor (`LLMCodecProcessor`): Its words.
        folder (`str` or `Path`): Where to; made if it is not there.
    """
    module, name = type(model).__module__.rpartition(".")[2], type(model).__name__
    model.config.auto_map = {"AutoModelForAudioTokenization": f"{module}.{name}"}  # the others add themselves
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    add_pipeline(folder)
