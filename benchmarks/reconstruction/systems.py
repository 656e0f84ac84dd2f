# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""What the reconstruction benchmark sends clips through: the original, codecs of this package, baselines."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import soxr
import torch
from transformers import AutoModel
from transformers.utils import logging

import llm_codec_hf  # noqa: F401  (registers the codec with the auto classes)
from llm_codec_hf.code_layout_llm_codec import CodeLayout
from llm_codec_hf.files.codec_folder import weights_sha256
from llm_codec_hf.metrics.baselines import BASELINES, RATE, Coded, as_long, why_left_out

from .clips import Clip

logger = logging.get_logger(__name__)

OWN = {"original": "the original", "codec": "each model", "layers": "the first layers of each model alone"}


@dataclass(frozen=True)
class System:
    """
    What clips are sent through.

    Attributes:
        name: In results.
        title: In tables.
        code: A clip and its samples → what comes out.
        model: For a codec of this package, what tells one from another; scores of another are not its own.
    """

    name: str
    title: str
    code: Callable[[Clip, np.ndarray], Coded]
    model: str | None = None


class Model:
    """
    A codec of this package.

    Args:
        name: What it is called in results.
        folder: For `AutoModel`, which loads it in float32.

    Attributes:
        codes: Codes `(codes_per_group, groups)` of the clips that it was given, by name.
    """

    def __init__(self, name: str, folder: str | Path):
        self.name = name
        self.codec = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
        self.codes: dict[str, torch.LongTensor] = {}
        self.sha256 = weights_sha256(self.codec)[:16]

    @torch.inference_mode()
    def encode(self, clip: Clip, samples: np.ndarray) -> torch.LongTensor:
        if clip.name not in self.codes:
            audio = torch.from_numpy(soxr.resample(samples, RATE, self.codec.config.sampling_rate))[None, None]
            self.codes[clip.name] = self.codec.encode(audio).audio_codes[0]
        return self.codes[clip.name]

    @torch.inference_mode()
    def code(self, clip: Clip, samples: np.ndarray, layers: Sequence[int]) -> Coded:
        """Some layers of a clip, with −1 in place of the others, which adds nothing."""
        config, codes = self.codec.config, self.encode(clip, samples)
        rows = CodeLayout(config.vq_strides).rows(layers)
        audio = self.codec.decode(codes.masked_fill(~rows[:, None], -1)[None]).audio_values[0, 0].numpy()
        counts = [config.codes_per_layer[layer] * codes.shape[1] for layer in layers]
        bits = sum(count * np.log2(config.codebook_sizes[layer]) for count, layer in zip(counts, layers))
        return Coded(as_long(soxr.resample(audio, config.sampling_rate, RATE), len(samples)), float(bits))

    def systems(self) -> list[System]:
        """All layers, and then the first 1, 2, … alone."""
        count, found = self.codec.config.num_codebooks, []
        for stop in (count, *range(1, count)):
            which = "all" if stop == count else "0" if stop == 1 else f"0-{stop - 1}"
            title = f"{self.name}, {'all layers' if stop == count else 'layer' + 's' * (stop > 1) + ' ' + which}"
            code = partial(self.code, layers=range(stop))
            found.append(System(f"{self.name}/{which}", title.replace("-", "–"), code, self.sha256))
        return found

    def usage(self) -> list[dict]:
        """
        How many entries of each layer the clips use.

        Returns:
            A dict a layer: `layer`, `entries`, `codes` (how many were written), `used` (different ones among them) and
            `perplexity`, e to the entropy of their frequencies: as many entries used equally often would tell as much.
        """
        config, layers = self.codec.config, []
        split = [self.codec.split_layers(codes[None]) for codes in self.codes.values()]
        for layer, entries in enumerate(config.codebook_sizes):
            codes = torch.cat([clip[layer].flatten() for clip in split])
            shares = torch.unique(codes, return_counts=True)[1] / len(codes)
            perplexity = torch.exp(-(shares * shares.log()).sum()).item()
            layers.append(
                {
                    "layer": layer,
                    "entries": entries,
                    "codes": len(codes),
                    "used": len(shares),
                    "perplexity": round(perplexity, 1),
                }
            )
        return layers


def make_systems(models: Sequence[Model], wanted: Sequence[str] | None) -> tuple[list[System], dict[str, str]]:
    """The systems of some names (all by default), and reasons of the baselines that cannot run here, by name."""
    wanted, left_out = set(wanted or (*OWN, *BASELINES)), {}
    systems = []
    if "original" in wanted:
        systems.append(System("original", "original", lambda clip, samples: Coded(samples.clip(-1, 1), None)))
    for model in models:
        whole, *layers = model.systems()
        systems += [whole] * ("codec" in wanted) + layers * ("layers" in wanted)
    for name, baseline in BASELINES.items():
        if name in wanted and (reason := why_left_out(baseline)):
            left_out[name] = reason
            logger.warning("Without %s: %s", baseline.title, reason)
        elif name in wanted:
            systems.append(System(name, baseline.title, lambda clip, samples, code=baseline.code: code(samples)))
    return systems, left_out
