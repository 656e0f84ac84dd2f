# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Random clips from a folder of audio."""

from pathlib import Path

import numpy as np
import soundfile as sf
import torch
from torch.utils.data import Dataset
from transformers.utils import logging

logger = logging.get_logger(__name__)


class RandomClips(Dataset):
    """
    Clips of one length from the audio below a folder; item i is the same clip in every run of the same seed.

    A subfolder of the folder is a *source*, drawn with a chance that grows with the root of its duration, so that a
    long one does not drown the others. Short files are padded with zeros; the mean of a clip is removed.

    Args:
        folder (`str` or `Path`): FLAC, WAV or OGG at `sampling_rate`, mono. Files that cannot be read are listed in the
            log and left out.
        length (`int`): Samples a clip.
        sampling_rate (`int`): In Hz.
        seed (`int`): Seed of the draw.

    Raises:
        ValueError: where the folder holds no usable audio.
    """

    def __init__(self, folder: str | Path, length: int, sampling_rate: int, seed: int = 0):
        self.length, self.seed = length, seed
        self.sources: list[tuple[list[Path], np.ndarray]] = []
        durations = []
        for source in sorted(path for path in Path(folder).iterdir() if path.is_dir()):
            files, frames = [], []
            for path in sorted(source.rglob("*")):
                if path.suffix.lower() not in (".flac", ".wav", ".ogg"):
                    continue
                try:
                    info = sf.info(path)
                except sf.LibsndfileError as error:
                    logger.warning("Left out %s: %s", path, error)
                    continue
                if (info.samplerate, info.channels) != (sampling_rate, 1) or not info.frames:
                    logger.warning(
                        "Left out %s: %d Hz, %d channels, %d samples",
                        path,
                        info.samplerate,
                        info.channels,
                        info.frames,
                    )
                    continue
                files.append(path)
                frames.append(info.frames)
            if files:
                self.sources.append((files, np.array(frames) / sum(frames)))
                durations.append(sum(frames))
        if not self.sources:
            raise ValueError(
                f"Found no mono audio of {sampling_rate} Hz (.flac, .wav, .ogg) in the subfolders of {folder}; a "
                "subfolder is a source."
            )
        weights = np.sqrt(durations)
        self.source_weights = weights / weights.sum()

    def __len__(self) -> int:
        return 2**62  # as many draws as asked for

    def __getitem__(self, index: int) -> torch.Tensor:
        """A clip, `(1, length)`, float32."""
        generator = np.random.default_rng((self.seed, index))
        while True:
            files, weights = self.sources[generator.choice(len(self.sources), p=self.source_weights)]
            path = files[generator.choice(len(files), p=weights)]
            with sf.SoundFile(path) as file:
                file.seek(int(generator.integers(max(1, file.frames - self.length + 1))))
                clip = file.read(self.length, dtype="float32")
            clip -= clip.mean()
            if np.abs(clip).max() > 1e-2:  # a stretch of silence teaches nothing
                return torch.from_numpy(np.pad(clip, (0, self.length - len(clip))))[None]
