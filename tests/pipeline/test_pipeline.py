# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""`pipeline("audio-fewshot")`."""

import copy
import http.server
import threading

import numpy as np
import pytest
import soundfile as sf
import torch
from conftest import tiny_tokenizer
from datasets import Dataset
from language_models import bytes_alone, full_pass
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM, pipeline
from transformers.pipelines.pt_utils import KeyDataset

import llm_codec_hf
from llm_codec_hf.processing_llm_codec import LLMCodecProcessor
from llm_codec_hf.scoring_llm_codec import CONTENT_FREE, calibrated, shuffled_queries


def tone(frequency: float, seconds: float = 0.3) -> np.ndarray:
    return 0.3 * np.sin(2 * np.pi * frequency * np.arange(int(16000 * seconds)) / 16000).astype(np.float32)


EXAMPLES = [(tone(200), "low"), (tone(2000, 0.5), "high")]


@pytest.fixture(scope="module")
def pipe(codec, processor, language_model):
    return pipeline("audio-fewshot", model=codec, processor=processor, language_model=language_model)


@pytest.mark.parametrize("scoring", ["raw", "length_normalized", "content_free", "support_shuffled"])
def test_answer(pipe, codec, processor, language_model, scoring):
    answer = pipe(tone(300), examples=EXAMPLES, scoring=scoring)
    assert {entry["label"] for entry in answer} == {"low", "high"}
    assert sum(entry["score"] for entry in answer) == pytest.approx(1)
    assert answer[0]["score"] >= answer[1]["score"]
    # by hand, step for step
    codes = [
        codec.encode(torch.from_numpy(x)[None, None]).audio_codes[0] for x in (*(e[0] for e in EXAMPLES), tone(300))
    ]
    labels = [processor.label_ids(label) for label in ("low", "high")]

    def log_probs(query):
        prompt = processor.few_shot_prompt([(codes[0], "low"), (codes[1], "high")], query)
        return torch.tensor([full_pass(language_model, prompt, label) for label in labels])

    scores = log_probs(codes[2])
    if scoring == "length_normalized":
        scores /= torch.tensor([len(label) for label in labels])
    elif scoring != "raw":
        shuffled = shuffled_queries(codes[:2], max(codes[0].shape[1], codes[1].shape[1]), 8, 0)
        free = CONTENT_FREE if scoring == "content_free" else shuffled
        scores = calibrated(scores, torch.stack([log_probs(query) for query in free]))
    by_label = {entry["label"]: entry["score"] for entry in answer}
    assert [by_label["low"], by_label["high"]] == pytest.approx(scores.softmax(-1).tolist(), abs=1e-5)


def test_batch_calibration_takes_the_clips_of_a_batch(pipe):
    clips = [tone(300), tone(1500, 0.7), tone(100, 0.1)]
    raw = pipe(clips, examples=EXAMPLES, scoring="raw", batch_size=3)
    logs = torch.tensor([[{e["label"]: e["score"] for e in a}[label] for label in ("low", "high")] for a in raw]).log()
    expected = calibrated(logs, logs).softmax(-1)
    answers = pipe(clips, examples=EXAMPLES, scoring="batch", batch_size=3)
    for answer, row in zip(answers, expected):
        scores = {entry["label"]: entry["score"] for entry in answer}
        assert [scores["low"], scores["high"]] == pytest.approx(row.tolist(), abs=1e-4)


