# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""The README.md of a converted checkpoint."""

from huggingface_hub import ModelCardData

from llm_codec_hf.configuration_llm_codec import LLMCodecConfig

_BODY = """\
---
{front_matter}
---

# LLM-Codec

LLM-Codec, the codec of [UniAudio 1.5](https://arxiv.org/abs/2406.10056), writes {sampling_rate} Hz audio in words and
tokens of a large language model: its codebooks are projections of the language model's own token embeddings. A frozen
language model can so be shown audio, and asked about it, without any training.

This is a checkpoint of the original implementation converted to Transformers. Nothing was trained: weight norm was
folded and the codebooks were projected, in float64, and rounded once to float32.

| | |
| --- | --- |
| converted from | `{file_name}` |
| its SHA-256 | `{sha256}` |
| parameters | {parameters:.3g} M, and codebooks of {codebook_sizes} entries, {codebook_values:.3g} M values |
| a code spans | {spans} s, layer by layer |
| bit rate | {bitrate:.0f} bit/s |
| its language model's tokenizer | included, {vocabulary} tokens |
{embeddings}
## Use

```python
from transformers import AutoModel, AutoProcessor

model_id = "{model_id}"
codec = AutoModel.from_pretrained(model_id, trust_remote_code=True)
processor = AutoProcessor.from_pretrained(model_id, trust_remote_code=True)

inputs = processor(audio=audio, sampling_rate={sampling_rate}, return_tensors="pt")  # mono, a float array
audio_codes = codec.encode(**inputs).audio_codes  # (batch, {codes_per_group}, groups)
print(processor.codes_to_text(audio_codes[0], layers=[0]))  # words of the language model
reconstruction = codec.decode(audio_codes).audio_values
```

Questions about audio, answered by the language model from a few examples:

```python
from transformers import pipeline

pipe = pipeline("audio-fewshot", model=model_id, language_model="meta-llama/Llama-2-7b-hf", trust_remote_code=True)
pipe("query.wav", examples=[("bark.wav", "dog"), ("meow.wav", "cat")])  # [{{"label": …, "score": …}}, …]
```

Without `trust_remote_code=True`, install the `llm_codec_hf` package and `import llm_codec_hf` first.

## License

The original implementation and its checkpoint state no license, so none can be granted here; its authors can say what
they allow. The codebooks are derived from the token embeddings of LLaMA 2, and so fall under the
[LLaMA 2 Community License]({license_link}):

> Llama 2 is licensed under the LLAMA 2 Community License, Copyright (c) Meta Platforms, Inc. All Rights Reserved.

## Citation

```bibtex
@article{{yang2024uniaudio15,
  title   = {{UniAudio 1.5: Large Language Model-driven Audio Codec is A Few-shot Audio Task Learner}},
  author  = {{Yang, Dongchao and Guo, Haohan and Wang, Yuanyuan and Huang, Rongjie and Li, Xiang and Tan, Xu and
             Wu, Xixin and Meng, Helen}},
  journal = {{arXiv preprint arXiv:2406.10056}},
  year    = {{2024}}
}}
```
"""

_EMBEDDINGS = (
    "| `codebook_embeddings.safetensors` | the embedding tables and projections that the codebooks were computed from, "
    "for training |\n"
)


def make_model_card(
    config: LLMCodecConfig,
    file_name: str,
    sha256: str,
    parameters: int,
    vocabulary: int,
    model_id: str,
    has_embeddings: bool,
) -> str:
    """
    Args:
        config (`LLMCodecConfig`): The converted configuration.
        file_name (`str`): Name of the original checkpoint.
        sha256 (`str`): Its SHA-256, in hexadecimal.
        parameters (`int`): Number of trained parameters.
        vocabulary (`int`): Number of the tokenizer's tokens.
        model_id (`str`): What the example gives to `from_pretrained`.
        has_embeddings (`bool`): Whether the embedding tables are in the folder.

    Returns:
        `str`: Markdown with its front matter.
    """
    license_link = "https://ai.meta.com/llama/license/"
    data = ModelCardData(
        language="en",
        license="other",
        license_name="unstated-and-llama2",
        license_link=license_link,
        library_name="transformers",
        pipeline_tag="feature-extraction",
        tags=["audio", "audio-codec", "llm-codec", "uniaudio", "in-context-learning"],
    )
    spans = [stride * config.hop_length / config.sampling_rate for stride in config.vq_strides]
    return _BODY.format(
        front_matter=data.to_yaml(),
        sampling_rate=config.sampling_rate,
        file_name=file_name,
        sha256=sha256,
        parameters=parameters / 1e6,
        codebook_sizes=" + ".join(map(str, config.codebook_sizes)),
        codebook_values=sum(config.codebook_sizes) * config.latent_dim / 1e6,
        spans=", ".join(f"{span:g}" for span in spans),
        bitrate=config.bitrate,
        vocabulary=vocabulary,
        embeddings=_EMBEDDINGS if has_embeddings else "",
        model_id=model_id,
        codes_per_group=config.codes_per_group,
        license_link=license_link,
    )
