# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""
LLM-Codec for Transformers: a codec that writes audio in words of a frozen language model.

Importing this package registers the codec with the auto classes of Transformers and the pipeline `audio-fewshot`.
"""

from transformers import (
    AutoConfig,
    AutoFeatureExtractor,
    AutoModel,
    AutoModelForAudioTokenization,
    AutoProcessor,
)
from transformers.pipelines import PIPELINE_REGISTRY

from .configuration_llm_codec import LLMCodecConfig, LLMCodecEncoderConfig
from .embedded import default_codec, language_model_of
from .feature_extraction_llm_codec import LLMCodecFeatureExtractor
from .files.codec_folder import save_codec
from .modeling_llm_codec import (
    LLMCodecDecoderOutput,
    LLMCodecEncoderModel,
    LLMCodecEncoderOutput,
    LLMCodecModel,
    LLMCodecOutput,
    LLMCodecPreTrainedModel,
)
from .pipeline_audio_fewshot import AudioFewShotPipeline
from .processing_llm_codec import FewShotTemplate, LLMCodecProcessor

__version__ = "0.1.0"

AutoConfig.register("llm_codec", LLMCodecConfig)
AutoModel.register(LLMCodecConfig, LLMCodecModel)
AutoConfig.register("llm_codec_encoder", LLMCodecEncoderConfig)
AutoModel.register(LLMCodecEncoderConfig, LLMCodecEncoderModel)
AutoFeatureExtractor.register(LLMCodecEncoderConfig, LLMCodecFeatureExtractor)
AutoModelForAudioTokenization.register(LLMCodecConfig, LLMCodecModel)
AutoFeatureExtractor.register(LLMCodecConfig, LLMCodecFeatureExtractor)
AutoProcessor.register(LLMCodecConfig, LLMCodecProcessor)

# What is saved carries its code, so that it loads without this package (`trust_remote_code=True`).
LLMCodecConfig.register_for_auto_class("AutoConfig")
LLMCodecModel.register_for_auto_class("AutoModel")
LLMCodecEncoderConfig.register_for_auto_class("AutoConfig")
LLMCodecEncoderModel.register_for_auto_class("AutoModel")
LLMCodecFeatureExtractor.register_for_auto_class("AutoFeatureExtractor")
LLMCodecProcessor.register_for_auto_class("AutoProcessor")

PIPELINE_REGISTRY.register_pipeline(
    "audio-fewshot",
    pipeline_class=AudioFewShotPipeline,
    pt_model=AutoModel,
    default={"model": (str(default_codec()), "main")},
    type="audio",
)
# What a saved codec tells of its pipeline, without a folder of this machine
AudioFewShotPipeline._registered_impl = {
    "audio-fewshot": {"impl": AudioFewShotPipeline, "pt": (AutoModel,), "type": "audio"}
}
AudioFewShotPipeline.find_language_model = staticmethod(language_model_of)

__all__ = [
    "AudioFewShotPipeline",
    "FewShotTemplate",
    "LLMCodecConfig",
    "LLMCodecDecoderOutput",
    "LLMCodecEncoderConfig",
    "LLMCodecEncoderModel",
    "LLMCodecEncoderOutput",
    "LLMCodecFeatureExtractor",
    "LLMCodecModel",
    "LLMCodecOutput",
    "LLMCodecPreTrainedModel",
    "LLMCodecProcessor",
    "__version__",
    "save_codec",
]
