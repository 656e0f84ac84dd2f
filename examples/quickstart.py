# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""
The package in thirty lines, on the embedded default: audio to words, words to audio, and a question about a sound.

    python examples/quickstart.py
"""

import soundfile as sf
import torch
from transformers import AutoModel, AutoProcessor, pipeline
from transformers.audio_utils import load_audio

import llm_codec_hf  # noqa: F401  (registers the codec and the pipeline with Transformers)
from llm_codec_hf.embedded import default_codec, default_language_model
from llm_codec_hf.embedded.demo import CLIPS

files = {label.name: sorted(label.glob("*.flac")) for label in sorted(CLIPS.iterdir()) if label.is_dir()}
path = next(iter(files.values()))[0]

# 1. Audio to codes, and codes to words of the language model
codec = AutoModel.from_pretrained(default_codec()).eval()
processor = AutoProcessor.from_pretrained(default_codec())
audio = load_audio(str(path), sampling_rate=codec.config.sampling_rate)
inputs = processor(audio=audio, sampling_rate=codec.config.sampling_rate, return_tensors="pt")
with torch.no_grad():
    codes = codec.encode(**inputs).audio_codes
print(path.name, tuple(codes.shape), "(batch, codes per group, groups)")
print("words:", " ".join(processor.codes_to_words(codes[0], layers=(0,))[0]))
print("token ids:", processor.codes_to_ids(codes[0], layers=(0,)))

# 2. Codes to audio
with torch.no_grad():
    decoded = codec.decode(codes, length=len(audio)).audio_values
sf.write("quickstart.wav", decoded[0, 0].numpy(), codec.config.sampling_rate)
print("wrote quickstart.wav")

# 3. A frozen language model, two examples per label, and a question
pipe = pipeline("audio-fewshot", model=str(default_codec()), language_model=str(default_language_model()))
examples = [(str(files[label][shot]), label) for shot in range(2) for label in files]
label, query = next((label, clips[-1]) for label, clips in files.items())
print(query.name, "is", label, "- answer:", pipe(str(query), examples=examples))
