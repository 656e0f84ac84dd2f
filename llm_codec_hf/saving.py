# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""The folder of a codec: weights, configuration, processor, and the code that loads all of it without this package."""

from pathlib import Path

from transformers.dynamic_module_utils import custom_object_save

from .modeling_llm_codec import LLMCodecModel
from .pipeline_audio_fewshot import AudioFewShotPipeline
from .processing_llm_codec import LLMCodecProcessor


def save_codec(model: LLMCodecModel, processor: LLMCodecProcessor, folder: str | Path) -> None:
    """
    Saves a codec so that `AutoModel`, `AutoModelForAudioTokenization`, `AutoFeatureExtractor`, `AutoProcessor` and
    `pipeline("audio-fewshot")` load it, with this package or, by `trust_remote_code=True`, without.

    Args:
        model (`LLMCodecModel`): The codec.
        processor (`LLMCodecProcessor`): Its words.
        folder (`str` or `Path`): Where to; made if it is not there.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    model_class, pipeline_class = type(model).__name__, AudioFewShotPipeline.__name__
    module = type(model).__module__.rsplit(".", 1)[-1]
    model.config.auto_map = {"AutoModelForAudioTokenization": f"{module}.{model_class}"}
    pipeline_module = AudioFewShotPipeline.__module__.rsplit(".", 1)[-1]
    model.config.custom_pipelines = {
        "audio-fewshot": {"impl": f"{pipeline_module}.{pipeline_class}", "pt": ["AutoModel"], "type": "audio"}
    }
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    custom_object_save(AudioFewShotPipeline, folder)
