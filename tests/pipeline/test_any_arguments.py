# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Whatever a call is given, it answers, or says in an error of its own what is wrong with which argument."""

import io
import math

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import pipeline

pytestmark = pytest.mark.e2e  # seconds

CALM = settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
CLIP = 0.3 * np.sin(np.arange(400) / 5).astype(np.float32)
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 5),
    st.sampled_from([2**70, math.inf, math.nan, 0.5, "", "dog", "mean", "0", b"", b"x", 1j]),
    st.builds(object),
    st.just(()),
    st.just([]),
    st.just({}),
    st.lists(st.integers(-2, 4), max_size=3),
    st.just(np.zeros(0)),
    st.just(np.zeros((2, 3), np.float32)),
    st.just(np.array(1.0)),
    st.just(np.array(["a"])),
    st.just(torch.zeros(4)),
    st.just(torch.tensor(3)),
)
ONE = st.one_of(
    ODD,
    st.just(CLIP),
    st.just((CLIP * 32767).astype(np.int16)),
    st.builds(lambda rate: (rate, CLIP), ODD),
    st.builds(lambda rate: {"array": CLIP, "sampling_rate": rate}, ODD),
    st.builds(lambda array: {"raw": array, "sampling_rate": 16000}, ODD),
    st.builds(lambda data: {"bytes": data, "path": None}, ODD),
    st.builds(lambda path: {"bytes": None, "path": path}, ODD),
    st.builds(lambda audio: {"audio": audio}, ODD),
    st.builds(lambda data: io.BytesIO(data), st.sampled_from([b"", b"RIFF", b"OggS" * 20])),
)
AUDIO = st.one_of(
    ONE, st.lists(ONE, max_size=2), st.lists(ONE, max_size=2).map(tuple), st.lists(ONE, max_size=2).map(iter)
)
EXAMPLES = st.one_of(
    st.just([(CLIP, "low"), (CLIP, "high")]),
    st.just([(CLIP, "low"), (CLIP, "high")]),
    ODD,
    st.lists(st.one_of(ODD, st.tuples(ONE, ODD), st.just((CLIP, "low"))), max_size=2),
    st.lists(st.just({"audio": CLIP, "label": 1}), max_size=2),
)
OPTIONS = {
    "candidate_labels": st.one_of(ODD, st.lists(st.one_of(ODD, st.sampled_from(["low", "high"])), max_size=3)),
    "instruction": ODD,
    "repeats": ODD,
    "layers": ODD,
    "layout": st.one_of(ODD, st.just("time_major")),
    "output": st.one_of(ODD, st.just("label"), st.just("audio")),
    "scoring": st.one_of(ODD, st.sampled_from(["raw", "batch", "content_free"])),
    "seconds": ODD,
    "temperature": ODD,
    "top_p": ODD,
    "seed": ODD,
    "iterator": ODD,
    "channels": ODD,
    "batch_size": ODD,
    "num_workers": st.one_of(st.none(), st.booleans(), st.sampled_from([-1, 0.5, "x", 0])),
    "nonsense": ODD,
}
ONE_OPTION = st.sampled_from(sorted(OPTIONS)).flatmap(lambda name: st.fixed_dictionaries({name: OPTIONS[name]}))
TWO_OPTIONS = st.builds(lambda first, second: first | second, ONE_OPTION, ONE_OPTION)
EXPECTED = (ValueError, TypeError, OSError, ImportError)


@pytest.fixture(scope="module")
def pipe(codec, processor, language_model):
    return pipeline("audio-fewshot", model=codec, processor=processor, language_model=language_model)


def check(call) -> None:
    """An answer, or an error of the right kind that says something."""
    try:
        answer = call()
        if not isinstance(answer, (dict, list)):
            answer = list(answer)
    except EXPECTED as error:
        assert len(str(error)) > 20, repr(error)
        assert isinstance(error, (ValueError, OSError, ImportError)) or "has no option" in str(error), repr(error)


@CALM
@given(audio=st.just(CLIP) | AUDIO, options=TWO_OPTIONS, examples=EXAMPLES)
def test_any_arguments(pipe, audio, examples, options):
    check(lambda: pipe(audio, examples=examples, **options))


@CALM
@given(audio=AUDIO)
def test_any_audio(pipe, audio):
    check(lambda: pipe(audio, examples=[(CLIP, "low"), (CLIP, "high")], scoring="raw"))


@CALM
@given(options=TWO_OPTIONS)
def test_any_option_of_labels(pipe, options):
    check(lambda: pipe(CLIP, examples=[(CLIP, "low"), (CLIP, "high")], **options))


@CALM
@given(options=TWO_OPTIONS)
def test_any_option_of_audio_out(pipe, options):
    options = {"seconds": 0.12, **options, "output": "audio"}
    check(lambda: pipe("say 1", examples=[("say 2", CLIP), ("say 3", CLIP)], **options))
