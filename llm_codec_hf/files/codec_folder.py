# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""The folder of a codec: weights, configuration, processor, and the code that loads all of it without this package."""

import hashlib
from pathlib import Path

import torch

from ..modeling_llm_codec import LLMCodecEncoderModel, LLMCodecModel
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
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


def load_codec(folder: str | Path, encoder_alone: bool = False, **kwargs) -> LLMCodecModel | LLMCodecEncoderModel:
    """
    Loads a codec for inference, and refuses one whose weights are not those of a codec.

    Args:
        folder (`str` or `Path`): Its folder or id.
        encoder_alone (`bool`): Whether to load no decoder.
        kwargs: Further arguments of `from_pretrained`.

    Returns:
        `LLMCodecModel` or `LLMCodecEncoderModel`: In evaluation mode.

    Raises:
        OSError: for a folder that lacks weights or configuration, and for files that are cut.
        ValueError: for a configuration that no codec can have, for tensors that are missing, not finite or of other
            sizes; the message names them.
    """
    kind = LLMCodecEncoderModel if encoder_alone else LLMCodecModel
    model = kind.from_pretrained(folder, **{"use_safetensors": True, **kwargs}).eval()
    model.check_weights()
    return model


def weights_sha256(model: torch.nn.Module) -> str:
    """
    A hash that tells one set of weights from another.

    Args:
        model (`torch.nn.Module`): The model, on any device.

    Returns:
        `str`: The SHA-256 of the names and bytes of all parameters and persistent buffers, in hexadecimal.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
