# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""
Whatever model, streams, processor and configuration are given: a right answer, or an error that says what is wrong.

100 inputs per target here, 2,000 in the slow tests, or `LLM_CODEC_FUZZ_EXAMPLES`; each has seconds and some memory.
What is given is valid, nearly valid or of another kind altogether.
"""

import functools
import time

import pytest
import torch
from conftest import NUM_TOKENS, NUM_WORDS, tiny_config, tiny_processor
from fuzzing import EXAMPLES
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llm_codec_hf import LLMCodecConfig, LLMCodecModel

pytestmark = pytest.mark.usefixtures("little_memory")
SECONDS = 10  # of CPU time per input; most take milliseconds

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.integers(-3, 9),
    st.floats(),
    st.text(max_size=5),
    st.binary(max_size=5),
    st.just(torch.Generator()),
)
things = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=2), inner, max_size=2)),
    max_leaves=6,
)
dtypes = st.sampled_from(
    [torch.float32] * 5
    + [torch.int64] * 5
    + [torch.float64, torch.float16, torch.bfloat16, torch.int32, torch.int8, torch.bool, torch.complex64]
)


@st.composite
def tensors(draw, shapes):
    """Tensors of likely shapes, as tensors, arrays or lists, with likely and unlikely values."""
    shape = draw(st.one_of(shapes, st.lists(st.integers(0, 4), max_size=4).map(tuple)))
    dtype, seed = draw(dtypes), draw(st.integers(0, 99))
    generator = torch.Generator().manual_seed(seed)
    value = draw(st.sampled_from([0.1, 0.1, 0.1, 3.0, 1e20, float("inf"), float("nan")]))
    if dtype in (torch.int64, torch.int32, torch.int8):
        low, high = draw(st.sampled_from([(0, NUM_WORDS), (0, NUM_WORDS), (-1, 2), (0, 1), (1, 2), (-9, 99)]))
        tensor = torch.randint(low, high, shape, generator=generator, dtype=dtype)
    else:
        tensor = (value * torch.randn(shape, generator=generator).clamp(-4, 4)).to(dtype)
    kind = draw(st.sampled_from(["tensor"] * 8 + ["array", "list", "sparse"]))
    if kind == "array" and dtype != torch.bfloat16:
        return tensor.numpy()
    if kind == "list":
        return tensor.tolist()
    return tensor.to_sparse() if kind == "sparse" and tensor.dim() else tensor


audio = st.one_of(tensors(st.tuples(st.integers(1, 2), st.just(1), st.sampled_from([1, 9, 3840, 5000]))), things)
codes = st.one_of(tensors(st.tuples(st.integers(1, 2), st.just(7), st.integers(1, 3))), things)
clips = st.one_of(tensors(st.tuples(st.just(7), st.integers(1, 3))), things)
sample_masks = st.one_of(st.none(), tensors(st.tuples(st.integers(1, 2), st.sampled_from([1, 9, 3840]))), things)
group_masks = st.one_of(st.none(), st.none(), tensors(st.tuples(st.integers(1, 2), st.integers(1, 3))), things)
latents = st.one_of(tensors(st.tuples(st.integers(1, 2), st.just(64), st.sampled_from([1, 4, 8]))), things)
lengths = st.one_of(st.none(), st.none(), st.integers(1, 4000), scalars)
flags = st.one_of(st.booleans(), st.booleans(), scalars)


def call(function, *args, **kwargs):
    """The answer, or None where it is refused well."""
    start = time.process_time()
    try:
        return function(*args, **kwargs)
    except (ValueError, TypeError, OSError) as error:
        assert len(str(error)) > 15, f"{error!r} says too little"
        return None
    finally:
        assert time.process_time() - start < SECONDS


@functools.cache
def model():
    torch.manual_seed(0)
    return LLMCodecModel(tiny_config()).eval()


@functools.cache
def processor():
    return tiny_processor()


def check_audio(values):
    assert values.isfinite().all() and values.abs().max() <= 1


def check_codes(found):
    for layer, size in zip(model().split_layers(found), (NUM_WORDS, NUM_TOKENS, NUM_TOKENS)):
        assert layer.dtype == torch.long and layer.min() >= -1 and layer.max() < size


@torch.inference_mode()
def encode(data):
    output = call(model().encode, data.draw(audio), data.draw(sample_masks), data.draw(flags), data.draw(lengths))
    if output is not None:
        check_codes(output.audio_codes)
        assert torch.equal(output.audio_codes_mask.bool(), (output.audio_codes >= 0).all(dim=1))


@torch.inference_mode()
def forward(data):
    output = call(model(), data.draw(audio), data.draw(sample_masks), data.draw(flags))
    if output is not None:
        check_codes(output.audio_codes)
        check_audio(output.audio_values)


@torch.inference_mode()
def decode(data):
    source = {"audio_codes": data.draw(codes)} if data.draw(st.booleans()) else {"latents": data.draw(latents)}
    options = {"audio_codes_mask": data.draw(group_masks), "noise": data.draw(flags), "length": data.draw(lengths)}
    output = call(model().decode, **source, **options, chunk_length_s=data.draw(lengths))
    if output is not None:
        check_audio(output.audio_values)
        assert options["length"] is None or output.audio_values.shape[-1] == options["length"]


@torch.inference_mode()
def streams(data):
    for go_on, blocks, masks in (
        (model().encode_stream, audio, sample_masks),
        (model().decode_stream, codes, group_masks),
    ):
        state = data.draw(st.one_of(st.none(), st.none(), things))
        for _ in range(2):
            output = call(go_on, data.draw(blocks), state, data.draw(masks), flush=data.draw(flags))
            if output is None:
                break
            found, state = output[0], output.state
            if found.numel():
                check_codes(found) if found.dtype == torch.long else check_audio(found)


def prompts(data):
    p = processor()
    layers = data.draw(st.one_of(st.none(), st.just((0,)), things))
    layout = data.draw(st.sampled_from(["layer_major", "time_major", 3]))
    ids = call(p.codes_to_ids, data.draw(clips), layers, layout)
    if ids and isinstance(ids[0], int):
        assert p.codes_to_ids(call(p.ids_to_codes, ids, layers, layout), layers, layout) == ids
    number = data.draw(st.one_of(st.integers(0, 3), scalars))
    call(p.ids_to_codes, data.draw(st.one_of(st.just(ids), things)), layers, num_groups=number)
    text = data.draw(st.one_of(st.sampled_from(["a <audio>", ["<audio>", "b"]]), things))
    output = call(p, text=text, audio_codes=data.draw(clips), padding=data.draw(flags))
    if output is not None and isinstance(text, str):
        assert "<audio>" not in p.tokenizer.decode(output["input_ids"]) and isinstance(text, str)
    pairs = st.one_of(st.lists(st.tuples(clips, st.just("x")), max_size=2), things)
    call(p.few_shot_prompt, data.draw(pairs), data.draw(clips), data.draw(things), data.draw(flags), number)
    call(p.audio_grammar, number, data.draw(lengths))
    call(p.label_ids, data.draw(things))


FIELDS = [name for name in LLMCodecConfig().to_dict() if name in LLMCodecConfig.__init__.__code__.co_varnames]


def configurations(data):
    names = data.draw(st.lists(st.sampled_from(FIELDS), max_size=3, unique=True))
    sizes = st.lists(st.sampled_from([0, 1, 2, 3, 4, 5, 8, 24, 256, 10**6, 10**10, True, 2.5]), max_size=5)
    config = call(LLMCodecConfig, **{name: data.draw(st.one_of(sizes, things)) for name in names})
    if config is not None:
        assert config.to_dict() == LLMCodecConfig.from_dict(config.to_dict()).to_dict()
        assert config.encoder_lookahead + config.decoder_lookahead >= 0 < config.bitrate
        start = time.process_time()
        with torch.device("meta"):
            LLMCodecModel(config)
        assert time.process_time() - start < SECONDS


TARGETS = [encode, forward, decode, streams, prompts, configurations]


def fuzz(target, examples):
    @settings(
        max_examples=examples, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(st.data())
    def run(data):
        target(data)

    run()


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.__name__)
def test_any_input(target):
    fuzz(target, 100)


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.__name__)
def test_any_input_at_length(target):
    fuzz(target, EXAMPLES)


def test_the_fuzzer_sees_what_is_wrong():
    with pytest.raises(IndexError):
        call(lambda: [][0])
    with pytest.raises(AssertionError, match="says too little"):
        call(_raise)


def _raise():
    raise ValueError("no")
