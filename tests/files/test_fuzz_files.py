# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""
Anything given to the feature extractor and to the readers of files ends in a result or in an error of the right type.

Each input has seconds and some memory. `LLM_CODEC_FUZZ_EXAMPLES` says how many inputs per target.
"""

import io

import numpy as np
import pytest
import soundfile as sf
import torch
from conftest import FIXTURES
from fuzzing import EXAMPLES
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from llm_codec_hf import LLMCodecFeatureExtractor
from llm_codec_hf.audio_llm_codec import read_audio
from llm_codec_hf.files.audio_files import inspect_audio
from llm_codec_hf.files.encoded_clip import EncodedClip, decode_clip, encode_clip

SECONDS = 5
REFUSALS = (ValueError, TypeError, OSError)
inputs = settings(
    max_examples=EXAMPLES,
    deadline=1000 * SECONDS,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("little_memory")]


# ---- The feature extractor

DTYPES = st.sampled_from("f2 f4 f8 i1 i2 i4 i8 u1 u2 b1 c8 O U3 M8[s]".split())
SHAPES = st.lists(st.integers(0, 40), max_size=3).map(tuple)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 70),
    st.integers(),
    st.floats(),
    st.text(max_size=4),
    st.sampled_from(
        [16000, 44100, 8000.0, np.float32(22050), np.int64(1), "16000", 1e300, 10**12, 3.5, torch.tensor(5)]
    ),
)
CLIPS = st.one_of(
    DTYPES.flatmap(lambda dtype: arrays.arrays("O" if dtype == "O" else dtype, SHAPES, elements=None)),
    st.tuples(st.integers(0, 99), st.sampled_from([1e-3, 0.5, 2.0, 100.0]), SHAPES).map(
        lambda seed: seed[1] * np.random.default_rng(seed[0]).standard_normal(seed[2]).astype(np.float32)
    ),
    st.lists(st.one_of(st.floats(), st.integers(-300, 300), st.text(max_size=2)), max_size=5),
    st.lists(st.lists(st.floats(-1, 1), max_size=4), max_size=4),
    st.binary(max_size=20),
    st.binary(max_size=20).map(bytearray),
    st.binary(max_size=20).map(io.BytesIO),
    st.dictionaries(st.text(max_size=3), st.floats(), max_size=2),
    SCALARS,
)


@inputs
@given(
    audio=st.one_of(CLIPS, st.lists(CLIPS, max_size=3), CLIPS.map(lambda clip: iter([clip]))),
    sampling_rate=SCALARS,
    options=st.fixed_dictionaries(
        {},
        optional={
            "padding": st.one_of(SCALARS, st.sampled_from(["longest", "max_length", "do_not_pad"])),
            "truncation": SCALARS,
            "max_length": SCALARS,
            "pad_to_multiple_of": SCALARS,
            "return_tensors": st.one_of(SCALARS, st.sampled_from(["pt", "np", "tf"])),
            "resample": SCALARS,
            "channels": st.one_of(SCALARS, st.just("mean")),
        },
    ),
)
def test_the_feature_extractor(audio, sampling_rate, options):
    extractor = LLMCodecFeatureExtractor()
    try:
        features = extractor(audio, sampling_rate, **options)
    except ValueError as error:
        assert str(error)
        return
    for values, mask in zip(features["input_values"], features["padding_mask"]):
        values, mask = np.asarray(values), np.asarray(mask)
        assert values.dtype == np.float32 and values.shape == (1, *mask.shape) and np.isfinite(values).all()
        count = int(mask.sum())
        assert count >= 1 and mask[:count].all() and not values[0, count:].any()
        assert np.abs(values).max() < 6  # a resampler rings


# ---- Files


def mutations(contents: list[bytes]):
    """Contents with bytes that were changed, left out, put in or repeated."""
    words = st.sampled_from([b"\xff" * 4, bytes(4), b"\x7f\xff\xff\xff", b"\0\0\0\x80", b"\1\0\0\0"])
    position = st.one_of(st.integers(0, 80), st.integers(0, 2**20))
    change = st.one_of(
        st.tuples(st.just("set"), position, st.one_of(words, st.binary(min_size=1, max_size=4))),
        st.tuples(st.just("put"), position, st.binary(max_size=40)),
        st.tuples(st.just("cut"), position, st.integers(1, 300).map(bytes)),
        st.tuples(st.just("end"), position, st.sampled_from([b"", *contents])),
    )

    def changed(drawn):
        content, changes = bytearray(drawn[0]), drawn[1]
        for kind, place, value in changes:
            place = place % (len(content) + 1)
            if kind == "end":
                content = content[:place] + value if place % 2 else content + value
            else:
                content[place : place + (0 if kind == "put" else len(value))] = b"" if kind == "cut" else value
        return bytes(content)

    return st.tuples(st.sampled_from(contents), st.lists(change, max_size=6)).map(changed)


def audio_contents() -> list[bytes]:
    samples = 0.1 * np.random.default_rng(0).standard_normal((3000, 2))
    contents = [path.read_bytes() for path in sorted((FIXTURES / "cases").iterdir())]
    for suffix in ("WAV", "AIFF", "AU", "CAF", "W64", "RF64", "NIST", "FLAC", "OGG", "MP3"):
        sf.write(file := io.BytesIO(), samples, 16000, format=suffix)
        contents.append(file.getvalue())
    return contents


@inputs
@given(content=st.one_of(mutations(audio_contents()), st.binary(max_size=200)), allow_truncated=st.booleans())
def test_files_of_audio(content, allow_truncated):
    try:
        audio = read_audio(content, allow_truncated)
    except ValueError as error:
        assert str(error).startswith(f"audio of {len(content)} bytes: ")
    else:
        assert audio.samples.dtype == np.float32 and audio.samples.ndim == 2 and audio.sampling_rate > 0
    try:
        info = inspect_audio(content, allow_truncated)
    except ValueError as error:
        assert str(error).startswith(f"audio of {len(content)} bytes: ")
    else:
        assert info.frames > 0 and info.channels > 0


@pytest.fixture(scope="module")
def clip(codec) -> EncodedClip:
    samples = (0.1 * np.random.default_rng(0).standard_normal(7000)).astype(np.float32)
    return encode_clip(codec, LLMCodecFeatureExtractor(), [samples], 16000, "a/codec")


@inputs
@given(data=st.data())
def test_files_of_codes(codec, clip, data):
    whole = clip.to_bytes()
    content = data.draw(st.one_of(mutations([whole]), st.binary(max_size=100)))
    try:
        loaded = EncodedClip.load(io.BytesIO(content))
    except ValueError as error:
        assert "damaged" in str(error) or "holds no audio codes" in str(error) or "version" in str(error)
        return
    assert loaded.to_bytes() == whole  # nothing passes but the same clip
    assert sum(map(len, decode_clip(codec, loaded))) == 7000
