# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""The codecs, language models and devices that visitors choose from, loaded when they are first needed."""

import os
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any, NamedTuple

import torch
from transformers import AutoProcessor, pipeline

from ..embedded import default_codec, default_language_model
from ..files.codec_folder import load_codec
from ..modeling_llm_codec import LLMCodecModel
from ..pipeline_audio_fewshot import AudioFewShotPipeline
from ..processing_llm_codec import LLMCodecProcessor

EMBEDDED = "embedded default"
PACKAGED = "SmolLM2-135M-Instruct, packaged"
KEPT = 2  # codecs, and pipelines, that stay in memory


class Codec(NamedTuple):
    """
    A codec that is loaded.

    Attributes:
        model: On its device, for inference.
        processor: Its words.
    """

    model: LLMCodecModel
    processor: LLMCodecProcessor


@dataclass(frozen=True)
class Choice:
    """What a visitor chose: names among those that [`Models`] offers."""

    codec: str
    language_model: str
    device: str


class Models:
    """
    What visitors choose from. They choose by name, so that they reach nothing that was not offered.

    The last `KEPT` codecs and pipelines stay in memory. Visitors share them, one at a time: whatever computes with them
    holds `computing`.

    Args:
        codecs: Ids or folders of codecs, beside the embedded one.
        language_models: Ids or folders of causal language models, beside the packaged one.
        devices: Names of devices; by default an accelerator, if there is one, and the CPU.

    Attributes:
        codecs: Name → id or folder; the first is chosen unless another is.
        language_models: Name → id or folder, or None for the packaged one, which is unpacked when it is needed.
        devices: Their names.
        computing: Is held by whoever computes with a model.
    """

    def __init__(
        self, codecs: Sequence[str] = (), language_models: Sequence[str] = (), devices: Sequence[str] | None = None
    ):
        self.codecs: dict[str, str] = {**_named(codecs), EMBEDDED: str(default_codec())}
        self.language_models: dict[str, str | None] = {**_named(language_models), PACKAGED: None}
        self.devices = list(devices) if devices else _devices()
        self.computing = Lock()
        self._loading = Lock()
        self._codecs: OrderedDict[tuple, Codec] = OrderedDict()
        self._pipelines: OrderedDict[tuple, AudioFewShotPipeline] = OrderedDict()

    @property
    def first(self) -> Choice:
        """What is chosen where nobody has chosen yet."""
        return Choice(next(iter(self.codecs)), next(iter(self.language_models)), self.devices[0])

    def codec(self, choice: Choice) -> Codec:
        """
        The codec that was chosen.

        Raises:
            ValueError: for a name that is not offered, and for a codec that cannot be loaded.
            OSError: for files that are missing.
        """
        path, device = self._path(choice.codec, self.codecs, "codec"), self._device(choice.device)
        with self._loading:
            return _kept(self._codecs, (path, device), lambda: _load_codec(path, device))

    def pipeline(self, choice: Choice) -> AudioFewShotPipeline:
        """
        The pipeline of the codec and the language model that were chosen.

        Raises:
            ValueError: as [`codec`], and for a language model that is not the codec's.
            OSError: for files that are missing.
            ImportError: where the packaged language model is not installed.
        """
        name = choice.language_model
        path = self._path(name, self.language_models, "language model")
        codec = self.codec(choice)

        def load() -> AudioFewShotPipeline:
            return pipeline(
                "audio-fewshot",
                model=codec.model,
                processor=codec.processor,
                language_model=path or str(default_language_model()),
                device=choice.device,
            )

        with self._loading:
            return _kept(self._pipelines, (id(codec.model), name, choice.device), load)

    @staticmethod
    def _path(name: str, offered: dict, kind: str) -> Any:
        if name not in offered:
            raise ValueError(f"There is no {kind} {name!r} here: choose one of {', '.join(offered)}.")
        return offered[name]

    def _device(self, name: str) -> str:
        if name not in self.devices:
            raise ValueError(f"There is no device {name!r} here: choose one of {', '.join(self.devices)}.")
        return name


def _named(paths: Sequence[str]) -> dict[str, str]:
    """Ids as they are; folders by their last name, where that tells them apart."""
    short = [os.path.basename(os.path.normpath(path)) if os.path.isdir(path) else path for path in paths]
    return {name if short.count(name) == 1 else path: path for name, path in zip(short, paths)}


def _devices() -> list[str]:
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    if accelerator is None:
        return ["cpu"]
    return [*(f"{accelerator.type}:{i}" for i in range(torch.accelerator.device_count())), "cpu"]


def _load_codec(path: str, device: str) -> Codec:
    return Codec(load_codec(path).to(device), AutoProcessor.from_pretrained(path))


def _kept(kept: OrderedDict, key: tuple, load: Callable[[], Any]) -> Any:
    """What is kept by a key, or what is loaded now, in place of what was longest not asked for."""
    if key not in kept:
        while len(kept) >= KEPT:
            kept.popitem(last=False)
        kept[key] = load()
    kept.move_to_end(key)
    return kept[key]


__all__ = ["Choice", "Codec", "Models"]
