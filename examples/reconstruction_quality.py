# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""
How close reconstructed speech is: multi-resolution STFT distance, and STOI (needs `pip install pystoi`).

    python examples/reconstruction_quality.py SPEECH_FOLDER --output result.json

A file on which a metric fails is counted and listed, never scored.
"""

import argparse
import json
import logging
from pathlib import Path

import numpy as np
import torch
from pystoi import stoi
from transformers import AutoModel
from transformers.audio_utils import load_audio
from transformers.utils.logging import tqdm

import llm_codec_hf  # noqa: F401  (registers the codec with the auto classes)
from llm_codec_hf.embedded import default_codec
from llm_codec_hf.training.losses import multi_resolution_stft_loss


@torch.no_grad()
def main(argv: list[str] | None = None) -> dict:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default=str(default_codec()))
    parser.add_argument("--max_files", type=int, default=100, help="evenly spaced in the sorted list")
    parser.add_argument("--output", type=Path)
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")

    codec = AutoModel.from_pretrained(args.model).eval()
    rate = codec.config.sampling_rate
    files = sorted(path for path in args.folder.rglob("*") if path.suffix in (".wav", ".flac"))
    files = files[:: max(1, -(-len(files) // args.max_files))]
    scores, failed = {"stft_distance": [], "stoi": []}, []
    used = [set() for _ in codec.config.codebook_sizes]
    for path in tqdm(files):
        audio = torch.from_numpy(load_audio(str(path), sampling_rate=rate))[None, None]
        codes = codec.encode(audio).audio_codes
        decoded = codec.decode(codes, length=audio.shape[-1]).audio_values
        for seen, layer in zip(used, codec.split_layers(codes)):
            seen.update(layer.flatten().tolist())
        scores["stft_distance"].append(multi_resolution_stft_loss(decoded, audio).item())
        try:
            score = stoi(audio.flatten().double().numpy(), decoded.flatten().double().numpy(), rate)
            if not 1e-4 < score <= 1:  # what pystoi returns for too little speech
                raise ValueError(f"STOI gave {score}")
            scores["stoi"].append(score)
        except Exception as error:
            failed.append({"file": path.name, "metric": "stoi", "error": str(error)})
    result = {"files": len(files), "failed": failed, "entries_used": [len(seen) for seen in used]}
    result |= {name: round(float(np.mean(values)), 4) if values else None for name, values in scores.items()}
    logging.info("%s", json.dumps(result))
    if args.output:
        args.output.write_text(json.dumps(result, indent=2) + "\n")
    return result


if __name__ == "__main__":
    main()
