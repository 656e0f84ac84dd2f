# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Words that mean: a bijection that changes prompts alone, learned on labelled clips."""

import json

import numpy as np
import pytest
import soundfile as sf
import torch

from llm_codec_hf.evaluation.meanings import learn_words, main
from llm_codec_hf.processing_llm_codec import LLMCodecProcessor


def clip(processor, *words):
    codes = torch.zeros(processor.codes_per_group, len(words), dtype=torch.long)
    codes[0] = torch.tensor(words)
    return codes


def test_another_word_for_each_code(processor, tmp_path):
    """Prompts change, codes are read back as ever, and the words travel with the processor."""
    size = len(processor.words)
    order = [(code + 1) % size for code in range(size)]
    other = processor.reworded(order)
    other.save_pretrained(tmp_path)
    codes = clip(processor, 0, 2, 1)
    shifted = clip(processor, 1, 3, 2)
    for each in (other, LLMCodecProcessor.from_pretrained(tmp_path)):
        assert each.words == [processor.words[i] for i in order]
        assert each.codes_to_ids(codes, 0) == processor.codes_to_ids(shifted, 0)
        torch.testing.assert_close(each.ids_to_codes(each.codes_to_ids(codes)), codes)
        assert each.token_ids[1:] == processor.token_ids[1:]
    with pytest.raises(ValueError, match=f"each of 0 … {size - 1} once.*got {size} numbers, 1 of them"):
        processor.reworded([0] * size)


def test_codes_get_words_near_the_names_of_their_labels(processor, language_model):
    """With embeddings by hand: words 4 and 5 lie at one label's name, 6 and 7 at the other's; so do codes 0 to 3."""
    weight = language_model.get_input_embeddings().weight
    kept, names = weight.detach().clone(), ("low", "high")
    try:
        with torch.no_grad():
            weight.normal_(std=0.01, generator=torch.Generator().manual_seed(0))
            for axis, (name, words) in enumerate(zip(names, ((4, 5), (6, 7)))):
                shown = processor.segments_to_ids([processor.template.written(name)])
                weight[shown, axis] += 5
                for word in words:
                    weight[processor.token_ids[0][word], axis] += 5
        clips = [clip(processor, 0, 1), clip(processor, 1, 0, 9), clip(processor, 2, 3), clip(processor, 3, 2, 9)]
        labels = [names[0], names[0], names[1], names[1]]
        order = learn_words(clips, labels, processor, language_model)
        assert sorted(order) == list(range(len(processor.words)))
        assert set(order[:2]) == {4, 5} and set(order[2:4]) == {6, 7}
        swapped = learn_words(clips, labels[::-1], processor, language_model)
        assert set(swapped[:2]) == {6, 7} and set(swapped[2:4]) == {4, 5}
    finally:
        with torch.no_grad():
            weight.copy_(kept)
    with pytest.raises(ValueError, match="two labels or more"):
        learn_words(clips, ["low"] * 4, processor, language_model)


@pytest.mark.e2e
def test_a_codec_with_its_new_words(codec_dir, language_model_dir, processor, tmp_path):
    for label in ("low", "high"):
        (tmp_path / "clips" / label).mkdir(parents=True)
        for i in range(3):
            wave = 0.3 * np.sin((0.1 if label == "low" else 0.9) * (i + 1) * np.arange(4800))
            sf.write(tmp_path / "clips" / label / f"{i}.wav", wave, 16000)
    (tmp_path / "task.yaml").write_text("description: Tones.\nsource: {folder: clips}\n")
    models = ["--model", str(codec_dir), "--language_model", str(language_model_dir), "--root", str(tmp_path)]
    for name, options in {"learned": [], "control": ["--permuted"]}.items():
        folder = main([str(tmp_path / "task.yaml"), *models, "--output_dir", str(tmp_path / name), *options])
        found = LLMCodecProcessor.from_pretrained(folder)
        assert sorted(found.words) == sorted(processor.words) and found.words != processor.words
        told = json.loads((folder / "words_learned_on.json").read_text())
        assert told["labels"] == ["high", "low"] and told["clips"] == 6 and told["permuted"] == bool(options)
