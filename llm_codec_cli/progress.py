# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""A bar for long audio."""

import contextlib
from collections.abc import Iterable, Iterator


@contextlib.contextmanager
def progress(name: str, blocks: Iterable, length: int, sampling_rate: int) -> Iterator[Iterator]:
    """
    Blocks of samples, whose passing a bar shows on a terminal, in seconds, if they are several.

    Args:
        name: The file that the bar names.
        blocks: The blocks, `(..., samples)` each.
        length: Samples of all blocks together.
        sampling_rate: In Hz.
    """
    from transformers.utils import logging

    from llm_codec_hf.files.encoded_clip import BLOCK_S

    seconds = length // sampling_rate
    disable = None if seconds >= 2 * BLOCK_S else True
    with logging.tqdm(total=seconds, unit="s", desc=name, leave=False, disable=disable) as bar:

        def passing():
            passed = 0
            for block in blocks:
                yield block
                seconds = passed // sampling_rate
                passed += block.shape[-1]
                bar.update(passed // sampling_rate - seconds)

        yield passing()
