# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Spectrograms of a clip and of what a codec makes of it, with the clip's words below."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch

WINDOW, HOP = 512, 128  # samples of the spectrograms


def draw_spectrograms(signals: Mapping[str, np.ndarray], words: Sequence[str], rate: int, seconds: float):
    """
    Draws spectrograms, one below the other, and the words below them.

    Args:
        signals: What each panel is called → float32 `(samples,)`, all equally long.
        words: One every `seconds`.
        rate: Of the signals, in Hz.
        seconds: Span of a word.

    Returns:
        `matplotlib.figure.Figure`, to be saved with `savefig`.

    Raises:
        ImportError: where matplotlib is missing.
    """
    from matplotlib.figure import Figure  # no pyplot: no display, no global state

    duration = max(len(signal) for signal in signals.values()) / rate
    height = len(signals)
    figure = Figure(figsize=(max(6.0, 1.2 * len(words)), 2 * height + 2), layout="constrained")
    axes = figure.subplots(height + 1, 1, sharex=True, gridspec_kw={"height_ratios": [4] * height + [1]})
    window = torch.hann_window(WINDOW)
    for axis, (name, signal) in zip(axes, signals.items()):
        # zeros at the ends, as a clip may be shorter than what a reflection needs
        spectrum = torch.stft(
            torch.from_numpy(signal), WINDOW, HOP, window=window, pad_mode="constant", return_complex=True
        )
        decibel = 20 * (spectrum.abs() + 1e-4).log10().numpy()
        image = axis.imshow(
            decibel,
            origin="lower",
            aspect="auto",
            extent=(0, duration, 0, rate / 2000),
            vmin=-60,
            vmax=35,
            cmap="magma",
        )
        axis.set_ylabel("kHz")
        axis.set_title(name, loc="left")
    figure.colorbar(image, ax=axes[:height], label="dB")
    last = axes[height]
    last.set(yticks=[], xlim=(0, duration), xlabel="seconds")
    last.set_title(f"layer 0: a word every {seconds:.2f} s", loc="left")
    for i, word in enumerate(words):
        last.axvline(i * seconds, color="gray", linewidth=0.5)
        if (i + 0.5) * seconds < duration:
            # words of a language model may hold a dollar sign, which would begin a formula
            text = word.replace("$", r"\$")
            last.text((i + 0.5) * seconds, 0.5, text, ha="center", va="center", fontsize=9, rotation=30)
    return figure


__all__ = ["draw_spectrograms"]
