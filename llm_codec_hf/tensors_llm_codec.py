# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""
Checks of tensors, before anything is computed: an error that says what came, what was expected and what to do.

What a tensor holds cannot be looked at while its program is compiled: kind, shape and dtype are checked always, values
only when they are there.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

# Decoders of lossy formats overshoot ±1 by some decibels; what is louder than +12 dB is no audio in −1 … 1, but integer
# samples as floats, or audio that somebody has normalised to unit variance.
MAX_PEAK = 4.0

FLOATS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)


def check_tensor(name: str, value: Any, shape: str) -> None:
    """
    Checks that a value is a tensor.

    Args:
        name: The argument's name.
        value: What came.
        shape: The shape that is expected, in words.

    Raises:
        TypeError: For anything else, such as an array or a list; the message says what makes a tensor of it.
    """
    if not isinstance(value, torch.Tensor):
        maker = "torch.from_numpy" if isinstance(value, np.ndarray) else "torch.tensor"
        raise TypeError(
            f"`{name}` takes a tensor of the shape {shape}, got {type(value).__name__}: pass {maker}({name})."
        )


def check_stored(name: str, value: torch.Tensor, device: torch.device | None) -> None:
    """
    Checks that the values of a tensor can be computed with.

    Args:
        name: The argument's name.
        value: The tensor.
        device: Where it must be; None for anywhere.

    Raises:
        ValueError: For a sparse, nested or quantized tensor, for one without values, and for one on another device.
    """
    if value.is_nested or value.layout != torch.strided or value.is_quantized:
        raise ValueError(f"`{name}` takes a dense tensor, got one of another layout; call `.to_dense()`.")
    if value.device.type == "meta":
        raise ValueError(f"`{name}` lies on the device meta, where tensors hold no values.")
    if device is not None and value.device != device:
        raise ValueError(f"`{name}` lies on {value.device}, but the codec on {device}: move it there.")


def check_audio(name: str, audio: Any, device: torch.device | None) -> None:
    """
    Checks mono audio `(batch, 1, samples)`.

    Args:
        name: The argument's name.
        audio: What came.
        device: Where it must be; None for anywhere.

    Raises:
        TypeError: For anything but a tensor.
        ValueError: For another shape or dtype, and for samples that are not finite or beyond `MAX_PEAK`.
    """
    check_tensor(name, audio, "(batch, 1, samples)")
    if audio.dim() != 3 or audio.shape[1] != 1 or not audio.numel():
        raise ValueError(f"`{name}` must be mono audio of the shape (batch, 1, samples), got {tuple(audio.shape)}.")
    if audio.dtype not in FLOATS:
        raise ValueError(f"`{name}` must be floating-point audio in −1 … 1, got {audio.dtype}.")
    if torch.compiler.is_compiling():
        return
    check_stored(name, audio, device)
    peak = float(audio.detach().abs().amax())  # NaN where one sample is
    if not peak < float("inf"):
        raise ValueError(f"`{name}` holds NaN or infinite samples; clean the audio first.")
    if peak > MAX_PEAK:
        raise ValueError(
            f"`{name}` has a peak of {peak:g}, but audio lies in −1 … 1 (up to {MAX_PEAK:g} is taken): scale it back."
        )


def check_mask(
    name: str, mask: Any, shapes: Sequence[tuple[int, ...]], device: torch.device | None
) -> torch.BoolTensor:
    """
    Checks a mask of 1s and 0s.

    Args:
        name: The argument's name.
        mask: What came.
        shapes: The shapes that are taken, each of as many values as the first.
        device: Where it must be; None for anywhere.

    Returns:
        The mask as booleans, in the first of the shapes.

    Raises:
        TypeError: For anything but a tensor.
        ValueError: For another shape, and for other values.
    """
    check_tensor(name, mask, str(shapes[0]))
    if tuple(mask.shape) not in shapes:
        raise ValueError(f"`{name}` must have the shape {shapes[0]}, got {tuple(mask.shape)}.")
    if not torch.compiler.is_compiling():
        check_stored(name, mask, device)
        if mask.dtype != torch.bool and not ((mask == 0) | (mask == 1)).all():
            raise ValueError(f"`{name}` takes 1 and 0 (or true and false), got other values, too.")
    return mask.bool().reshape(shapes[0])


def run_lengths(name: str, mask: torch.BoolTensor) -> torch.LongTensor:
    """
    The lengths of the items of a mask `(batch, steps)`, of 1s and then 0s.

    Raises:
        ValueError: For a mask with holes, or with 0s at its start.
    """
    lengths = mask.sum(dim=-1)
    if not torch.compiler.is_compiling() and (mask[:, 1:] & ~mask[:, :-1]).any():
        raise ValueError(
            f"`{name}` takes 1s and then 0s for each item, without holes: an item starts at once and ends once."
        )
    return lengths


__all__ = ["MAX_PEAK"]
