# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Converts a checkpoint of the original LLM-Codec to a folder that `from_pretrained` loads."""

import hashlib
import json
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from huggingface_hub import HfApi
from huggingface_hub.utils import validate_repo_id
from safetensors.torch import save_file
from transformers import AutoTokenizer

from llm_codec_hf import LLMCodecConfig, LLMCodecFeatureExtractor, LLMCodecModel, LLMCodecProcessor, save_codec

from ..extras import require
from ..files.atomic import whole_folder
from .card import make_model_card
from .original_checkpoint import (
    StateDict,
    convert_state_dict,
    existing_file,
    make_config,
    one_line,
    quantizer_names,
    read_options,
    read_state_dict,
)
from .tokenizer import load_sentencepiece_tokenizer
from .verification import verify

logger = logging.getLogger(__package__)

EMBEDDINGS_NAME = "codebook_embeddings.safetensors"


def convert(
    checkpoint_path: str | Path,
    config_path: str | Path,
    words_path: str | Path | None,
    tokenizer: str | Path,
    output_dir: str | Path,
    keep_embeddings: bool = False,
    push_to_hub: str | None = None,
) -> Path:
    """
    Converts a checkpoint, and checks what was written against the original's tensors before it appears.

    Args:
        checkpoint_path (`str` or `Path`): The original's `.pth`.
        config_path (`str` or `Path`): Its options, YAML or JSON.
        words_path (`str` or `Path`, *optional*): The `.npy` list with the word of every code of layer 0. None for a
            checkpoint whose layer 0 has an entry for every token, as the other layers have: the words are the tokens.
        tokenizer (`str` or `Path`): Tokenizer of the language model whose embeddings the codebooks hold: a
            SentencePiece `.model` file, or a folder or id for `AutoTokenizer`.
        output_dir (`str` or `Path`): Where to write; must not exist, or be an empty folder.
        keep_embeddings (`bool`): Whether to keep the embedding tables and their projections for training, in a file
            of their own.
        push_to_hub (`str`, *optional*): Id of the Hub repository to upload the folder to.

    Returns:
        `Path`: The folder.

    Raises:
        ValueError: for any input that is missing, damaged or does not fit the others. Nothing is left behind then.
        RuntimeError: where the result fails its check. Nothing is left behind then either.
    """
    output_dir = Path(output_dir).resolve()
    if output_dir.exists() and not (output_dir.is_dir() and not any(output_dir.iterdir())):
        raise ValueError(f"{output_dir} exists already; nothing is overwritten: give another folder, or remove it.")
    if push_to_hub is not None:
        validate_repo_id(push_to_hub)
    options = read_options(config_path)
    state = read_state_dict(checkpoint_path)
    config = make_config(options, state)
    logger.info("Read %d tensors of %s.", len(state), Path(checkpoint_path).name)
    processor = make_processor(config, words_path, tokenizer)

    with whole_folder(output_dir) as unfinished:
        with torch.device("meta"):
            model = LLMCodecModel(config)
        model.load_state_dict(convert_state_dict(config, state), assign=True)
        save_codec(model, processor, unfinished)
        if keep_embeddings:
            save_embeddings(state, config.num_codebooks, unfinished / EMBEDDINGS_NAME)
        card = make_model_card(
            config,
            file_name=Path(checkpoint_path).name,
            sha256=sha256_of(checkpoint_path),
            parameters=sum(parameter.numel() for parameter in model.parameters()),
            vocabulary=len(processor.tokenizer),
            model_id=push_to_hub or "path/to/this/folder",
            has_embeddings=keep_embeddings,
        )
        (unfinished / "README.md").write_text(card, encoding="utf-8")
        del model
        verify(unfinished, options, state, processor.words)
    logger.info("Wrote %s.", output_dir)
    if push_to_hub is not None:
        push(output_dir, push_to_hub)
    return output_dir


# ---- Words and tokenizer


def make_processor(config: LLMCodecConfig, words_path: str | Path | None, tokenizer: str | Path) -> LLMCodecProcessor:
    """
    The processor of a converted codec: layer 0's codes are words, the other layers' the tokens of the same number.

    Raises:
        ValueError: for a word list or tokenizer that is missing, damaged or does not fit the codebooks.
    """
    words = None if words_path is None else read_words(words_path, config.codebook_sizes[0])
    loaded = load_tokenizer(tokenizer, words or ())
    if len(loaded) < max(config.codebook_sizes[1:]):
        raise ValueError(
            f"The tokenizer {tokenizer} has {len(loaded)} tokens, but the codebooks of layers 1 and on have "
            f"{config.codebook_sizes[1:]} entries, a token each: give the tokenizer of the checkpoint's language model."
        )
    token_ids = [None, *({"range": size} for size in config.codebook_sizes[1:])]
    if words is None:
        if len(set(config.codebook_sizes)) > 1:
            raise ValueError(
                f"A word list is needed (`words_path`): layer 0 has {config.codebook_sizes[0]} entries, and only where "
                f"it has as many as the other layers ({config.codebook_sizes[1:]}) are its words the tokens themselves."
            )
        words = loaded.convert_ids_to_tokens(range(config.codebook_sizes[0]))
        token_ids[0] = {"range": config.codebook_sizes[0]}
    return LLMCodecProcessor(
        LLMCodecFeatureExtractor(sampling_rate=config.sampling_rate),
        loaded,
        words,
        token_ids=token_ids,
        vq_strides=config.vq_strides,
    )


