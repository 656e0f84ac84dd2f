# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Scoring, and `pipeline("audio-fewshot")`."""

import http.server
import threading

import numpy as np
import pytest
import soundfile as sf
import torch
from conftest import tiny_tokenizer
from datasets import Dataset
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM, pipeline
from transformers.pipelines.pt_utils import KeyDataset

import llm_codec_hf
from llm_codec_hf.scoring_llm_codec import score_continuations


def tone(frequency: float, seconds: float = 0.3) -> np.ndarray:
    return 0.3 * np.sin(2 * np.pi * frequency * np.arange(int(16000 * seconds)) / 16000).astype(np.float32)


EXAMPLES = [(tone(200), "low"), (tone(2000, 0.5), "high")]


@pytest.fixture(scope="module")
def pipe(codec, processor, language_model):
    return pipeline("audio-fewshot", model=codec, processor=processor, language_model=language_model)


@torch.no_grad()
def full_pass(model, prompt, continuation):
    logits = model(torch.tensor([prompt + continuation])).logits[0]
    log_probs = logits[len(prompt) - 1 : -1].log_softmax(-1)
    return sum(log_probs[i, token].item() for i, token in enumerate(continuation))


@pytest.mark.parametrize("shared", [0, 1, 40])
def test_scores_are_those_of_a_full_pass(language_model, shared):
    torch.manual_seed(0)
    ids = lambda n: torch.randint(0, 290, (n,)).tolist()  # noqa: E731
    start = ids(shared)
    prompts = [start + ids(n) for n in (1, 7, 3)] + ([start + [5]] if shared else [])
    continuations = [ids(n) for n in (1, 2, 5)]
    scores = score_continuations(language_model, prompts, continuations, batch_size=4)
    expected = torch.tensor([[full_pass(language_model, p, c) for c in continuations] for p in prompts])
    torch.testing.assert_close(scores, expected, atol=1e-4, rtol=0)  # sums of up to 5 float32 log-probabilities
    # one prompt, and a prompt that is the beginning of another
    torch.testing.assert_close(score_continuations(language_model, prompts[:1], continuations), scores[:1])
    nested = [start + [1], start + [1, 2]]
    expected = torch.tensor([[full_pass(language_model, p, c) for c in continuations] for p in nested])
    torch.testing.assert_close(score_continuations(language_model, nested, continuations), expected, atol=1e-4, rtol=0)


def test_scores_of_what_does_not_fit(language_model):
    with pytest.raises(ValueError, match="1030 tokens, 6 more than the language model's context of 1024"):
        score_continuations(language_model, [[1] * 1028], [[1, 2], [1]])
    with pytest.raises(ValueError, match="at least one"):
        score_continuations(language_model, [[]], [[1]])


def test_answer(pipe, codec, processor, language_model):
    answer = pipe(tone(300), examples=EXAMPLES)
    assert {entry["label"] for entry in answer} == {"low", "high"}
    assert sum(entry["score"] for entry in answer) == pytest.approx(1)
    assert answer[0]["score"] >= answer[1]["score"]
    # by hand, step for step
    codes = [
        codec.encode(torch.from_numpy(x)[None, None]).audio_codes[0] for x in (*(e[0] for e in EXAMPLES), tone(300))
    ]
    prompt = processor.few_shot_prompt([(codes[0], "low"), (codes[1], "high")], codes[2])
    scores = torch.tensor([full_pass(language_model, prompt, processor.label_ids(label)) for label in ("low", "high")])
    by_label = {entry["label"]: entry["score"] for entry in answer}
    assert [by_label["low"], by_label["high"]] == pytest.approx(scores.softmax(-1).tolist(), abs=1e-5)


def test_labels_and_options(pipe):
    answer = pipe(tone(300), examples=EXAMPLES, candidate_labels=["low", "high", "silent"])
    assert len(answer) == 3
    plain = pipe(tone(300), examples=EXAMPLES)
    for option in (
        {"instruction": False},
        {"layers": (0, 1, 2)},
        {"repeats": 2},
        {"layers": None, "layout": "time_major"},
    ):
        assert pipe(tone(300), examples=EXAMPLES, **option) != plain
    assert pipe(tone(300), examples=EXAMPLES) == plain  # nothing of a call stays


def test_every_form_of_audio(pipe, tmp_path):
    x = (tone(300) * 32767).astype(np.int16)
    path = tmp_path / "clip.wav"
    sf.write(path, x, 16000)
    expected = pipe(x, examples=EXAMPLES)
    assert pipe(str(path), examples=EXAMPLES) == expected
    assert pipe(path.read_bytes(), examples=[(path, "low"), (path.read_bytes(), "high")]) is not None
    assert pipe(path.read_bytes(), examples=EXAMPLES) == expected
    assert pipe({"raw": x, "sampling_rate": 16000}, examples=EXAMPLES) == expected
    assert pipe({"array": x, "sampling_rate": 16000, "path": None}, examples=EXAMPLES) == expected
    with pytest.raises(ValueError, match="no audio file"):
        pipe(str(tmp_path / "absent.wav"), examples=EXAMPLES)
    with pytest.raises(ValueError, match="sampling_rate"):
        pipe({"array": x}, examples=EXAMPLES)


