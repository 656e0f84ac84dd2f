# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""What a codec in training sounds like: metrics, clips and spectrograms."""

from pathlib import Path

import numpy as np
import soundfile as sf
import torch
import torch.nn.functional as F
from accelerate import Accelerator

from ..signals.spectrograms import stft_magnitude
from .configuration import TrainingConfig
from .learner import Learner
from .recordings import TrainingClip

KEPT = 4  # clips that are written


@torch.no_grad()
def evaluate_learner(
    learner: Learner,
    clips: list[TrainingClip],
    config: TrainingConfig,
    quantized: bool,
    folder: Path,
    step: int,
    accelerator: Accelerator,
) -> dict[str, float]:
    """
    Evaluates on the same clips at every step, with all layers and with the first ones alone.

    Args:
        learner: In evaluation mode.
        clips: To evaluate on. Word errors are counted on those that hold all of a recording with a text.
        config: The run.
        quantized: Whether there is a quantizer yet.
        folder: Where the first clips go, as FLAC and as a picture.
        step: In whose name.
        accelerator: Whose TensorBoard gets them too, where there is one.

    Returns:
        Metric → its mean over the clips on which it did not fail; `metric_layers_1` is of the first layer alone. `wer`
        and `cer` are errors over all words and letters.
    """
    from ..metrics import load_metric

    codec, device = learner.model.config, next(learner.model.parameters()).device
    rate, window = codec.sampling_rate, codec.pad_to_multiple_of
    layers = len(codec.codebook_sizes)
    originals, decoded = [], {}
    with torch.compiler.set_stance("force_eager"):
        for clip in clips:
            samples = clip.audio.shape[-1]
            originals.append(clip.audio.flatten().numpy())
            audio = F.pad(clip.audio[None].to(device), (0, -samples % window))
            noises = learner.model.decoder.draw_noise(0, audio.shape[-1] // codec.hop_length, device)
            for kept in range(1, layers + 1) if quantized else [layers]:
                number = torch.tensor([kept], device=device)
                with accelerator.autocast():
                    estimate, _, _ = learner(audio, noises, quantized, layers_kept=number)
                decoded.setdefault(kept, []).append(estimate.flatten()[:samples].float().cpu().numpy())
    metrics = {}
    for name in config.eval_metrics:
        metric = load_metric(name)
        for kept, predictions in decoded.items():
            if name == "wer":
                found = word_errors(metric, clips, predictions, config.eval_language, rate)
            else:
                result = metric.compute(predictions=predictions, references=originals, sampling_rate=rate)
                found = {name: result["mean"]}
            suffix = "" if kept == layers else f"_layers_{kept}"
            metrics |= {f"{key}{suffix}": value and round(value, 4) for key, value in found.items()}
    write_samples(folder, originals[:KEPT], decoded[layers][:KEPT], rate, step, accelerator)
    return metrics


def word_errors(
    metric, clips: list[TrainingClip], predictions: list[np.ndarray], language: str | None, sampling_rate: int
) -> dict[str, float | None]:
    """
    Errors over all words (`wer`) and letters (`cer`) of the clips whose text is known and whole, as a quick recogniser
    hears them: a little worse than the recogniser of reports.

    Args:
        metric: The module of word errors.
        clips: The originals.
        predictions: Decoded audio of each.
        language: Of the texts.
        sampling_rate: Of the audio, in Hz.

    Returns:
        Both; None where no clip has a text.
    """
    from ..metrics.recognition import Recognizer

    heard = [(audio, clip.text) for clip, audio in zip(clips, predictions) if clip.text and clip.covers >= 1]
    if not heard:
        return {"wer": None, "cer": None}
    waveforms, texts = zip(*heard)
    result = metric.compute(
        predictions=list(waveforms),
        references=list(texts),
        sampling_rate=sampling_rate,
        language=language,
        recognizer=Recognizer(quick=True),
    )
    known = [details for details in result.get("details", []) if details]
    letters = sum(details["letters"] for details in known)
    errors = sum(details["letter_errors"] for details in known)
    return {"wer": result["corpus"], "cer": errors / letters if letters else None}


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
