# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""What is reached without a language model: the nearest example and the nearest centroid, on words and on features."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from scipy.cluster.vq import kmeans2
from transformers.utils import logging

from ..embedded.whisper_features import MAX_SAMPLES, SILENCE, WhisperFeatures, log_mel, make_whisper_features
from ..modeling_llm_codec import LLMCodecModel

logger = logging.get_logger(__name__)

MERGED = 32  # words that are left where similar ones are merged
WHISPER_LAYERS = (3, 6)  # how it sounds and who speaks; what is said (of Whisper base's six)
FEATURES = {
    "latents": "mean and spread of the codec's latents, before they are quantized",
    "whisper": f"mean and spread of Whisper base's frames, of its layers {WHISPER_LAYERS}",
    "mel": "mean and spread of the log mel spectrum, in 80 bands",
}
BASELINES = {
    "nearest_merged": f"as `nearest`, where the words are merged to {MERGED} by k-means of their entries",
    **{f"centroid_{name}": f"the nearest centroid of a label: {what}" for name, what in FEATURES.items()},
    **{
        f"simpleshot_{name}": f"as `centroid_{name}`, centred and of length 1 (SimpleShot, Wang et al. 2019, arXiv "
        "1911.04623)"
        for name in FEATURES
    },
}


class Features:
    """
    One vector per clip and kind of feature.

    Args:
        codec: Whose latents and entries are taken.

    Attributes:
        of (`dict[str, dict[str, np.ndarray]]`): Clip id → name of a feature → `(width,)`.
    """

    def __init__(self, codec: LLMCodecModel):
        self.codec, self.of = codec, {}
        self.whisper: WhisperFeatures | None = None
        try:
            self.whisper = make_whisper_features()
        except ImportError as error:
            logger.warning(f"There are no baselines on Whisper's frames: {error}")
        self.merged = merged_words(codec)

    @torch.no_grad()
    def add(self, name: str, samples: np.ndarray) -> None:
        """Takes a clip `(samples,)` at the codec's rate."""
        audio = torch.from_numpy(samples).to(self.codec.device)[None, None]
        padded = torch.nn.functional.pad(audio, (0, -audio.shape[-1] % self.codec.config.pad_to_multiple_of))
        found = {"latents": _pooled(self.codec.encoder(padded)[0].T), "mel": _pooled(log_mel(audio[0])[0].T)}
        if self.whisper is not None:
            layers = [layer for layer in WHISPER_LAYERS if layer <= self.whisper.num_layers]
            heard = self.whisper(padded[..., : MAX_SAMPLES - SILENCE], layers)
            found["whisper"] = np.concatenate([_pooled(heard[layer][0]) for layer in layers])
        self.of[name] = found


def _pooled(frames: torch.Tensor) -> np.ndarray:
    """Mean and spread over time of `(frames, width)`."""
    return torch.cat([frames.mean(dim=0), frames.std(dim=0, correction=0)]).float().cpu().numpy()


def merged_words(codec: LLMCodecModel) -> np.ndarray:
    """`(codebook_size,)`: the number of the cluster that each word of layer 0 is in, by the direction of its entry."""
    layer = codec.quantizer.layers[0]
    codes = torch.arange(codec.config.codebook_sizes[0], device=codec.device)
    entries = torch.nn.functional.normalize(layer.lookup(codes[None])[0].T.float(), dim=-1).cpu().numpy()
    if len(entries) <= MERGED:
        return np.arange(len(entries))
    return kmeans2(entries.astype(np.float64), MERGED, iter=30, minit="++", rng=0)[1]


def baseline_answers(
    examples: Sequence[tuple[str, str]],
    queries: Sequence[str],
    labels: Sequence[str],
    codes: Mapping[str, torch.LongTensor],
    features: Features,
) -> dict[str, list[str]]:
    """
    Answers of every baseline.

    Args:
        examples: Clip id and label of each demonstration.
        queries: Clip id of each query.
        labels: The labels to choose from; of equals the first.
        codes: Codes of every clip, whose first row are its words.
        features: Of every clip.

    Returns:
        Name of [`BASELINES`] → the label of each query.
    """
    owners = np.array([labels.index(label) for _, label in examples])
    words = {clip: Counter(features.merged[codes[clip][0].numpy()].tolist()) for clip in {*dict(examples), *queries}}
    answers = {
        "nearest_merged": [
            max(examples, key=lambda example: (words[query] & words[example[0]]).total())[1] for query in queries
        ]
    }
    for kind in FEATURES:
        if kind not in features.of[examples[0][0]]:
            continue
        shown, asked = (np.stack([features.of[clip][kind] for clip in clips]) for clips in (dict(examples), queries))
        for name, distances in nearest_centroids(shown, owners, asked, len(labels)).items():
            answers[f"{name}_{kind}"] = [labels[i] for i in distances.argmin(axis=1)]
    return answers


def nearest_centroids(
    examples: np.ndarray, owners: np.ndarray, queries: np.ndarray, labels: int
) -> dict[str, np.ndarray]:
    """
    Distances `(queries, labels)` to the labels' centroids: of the features over their spread (`centroid`), and of
    features centred by the examples' mean and of length 1 (`simpleshot`). A label without examples is infinitely far.

    Args:
        examples: `(examples, width)`.
        owners: `(examples,)`, the label of each.
        queries: `(queries, width)`.
        labels: How many labels there are.
    """
    middle, spread = examples.mean(axis=0), examples.std(axis=0) + 1e-6
    ways = {"centroid": lambda x: (x - middle) / spread, "simpleshot": lambda x: _unit(x - middle)}
    found = {}
    for name, prepared in ways.items():
        shown, asked = prepared(examples), prepared(queries)
        far = np.full((len(queries), labels), np.inf)
        for label in set(owners.tolist()):
            centroid = shown[owners == label].mean(axis=0)
            far[:, label] = np.square(asked - centroid).sum(axis=1)
        found[name] = far
    return found


def _unit(x: np.ndarray) -> np.ndarray:
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-9)


__all__ = ["BASELINES", "FEATURES", "Features", "baseline_answers", "merged_words", "nearest_centroids"]