def test_labels_and_options(pipe):
    answer = pipe(tone(300), examples=EXAMPLES, candidate_labels=["low", "high", "silent"])
    assert len(answer) == 3
    plain = pipe(tone(300), examples=EXAMPLES)
    for option in (
        {"instruction": False},
        {"layers": (0, 1, 2)},
        {"repeats": 2},
        {"layers": (0, 1, 2), "layout": "time_major"},
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


def test_a_language_model_of_another_vocabulary(codec, processor, codec_dir, tmp_path):
    """It reads the words of layer 0 in its own tokens; the pipeline saves the codec's words."""
    tokenizer = bytes_alone()
    torch.manual_seed(0)
    size = {"vocab_size": len(tokenizer), "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
    other = LlamaForCausalLM(LlamaConfig(num_attention_heads=4, max_position_embeddings=2048, **size))
    other.save_pretrained(tmp_path / "other")
    tokenizer.save_pretrained(tmp_path / "other")
    pipe = pipeline("audio-fewshot", model=str(codec_dir), language_model=str(tmp_path / "other"))
    answer = pipe(tone(300), examples=EXAMPLES, scoring="raw")
    words = processor.for_tokenizer(tokenizer)
    low, high, query = (
        codec.encode(torch.from_numpy(x)[None, None]).audio_codes[0]
        for x in (EXAMPLES[0][0], EXAMPLES[1][0], tone(300))
    )
    prompt = words.few_shot_prompt([(low, "low"), (high, "high")], query)
    expected = [full_pass(other, prompt, words.label_ids(label)) for label in ("low", "high")]
    by_label = {entry["label"]: entry["score"] for entry in answer}
    assert [by_label["low"], by_label["high"]] == pytest.approx(torch.tensor(expected).softmax(-1).tolist(), abs=1e-4)
    with pytest.raises(ValueError, match=r"token ids of the codec's own language model.*layers=\(0,\)"):
        pipe(tone(300), examples=EXAMPLES, layers=(0, 1))
    pipe.save_pretrained(tmp_path / "saved")
    assert LLMCodecProcessor.from_pretrained(tmp_path / "saved").token_ids == processor.token_ids


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
    models = {"model": codec, "processor": processor, "language_model": language_model}
    fitted = pipeline("audio-fewshot", **models, tokenizer=other).processor  # it is asked in its own ids
    assert fitted.codes_to_ids(torch.zeros(fitted.codes_per_group, 1).long(), 0) == other(processor.words[0]).input_ids


def test_bad_examples_are_refused(pipe):
    with pytest.raises(ValueError, match="empty"):
        pipe(tone(300))
    with pytest.raises(ValueError, match="'high'"):
        pipe(tone(300), examples=EXAMPLES, candidate_labels=["low"])
    with pytest.raises(ValueError, match="more than the language model's context of 1024"):
        pipe(tone(300), examples=EXAMPLES * 30)
    with pytest.raises(ValueError, match="NaN"):
        pipe(np.full(100, np.nan, np.float32), examples=EXAMPLES)


def test_a_language_model_of_nan_is_named(codec, processor, language_model):
    broken = copy.deepcopy(language_model)
    broken.model.norm.weight.data[0] = float("nan")
    pipe = pipeline("audio-fewshot", model=codec, processor=processor, language_model=broken)
    with pytest.raises(ValueError, match="LlamaForCausalLM.* in float32 gives NaN"):
        pipe(tone(300), examples=EXAMPLES)
    for temperature in (0.0, 1.0):
        with pytest.raises(ValueError, match="LlamaForCausalLM.* in float32 gives NaN"):
            pipe("an audio of 1+1", examples=SPOKEN, output="audio", temperature=temperature)


# ---- Audio out

SPOKEN = [("an audio of 1", tone(200, 0.5)), ("an audio of 2", tone(900, 0.5))]
CLEANED = [(tone(200, 0.5), tone(220, 0.5)), (tone(900, 0.4), tone(950, 0.4))]


@pytest.mark.parametrize("layout", ["layer_major", "time_major"])
def test_audio_from_text(pipe, codec, processor, language_model, layout):
    answer = pipe("an audio of 1+1", examples=SPOKEN, output="audio", layout=layout)
    assert answer["sampling_rate"] == 16000 and answer["audio"].dtype == np.float32
    assert answer["audio"].shape == (8000,)  # the examples' length
    # by hand: the most probable id of those that continue a clip of 6 groups
    codes = pipe.encode([clip for _, clip in SPOKEN])
    examples = [(text, clip) for (text, _), clip in zip(SPOKEN, codes)]
    prompt = processor.few_shot_prompt(examples, "an audio of 1+1", instruction=False, layers=None, layout=layout)
    grammar = processor.audio_grammar(6, layout=layout)
    state, ids = grammar.start(), []
    with torch.no_grad():
        while len(allowed := grammar.allowed(state)):
            logits = language_model(torch.tensor([prompt + ids])).logits[0, -1]
            ids.append(int(allowed[logits[allowed].argmax()]))
            state = grammar.step(state, ids[-1])
        expected = codec.decode(processor.ids_to_codes(ids, layout=layout)[None]).audio_values[0, 0, :8000]
    np.testing.assert_allclose(answer["audio"], expected.numpy(), atol=1e-6)


@pytest.mark.parametrize("layout", ["layer_major", "time_major"])
@pytest.mark.parametrize("seconds", [None, 1.0, (0.3, 0.9)])
def test_pieces_are_the_whole(pipe, layout, seconds):
    options = {"examples": SPOKEN, "output": "audio", "layout": layout, "seconds": seconds, "temperature": 1.0}
    whole = pipe("an audio of 3", **options)["audio"]
    pieces = [piece["audio"] for piece in pipe("an audio of 3", iterator=True, **options)]
    np.testing.assert_allclose(np.concatenate(pieces), whole, atol=1e-5)  # float rounding of other shapes
    if seconds == 1.0:
        assert len(pieces) > 1 and len(whole) == 16000


def test_sound_comes_before_the_last_id(pipe, monkeypatch):
    asked = []
    stream = pipe.backend.stream

    def counted(request):
        for token_id in stream(request):
            asked.append(token_id)
            yield token_id

    monkeypatch.setattr(pipe.backend, "stream", counted)
    pieces = pipe("an audio of 3", examples=SPOKEN, output="audio", seconds=2.0, layout="time_major", iterator=True)
    next(pieces)
    first = len(asked)
    for _ in pieces:
        pass
    assert 0 < first < len(asked) / 2


def test_audio_from_audio(pipe):
    answer = pipe(tone(400, 0.5), examples=CLEANED, output="audio", seed=3, temperature=0.7)
    assert 4 * 1920 <= len(answer["audio"]) <= 6 * 1920  # as the examples, in whole groups
    again = pipe([tone(400, 0.5), tone(500, 0.5)], examples=CLEANED, output="audio", seed=3, temperature=0.7)
    assert len(again) == 2
    np.testing.assert_allclose(again[0]["audio"], answer["audio"], atol=1e-6)
    semantic = pipe(tone(400, 0.5), examples=CLEANED, output="audio", layers=(0,), seconds=0.5)
    assert semantic["audio"].shape == (8000,)


def test_what_makes_no_audio_is_refused(pipe, tmp_path):
    with pytest.raises(ValueError, match="all texts or all clips; 'an audio of 1' is no audio file"):
        pipe(tone(400), examples=SPOKEN, output="audio")
    with pytest.raises(ValueError, match="no audio file"):
        pipe(str(tmp_path / "absent.wav"), examples=CLEANED, output="audio")
    with pytest.raises(ValueError, match="'label' or 'audio', got 'video'"):
        pipe("x", examples=SPOKEN, output="video")
    with pytest.raises(ValueError, match="`seconds`"):
        pipe("x", examples=SPOKEN, output="audio", seconds=0)
    with pytest.raises(ValueError, match="one query at a time"):
        pipe(["x", "y"], examples=SPOKEN, output="audio", iterator=True)
    with pytest.raises(ValueError, match="candidate_labels"):
        pipe("x", examples=SPOKEN, output="audio", candidate_labels=["a"])
    with pytest.raises(ValueError, match="`scoring` is one of raw"):
        pipe(tone(300), examples=EXAMPLES, scoring="best")


def test_importing_the_package_registers_the_pipeline():
    from transformers.pipelines import PIPELINE_REGISTRY

    assert PIPELINE_REGISTRY.check_task("audio-fewshot")[1]["impl"] is llm_codec_hf.AudioFewShotPipeline