def read_words(path: str | Path, size: int) -> list[str]:
    """
    Reads the word list of layer 0.

    Raises:
        ValueError: for a file that is missing, is no plain `.npy` array of different words, or has not `size` of them.
    """
    path = existing_file(path, "word list")
    try:
        words = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise ValueError(
            f"The word list {path} is no .npy file that loads without pickle: {one_line(error)}"
        ) from error
    if not isinstance(words, np.ndarray) or words.ndim != 1 or words.dtype.kind != "U":
        found = f"{words.dtype} of shape {words.shape}" if isinstance(words, np.ndarray) else "an archive"
        raise ValueError(f"The word list {path} must be a one-dimensional array of strings, got {found}.")
    words = words.tolist()
    if len(words) != size:
        raise ValueError(f"The word list {path} has {len(words)} words, but layer 0's codebook has {size} entries.")
    if empty := [i for i, word in enumerate(words) if not word.strip()]:
        raise ValueError(f"Word {empty[0]} of {path} is blank; every entry of layer 0's codebook needs a word.")
    if len(set(words)) < size:
        twice = next(word for i, word in enumerate(words) if word in words[:i])
        raise ValueError(f"The word list {path} has {twice!r} more than once; each code needs a word of its own.")
    return words


def load_tokenizer(tokenizer: str | Path, words: Sequence[str] = ()):
    """
    Loads a tokenizer from a SentencePiece `.model` file, or from a folder or id through `AutoTokenizer`.

    Raises:
        ImportError: where that takes the sentencepiece package, which is missing.
        ValueError: where that fails otherwise.
    """
    if Path(tokenizer).suffix == ".model":
        return load_sentencepiece_tokenizer(tokenizer, words)
    try:
        return AutoTokenizer.from_pretrained(str(tokenizer))
    except Exception as error:  # missing, gated, unreachable, damaged, …: each its own class
        if "sentencepiece" in str(error).lower() or "tiktoken" in str(error):  # without the former it tries the latter
            require("convert", f"Reading the tokenizer {tokenizer}", "sentencepiece")
        raise ValueError(
            f"No tokenizer could be loaded from {str(tokenizer)!r}; give a SentencePiece .model file, or a folder or "
            f"id that `AutoTokenizer` loads. ({one_line(error)})"
        ) from error


# ---- Further files


def save_embeddings(state: StateDict, num_layers: int, path: Path) -> None:
    """
    Writes the embedding tables and projections that codebooks are computed from, for training.

    A table is `embeddings.words` (layer 0), `embeddings.tokens` (layer 1) or `embeddings.tokens_{k}`, and is written
    once for all layers that have it; the metadata's `layers` is a JSON list of each layer's name. Layer k's codebook is
    `embeddings.NAME @ projections.{k}.weight.T + projections.{k}.bias`.
    """
    tables, names, tensors = [], [], {}
    for layer in range(num_layers):
        table, weight, bias = (state[name] for name in quantizer_names(layer))
        own_name = ("words", "tokens")[layer] if layer < 2 else f"tokens_{layer}"
        name = next((name for other, name in zip(tables, names) if torch.equal(other, table)), own_name)
        tables.append(table)
        names.append(name)
        if name == own_name:
            tensors[f"embeddings.{name}"] = table
        tensors |= {f"projections.{layer}.weight": weight, f"projections.{layer}.bias": bias}
    tensors = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
    save_file(tensors, path, metadata={"format": "pt", "layers": json.dumps(names)})


def sha256_of(path: str | Path) -> str:
    """A file's SHA-256 in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# ---- The Hub


def push(folder: Path, repo_id: str) -> None:
    """Uploads a folder to a Hub repository, which is created if it is not there."""
    api = HfApi()
    api.create_repo(repo_id, exist_ok=True)
    commit = api.upload_folder(repo_id=repo_id, folder_path=folder, commit_message="Converted LLM-Codec checkpoint")
    logger.info("Pushed %s.", commit.commit_url)
