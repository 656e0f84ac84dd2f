# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Rows of a tokenized corpus, read back: as codes, as audio, and as token ids of a language model."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from ..code_ids_llm_codec import Layers
from ..code_layout_llm_codec import DEFAULT_LAYOUT
from ..files.encoded_clip import fingerprint_codebooks
from ..modeling_llm_codec import LLMCodecModel
from ..processing_llm_codec import LLMCodecProcessor
from .identity import SHORT


def row_to_codes(row: Mapping[str, Any], codes_per_group: int) -> torch.LongTensor:
    """
    The codes of a row, in either layout of Parquet or as WebDataset has them.

    Args:
        row: With `audio_codes`: a list of groups, a flat list of the groups' codes in turn, or an array of these.
        codes_per_group: Of the codec.

    Returns:
        int64, `(codes_per_group, groups)`, as `encode` gives them for a clip and the processor takes them.

    Raises:
        ValueError: For codes that are not those of whole groups.
    """
    codes = torch.as_tensor(np.asarray(row["audio_codes"]), dtype=torch.long)
    if codes.dim() == 1 and len(codes) % codes_per_group == 0:
        codes = codes.view(-1, codes_per_group)
    if codes.dim() != 2 or codes.shape[1] != codes_per_group:
        raise ValueError(
            f"`audio_codes` of the shape {tuple(codes.shape)} are no groups of {codes_per_group} codes: they are of "
            "another codec, or damaged."
        )
    return codes.T.contiguous()


@torch.no_grad()
def decode_row(row: Mapping[str, Any], model: LLMCodecModel) -> np.ndarray:
    """
    The audio of a row.

    Args:
        row: Of a tokenized corpus.
        model: The codec that wrote it.

    Returns:
        float32, `(num_samples,)`, at `row["sampling_rate"]` Hz.

    Raises:
        ValueError: If another codec wrote it.
    """
    name, _, fingerprint = row["codec"].rpartition("@")
    if (other := fingerprint_codebooks(model)[:SHORT]) != fingerprint:
        raise ValueError(
            f"The row was written by the codec {name!r} with codebooks {fingerprint}, this one's are {other}: decoded "
            "by it, the codes would be noise."
        )
    codes = row_to_codes(row, model.config.codes_per_group)[None].to(model.device)
    audio = model.decode(codes, length=row["num_samples"]).audio_values
    return audio[0, 0].float().cpu().numpy()


def row_to_ids(
    row: Mapping[str, Any], processor: LLMCodecProcessor, layers: Layers = None, layout: str = DEFAULT_LAYOUT
) -> list[int]:
    """
    The token ids of a row, by which a language model reads or learns it.

    Args:
        row: Of a tokenized corpus.
        processor: Of the codec that wrote it.
        layers: The layers to write, in ascending order; None for all.
        layout: `"layer_major"` or `"time_major"`, as `codes_to_ids` takes it.

    Raises:
        ValueError: For codes that the processor does not have.
    """
    return processor.codes_to_ids(row_to_codes(row, processor.codes_per_group), layers, layout)


__all__ = ["decode_row", "row_to_codes", "row_to_ids"]