def test_audio_from_a_url(pipe, tmp_path):
    sf.write(tmp_path / "clip.wav", tone(300), 16000)

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(tmp_path))

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        answer = pipe(f"http://127.0.0.1:{server.server_port}/clip.wav", examples=EXAMPLES)
        server.shutdown()
    assert answer == pipe(str(tmp_path / "clip.wav"), examples=EXAMPLES)


def test_another_rate_is_resampled(pipe):
    t = np.arange(22050 * 3 // 10) / 22050
    x = 0.3 * np.sin(2 * np.pi * 300 * t)
    assert len(pipe.load_audio({"array": x, "sampling_rate": 22050})) == 4800


def test_batches_and_columns(pipe):
    clips = [tone(300), tone(1500, 0.7), tone(100, 0.1)]
    alone = [pipe(clip, examples=EXAMPLES) for clip in clips]

    def same(answers):
        for answer, expected in zip(answers, alone, strict=True):
            assert [entry["label"] for entry in answer] == [entry["label"] for entry in expected]
            scores, expected = ([entry["score"] for entry in entries] for entries in (answer, expected))
            assert scores == pytest.approx(expected, abs=1e-4)

    same(pipe(clips, examples=EXAMPLES))
    same(pipe(clips, examples=EXAMPLES, batch_size=2))
    same(pipe((clip for clip in clips), examples=EXAMPLES))
    column = Dataset.from_dict({"audio": [{"array": clip.tolist(), "sampling_rate": 16000} for clip in clips]})
    same(pipe(KeyDataset(column, "audio"), examples=EXAMPLES, batch_size=3))


def test_language_model_by_folder(codec_dir, language_model_dir, pipe):
    loaded = pipeline("audio-fewshot", model=str(codec_dir), language_model=str(language_model_dir))
    assert loaded(tone(300), examples=EXAMPLES) == pipe(tone(300), examples=EXAMPLES)


def test_tokenizer_without_a_pad_token_batches(codec, processor, language_model):
    """As LLaMA 2's."""
    processor.tokenizer.pad_token, before = None, processor.tokenizer.pad_token
    pipe = pipeline("audio-fewshot", model=codec, processor=processor, language_model=language_model)
    assert len(pipe([tone(300), tone(200, 0.1)], examples=EXAMPLES, batch_size=2)) == 2
    processor.tokenizer.pad_token = before


def test_what_does_not_fit_is_refused(codec, processor, language_model, language_model_dir, tmp_path):
    with pytest.raises(ValueError, match="language_model="):
        pipeline("audio-fewshot", model=codec, processor=processor)
    config = LlamaConfig(
        vocab_size=100, hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2
    )
    with pytest.raises(ValueError, match="embeds 100 tokens"):
        pipeline("audio-fewshot", model=codec, processor=processor, language_model=LlamaForCausalLM(config))
    tokenizer = AutoTokenizer.from_pretrained(language_model_dir)
    tokenizer.save_pretrained(tmp_path)
    text = (tmp_path / "tokenizer.json").read_text()
    (tmp_path / "tokenizer.json").write_text(
        text.replace('"Ġaa"', '"Ġtmp"').replace('"Ġab"', '"Ġaa"').replace('"Ġtmp"', '"Ġab"')
    )
    other = AutoTokenizer.from_pretrained(tmp_path)
    assert other(" aa").input_ids != tiny_tokenizer()(" aa").input_ids
    with pytest.raises(ValueError, match="does not fit the codec's word list"):
        pipeline("audio-fewshot", model=codec, processor=processor, language_model=language_model, tokenizer=other)


def test_bad_examples_are_refused(pipe):
    with pytest.raises(ValueError, match="empty"):
        pipe(tone(300))
    with pytest.raises(ValueError, match="'high'"):
        pipe(tone(300), examples=EXAMPLES, candidate_labels=["low"])
    with pytest.raises(ValueError, match="more than the language model's context of 1024"):
        pipe(tone(300), examples=EXAMPLES * 30)
    with pytest.raises(ValueError, match="NaN"):
        pipe(np.full(100, np.nan, np.float32), examples=EXAMPLES)


def test_importing_the_package_registers_the_pipeline():
    from transformers.pipelines import PIPELINE_REGISTRY

    assert PIPELINE_REGISTRY.check_task("audio-fewshot")[1]["impl"] is llm_codec_hf.AudioFewShotPipeline
