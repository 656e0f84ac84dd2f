# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""What a codec in training sounds like: metrics, clips and spectrograms."""

from pathlib import Path

import numpy as np
import soundfile as sf
import torch
from accelerate import Accelerator

from ..signals.spectrograms import stft_magnitude
from .configuration import TrainingConfig
from .learner import Learner

KEPT = 4  # clips that are written


@torch.no_grad()
def evaluate_learner(
    learner: Learner,
    clips: list[torch.Tensor],
    config: TrainingConfig,
    folder: Path,
    step: int,
    accelerator: Accelerator,
) -> dict[str, float]:
    """
    Evaluates on the same clips at every step, with all layers and with the first ones alone.

    Args:
        learner: In evaluation mode.
        clips: Audio, each `(1, 1, samples)` of one length.
        config: The run.
        folder: Where the first clips go, as FLAC and as a picture.
        step: In whose name.
        accelerator: Whose TensorBoard gets them too, where there is one.

    Returns:
        Metric → its mean over the clips on which it did not fail; `metric_layers_1` is of the first layer alone.
    """
    from ..metrics import load_metric

    codec, device, samples = learner.model.config, clips[0].device, clips[0].shape[-1]
    rate = codec.sampling_rate
    quantized, layers = step >= config.quantize_after, len(codec.codebook_sizes)
    originals, decoded = [], {}
    with torch.compiler.set_stance("force_eager"):
        for audio in clips:
            originals.append(audio.flatten().cpu().numpy())
            noises = learner.model.decoder.draw_noise(0, samples // codec.hop_length, device)
            for kept in range(1, layers + 1) if quantized else [layers]:
                number = torch.tensor([kept], device=device)
                estimate, _, _ = learner(audio, noises, quantized, layers_kept=number)
                decoded.setdefault(kept, []).append(estimate.flatten().float().cpu().numpy())
    metrics = {}
    for name in config.eval_metrics:
        metric = load_metric(name)
        for kept, predictions in decoded.items():
            result = metric.compute(predictions=predictions, references=originals, sampling_rate=rate)
            key = name if kept == layers else f"{name}_layers_{kept}"
            metrics[key] = None if result["mean"] is None else round(result["mean"], 4)
    write_samples(folder, originals[:KEPT], decoded[layers][:KEPT], rate, step, accelerator)
    return metrics


def write_samples(
    folder: Path,
    originals: list[np.ndarray],
    decoded: list[np.ndarray],
    sampling_rate: int,
    step: int,
    accelerator: Accelerator,
) -> None:
    """Clips as FLAC and their spectrograms, originals above, as a picture; both to TensorBoard where it is used."""
    from matplotlib.figure import Figure

    folder.mkdir(parents=True, exist_ok=True)
    figure = Figure(figsize=(4 * len(originals), 6), layout="constrained")
    axes = figure.subplots(2, len(originals), squeeze=False)
    for row, (kind, clips) in enumerate({"original": originals, f"step {step}": decoded}.items()):
        for i, clip in enumerate(clips):
            magnitude = stft_magnitude(torch.from_numpy(clip)[None, None], 512)[0]
            image = 20 * magnitude.clamp(min=1e-3).log10().numpy()
            seconds, kilohertz = len(clip) / sampling_rate, sampling_rate / 2000
            axes[row, i].imshow(image, origin="lower", aspect="auto", extent=(0, seconds, 0, kilohertz), vmin=-60)
            axes[row, i].set(title=f"{kind}, clip {i}", xlabel="s", ylabel="kHz")
            name = f"clip_{i}.flac" if row == 0 else f"clip_{i}_step_{step}.flac"
            sf.write(folder / name, clip, sampling_rate)
    figure.savefig(folder / f"step_{step}.png")
    for tracker in accelerator.trackers:
        if tracker.name == "tensorboard":
            for i, clip in enumerate(decoded):
                tracker.writer.add_audio(f"clip_{i}", torch.from_numpy(clip)[None], step, sampling_rate)
            tracker.writer.add_figure("spectrograms", figure, step)
