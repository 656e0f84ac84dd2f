# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""The main job on the embedded default: a frozen language model names sounds, and a clip is decoded."""

import time
from collections.abc import Iterator
from pathlib import Path

import soundfile as sf
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, pipeline

from ..extras import require
from ..pipeline_audio_fewshot import AudioFewShotPipeline
from . import default_codec, default_language_model
from .pictures import draw_spectrograms

CLIPS = Path(__file__).parent / "clips"  # CC0, see the README there; none was trained on
SHOTS = 3


def run(output_dir: str | Path = "llm-codec-demo") -> Iterator[str]:
    """
    Classifies the clips that ship with the package, decodes one, and draws it.

    Args:
        output_dir (`str` or `Path`): Where `original.wav`, `reconstruction.wav` and `reconstruction.png` are written.

    Yields:
        What happens, line by line.

    Raises:
        ImportError: where the language model's package or matplotlib is missing.
    """
    require("demo", "The demo's picture", "matplotlib")
    started = time.monotonic()
    output_dir = Path(output_dir)
    output_dir.mkdir(parents=True, exist_ok=True)
    yield "Loading the embedded codec and SmolLM2-135M-Instruct, both frozen (the first time it is unpacked) ..."
    folder = default_language_model()
    pipe = pipeline(
        "audio-fewshot",
        model=str(default_codec()),
        language_model=AutoModelForCausalLM.from_pretrained(folder),
        tokenizer=AutoTokenizer.from_pretrained(folder),
    )
    clips = {label.name: sorted(label.glob("*.flac")) for label in sorted(CLIPS.iterdir()) if label.is_dir()}
    # shot by shot, so that no label is far from the end of the prompt
    examples = [(str(files[shot]), label) for shot in range(SHOTS) for label, files in clips.items()]
    queries = [(str(path), label) for label, files in clips.items() for path in files[SHOTS:]]
    yield f"{len(examples)} examples of {', '.join(clips)}; {len(queries)} clips to name. Nothing is trained.\n"
    answers = pipe([path for path, _ in queries], examples=examples, batch_size=len(queries))
    for (path, truth), answer in zip(queries, answers):
        words = pipe.processor.codes_to_words(pipe.encode([pipe.load_audio(path)])[0])[0]
        scores = ", ".join(f"{entry['label']} {entry['score']:.2f}" for entry in answer)
        mark = "right" if answer[0]["label"] == truth else "wrong"
        yield f"{Path(path).stem}\n  words:  {' '.join(words)}\n  answer: {scores}\n  truth:  {truth} ({mark})"
    right = sum(answer[0]["label"] == truth for (_, truth), answer in zip(queries, answers))
    yield f"\n{right} of {len(queries)} right; chance is {len(queries) / len(clips):.0f}."
    yield from _reconstruct(pipe, queries[0][0], output_dir)
    yield f"Took {time.monotonic() - started:.0f} s."


@torch.no_grad()
def _reconstruct(pipe: AudioFewShotPipeline, path: str, output_dir: Path) -> Iterator[str]:
    rate = pipe.model.config.sampling_rate
    audio = pipe.load_audio(path)
    codes = pipe.encode([audio])[0]
    decoded = pipe.model.decode(codes[None], length=len(audio)).audio_values[0, 0].numpy()
    sf.write(output_dir / "original.wav", audio, rate)
    sf.write(output_dir / "reconstruction.wav", decoded, rate)
    words = pipe.processor.codes_to_words(codes)[0]
    seconds = pipe.model.config.group_length / rate
    figure = draw_spectrograms({Path(path).stem: audio, "reconstruction": decoded}, words, rate, seconds)
    figure.savefig(output_dir / "reconstruction.png", dpi=120)
    yield (
        f"{Path(path).stem}: {codes.numel()} codes for {len(audio) / rate:.2f} s "
        f"({pipe.model.config.bitrate:.0f} bit/s); decoded to {output_dir / 'reconstruction.wav'}, "
        f"drawn in {output_dir / 'reconstruction.png'}."
    )
