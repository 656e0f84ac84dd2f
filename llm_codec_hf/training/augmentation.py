# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Clips as they may also have been recorded: in a room, by another microphone, at another level, with noise."""

import numpy as np
import soxr
import torch
from scipy.signal import fftconvolve

NOISE_DB = (15.0, 40.0)  # range of the ratio of signal to noise
RINGS_S = (0.1, 0.6)  # seconds after which a room has lost 60 dB
DIRECT_DB = (0.0, 15.0)  # how much louder the direct sound is than all that comes back
TILT_DB = 3.0  # per octave, at most, about the middle of the spectrum
WAVES, WAVE_DB = 4, 4.0  # of a microphone's response over the octaves: how many at most, and how high
CUTOFF = (0.4, 1.0)  # range of the highest frequency that is kept, of half the rate


def augment(
    audio: torch.Tensor,
    generator: np.random.Generator,
    gain_db: tuple[float, float] = (-12.0, 6.0),
    noise_chance: float = 0.0,
    room_chance: float = 0.0,
    colour_chance: float = 0.0,
    sampling_rate: int = 16000,
) -> torch.Tensor:
    """
    A clip as it may also have been recorded: in a room, through another microphone, louder or softer, of the other
    polarity, with noise.

    Args:
        audio (`torch.Tensor`): `(1, samples)`.
        generator (`np.random.Generator`): Of this clip.
        gain_db (`tuple[float, float]`): Range of the gain. The peak stays below 1, so the gain of a loud clip is less.
        noise_chance (`float`): Chance of noise, white or pink, as likely, 15 to 40 dB below the clip.
        room_chance (`float`): Chance of a room.
        colour_chance (`float`): Chance of another microphone, half of them of less bandwidth.
        sampling_rate (`int`): In Hz.

    Returns:
        `(1, samples)`, float32.
    """
    gain, ratio = generator.uniform(*gain_db), generator.uniform(*NOISE_DB)
    noisy, pink, flipped = generator.random(3)
    clip = audio.numpy()
    if room_chance and generator.random() < room_chance:
        clip = in_a_room(clip, generator, sampling_rate)
    if colour_chance and generator.random() < colour_chance:
        clip = coloured(clip, generator)
    if noisy < noise_chance:
        noise = generator.standard_normal(clip.shape)
        if pink < 0.5:
            spectrum = np.fft.rfft(noise)
            spectrum[..., 1:] /= np.sqrt(np.arange(1, spectrum.shape[-1]))
            noise = np.fft.irfft(spectrum, n=clip.shape[-1])
        clip = clip + noise * np.sqrt(np.mean(clip**2) / np.mean(noise**2)) * 10 ** (-ratio / 20)
    clip = clip * min(10 ** (gain / 20), 0.99 / max(np.abs(clip).max(), 1e-6))
    return torch.from_numpy((-clip if flipped < 0.5 else clip).astype(np.float32))


def in_a_room(clip: np.ndarray, generator: np.random.Generator, sampling_rate: int) -> np.ndarray:
    """
    A clip `(1, samples)` with what a room sends back: noise that decays, from a few milliseconds on (Polack's model of
    late reverberation). The direct sound stays where it was.
    """
    seconds, direct = generator.uniform(*RINGS_S), generator.uniform(*DIRECT_DB)
    start = int(generator.uniform(0.002, 0.02) * sampling_rate)
    time = np.arange(int(seconds * sampling_rate)) / sampling_rate
    tail = generator.standard_normal(len(time)) * 10 ** (-3 * time / seconds)
    tail *= 10 ** (-direct / 20) / np.sqrt(np.square(tail).sum())
    response = np.concatenate([[1.0], np.zeros(start), tail])
    return fftconvolve(clip, response[None], axes=-1)[:, : clip.shape[1]]


def coloured(clip: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A clip `(1, samples)` through a smooth response over the octaves: a tilt, a few waves and, at times, an end."""
    spectrum = np.fft.rfft(clip)
    place = np.linspace(0, 1, spectrum.shape[-1])  # of half the rate
    octaves = np.log2(np.maximum(place, 1 / 128)) / 7 + 1  # 0 at the 128th part of it, 1 at the whole
    level = generator.uniform(-TILT_DB, TILT_DB) * 7 * (octaves - 0.5)
    for _ in range(generator.integers(0, WAVES + 1)):
        turns, phase = generator.uniform(0.5, 4), generator.uniform(0, 2 * np.pi)
        level = level + generator.uniform(0, WAVE_DB) * np.cos(2 * np.pi * turns * octaves + phase)
    if generator.random() < 0.5:
        level = level - 60 * np.clip((place - generator.uniform(*CUTOFF)) / 0.05, 0, 1)
    power = np.mean(clip**2)
    clip = np.fft.irfft(spectrum * 10 ** (level / 20), n=clip.shape[-1])
    return clip * np.sqrt(power / max(np.mean(clip**2), 1e-12))  # as loud as before


def change_speed(audio: torch.Tensor, speed: float, samples: int) -> torch.Tensor:
    """`(1, n)` played at another speed, as `(1, samples)`; n is `speed` times as many, or one more or less."""
    faster = soxr.resample(audio[0].numpy(), speed, 1.0)[:samples]
    return torch.from_numpy(np.pad(faster, (0, samples - len(faster))))[None]


__all__ = ["augment", "change_speed", "coloured", "in_a_room"]
