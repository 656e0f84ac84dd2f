# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""
A frozen language model speaks: from one example of each digit, it answers sums with audio (arXiv 2406.10056).

    python examples/speak_digits.py --output_dir digits

The digits are spoken by eSpeak NG (Debian's `espeak-ng`), or are clips of your own (`--clips`, a folder of 0.wav …
9.wav). It writes the answers, and prints what a recogniser hears in them, in the right digit encoded and decoded, and
in that digit itself, with DNSMOS (`pip install 'llm-codec-hf[eval]'`). Through the embedded default digits
are understood; but SmolLM2-135M, which it is made for, speaks none, and the figures say so.
"""

import argparse
import subprocess
from pathlib import Path

import soundfile as sf
from transformers import pipeline

import llm_codec_hf  # noqa: F401  (registers the pipeline)
from llm_codec_hf.embedded import default_codec, default_language_model
from llm_codec_hf.metrics import load_metric
from llm_codec_hf.metrics.recognition import Recognizer

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SUMS = {"1+1": 2, "4+4": 8, "9-8": 1}
SECONDS = 0.48


def spoken_digits(folder: Path) -> list[Path]:
    """A clip of every digit, by eSpeak NG."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{digit}.wav" for digit in range(10)]
    for word, path in zip(WORDS, paths):
        try:
            subprocess.run(["espeak-ng", "-v", "en-us", "-s", "220", "-w", str(path), word], check=True)
        except FileNotFoundError as error:
            raise SystemExit(
                "There is no espeak-ng: install it, or pass --clips, a folder of 0.wav … 9.wav."
            ) from error
    return paths


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path)
    parser.add_argument("--model", default=str(default_codec()))
    parser.add_argument("--language_model")
    parser.add_argument("--output_dir", type=Path, default=Path("digits"))
    args = parser.parse_args(argv)
    paths = [args.clips / f"{digit}.wav" for digit in range(10)] if args.clips else spoken_digits(args.output_dir)
    language_model = args.language_model or str(default_language_model())
    pipe = pipeline("audio-fewshot", model=args.model, language_model=language_model)
    rate = pipe.feature_extractor.sampling_rate
    digits = [pipe.load_audio(str(path))[: round(SECONDS * rate)] for path in paths]
    examples = [(f"an audio of {digit}", clip) for digit, clip in enumerate(digits)]
    answers = pipe([f"an audio of {sum_}" for sum_ in SUMS], examples=examples, output="audio", seconds=SECONDS)
    recognizer, dnsmos = Recognizer(), load_metric("dnsmos")
    for (sum_, digit), answer in zip(SUMS.items(), answers):
        sf.write(args.output_dir / f"{sum_}.wav", answer["audio"], rate)
        codes = pipe.encode([digits[digit]])[0][None]
        through_codec = pipe.model.decode(codes, length=len(digits[digit])).audio_values[0, 0].detach().numpy()
        clips = {"spoken": answer["audio"], "right, by the codec": through_codec, "right": digits[digit]}
        scores = dnsmos.compute(predictions=list(clips.values()), sampling_rate=rate)["scores"]
        for (name, clip), score in zip(clips.items(), scores):
            heard = recognizer.transcribe(clip, rate, language="en")
            mos = "failed" if score is None else f"{score:.2f}"
            print(f"{sum_} = {digit}  {name:20} heard {heard!r}, DNSMOS {mos}")


if __name__ == "__main__":
    main()
