# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""The batches of a training run."""

import dataclasses

import numpy as np
import torch
from torch.utils.data import Dataset

from .augmentation import augment, change_speed
from .configuration import TrainingConfig
from .data import Clips, batch_windows
from .recordings import TrainingClip


class TrainingBatches(Dataset):
    """
    The batches of one process: batch i, which is the same in every run, whenever and by whatever worker it is read.

    Clips are numbered through all processes and batches of a step, so two processes read together what one with twice
    the batch reads.
    """

    def __init__(self, clips: Clips, config: TrainingConfig, pad_to_multiple_of: int, process: int, processes: int):
        self.clips, self.config, self.multiple = clips, config, pad_to_multiple_of
        self.process, self.processes = process, processes

    def __getitem__(self, number: int) -> dict:
        config = self.config
        step = number // config.gradient_accumulation_steps
        windows = batch_windows(config.seed, step, config.min_windows, config.max_windows)
        first = (number * self.processes + self.process) * config.batch_size
        indices = range(first, first + config.batch_size)
        clips = [self.draw(index, windows * self.multiple) for index in indices]
        conditions = {
            "gain_db": (config.min_gain_db, config.max_gain_db),
            "noise_chance": config.noise_chance,
            "room_chance": config.room_chance,
            "colour_chance": config.colour_chance,
            "sampling_rate": self.clips.sampling_rate,
        }
        audio = [
            augment(clip.audio, np.random.default_rng((config.seed, index, 1)), **conditions)
            for index, clip in zip(indices, clips)
        ]
        return {
            "audio": torch.stack(audio),
            "texts": [clip.text for clip in clips],
            "covers": [clip.covers for clip in clips],
            "indices": list(indices),
        }

    def draw(self, index: int, samples: int) -> TrainingClip:
        """Clip number `index`, at a speed of its own."""
        low, high = self.config.min_speed, self.config.max_speed
        if low == high == 1.0:
            return self.clips.draw(index, samples)
        speed = np.random.default_rng((self.config.seed, index, 4)).uniform(low, high)
        clip = self.clips.draw(index, round(samples * speed))
        return dataclasses.replace(clip, audio=change_speed(clip.audio, speed, samples))
