# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Tests of the processor: exact against the golden data, invertible for any table, saved and loaded as Hub code."""

import functools
import json
import random
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import FIXTURES, SHARED
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoConfig, AutoFeatureExtractor, AutoProcessor, LlamaTokenizer, PreTrainedTokenizerFast
from transformers.tokenization_utils_base import generate_merges

from llm_codec_hf.configuration_llm_codec import LLMCodecConfig
from llm_codec_hf.feature_extraction_llm_codec import LLMCodecFeatureExtractor
from llm_codec_hf.processing_llm_codec import FewShotTemplate, LLMCodecProcessor

ORIGINAL = SHARED / "original"
LLAMA2 = ORIGINAL / "llama2_tokenizer.model"
PROMPTS = json.loads((FIXTURES / "prompts_llama2.json").read_text())
WORD_IDS = json.loads((FIXTURES / "words_llama2_ids.json").read_text())
TOKENS = {"range": 32000}

needs_llama2 = pytest.mark.skipif(not LLAMA2.exists(), reason=f"LLaMA-2's tokenizer is not here: {LLAMA2}")
cases = pytest.mark.parametrize("case", PROMPTS["cases"], ids=lambda case: case["name"])


def make_processor(tokenizer, words, token_ids=None, **kwargs):
    return LLMCodecProcessor(LLMCodecFeatureExtractor(), tokenizer, words, token_ids, **kwargs)


@functools.cache
def letters():
    """A tokenizer whose tokens are letters, so that words of any ids can be spelt."""
    vocab = {letter: i for i, letter in enumerate("abcdefgh")}
    tokenizer = Tokenizer(models.WordLevel(vocab, unk_token="h"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="h")


def spelt(sequences):
    return ["".join("abcdefgh"[i] for i in ids) for ids in sequences]


@functools.cache
def byte_level():
    """A tiny byte-level BPE tokenizer, of SmolLM2's kind: no BOS of its own, words begin with their space."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=280, initial_alphabet=alphabet, special_tokens=["<s>", "</s>"], show_progress=False
    )
    tokenizer.train_from_iterator(["a dog and a cat saw a dog", "Input: dog\nOutput: cat\n"] * 9, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>")


@functools.cache
def byte_level_processor():
    return make_processor(byte_level(), [" dog", " cat", " zebra", " and"])


@functools.cache
def llama2_ids_processor():
    """LLaMA 2's tables over a stand-in vocabulary, for what needs its ids and not its text."""
    tokenizer = Tokenizer(models.WordLevel({f"{i};": i for i in range(32000)}, unk_token="0;"))
    words = ["".join(f"{i};" for i in ids) for ids in WORD_IDS.values()]
    return make_processor(
        PreTrainedTokenizerFast(tokenizer_object=tokenizer), words, [[*WORD_IDS.values()], TOKENS, TOKENS]
    )


@functools.cache
def llama2_tokenizer(form):
    """LLaMA-2's tokenizer from its SentencePiece file, as Transformers' class and as an exact backend.

    Merges are ordered by the pieces' scores. Transformers 5.23 itself reads the file in the order of ids, which puts
    the runs of spaces first and gets e.g. "  >" wrong.
    """
    import sentencepiece

    pieces = sentencepiece.SentencePieceProcessor(model_file=str(LLAMA2))
    vocab = {pieces.id_to_piece(i): i for i in range(len(pieces))}
    merges = generate_merges(vocab, {piece: pieces.get_score(i) for piece, i in vocab.items()})
    if form == "transformers":
        return LlamaTokenizer(vocab=vocab, merges=merges, add_bos_token=True)
    backend = Tokenizer(models.BPE(vocab, merges, fuse_unk=True, byte_fallback=True, unk_token="<unk>"))
    backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    backend.post_processor = processors.TemplateProcessing("<s> $A", special_tokens=[("<s>", 1)])
    return PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


@pytest.fixture(params=["transformers", "tokenizers"])
def llama2(request):
    pytest.importorskip("sentencepiece")
    words = WORD_IDS.keys()
    return make_processor(llama2_tokenizer(request.param), words, [[*WORD_IDS.values()], TOKENS, TOKENS])


def clip(layers):
    """Golden codes, a list a layer, as a clip's codes."""
    return torch.cat([torch.tensor(codes).view(len(layers[0]), -1).T for codes in layers])


def random_codes(processor, groups, seed=0):
    generator = torch.Generator().manual_seed(seed)
    sizes = [len(table) for table, n in zip(processor.token_ids, processor.codes_per_layer) for _ in range(n)]
    return torch.stack([torch.randint(size, (groups,), generator=generator) for size in sizes])


# Golden data --------------------------------------------------------------------------------------------------------


@cases
def test_golden_audio_ids(case):
    processor = llama2_ids_processor()
    expected = ",".join(map(str, case["input_ids"]))
    for codes in [*(demonstration["codes"] for demonstration in case["demonstrations"]), case["query"]]:
        ids = processor.codes_to_ids(clip(codes), case["layers"])
        assert ",".join(map(str, ids)) in expected
        rows = sum(processor.codes_per_layer[layer] for layer in case["layers"])
        assert torch.equal(processor.ids_to_codes(ids, case["layers"]), clip(codes)[:rows])


@needs_llama2
@cases
def test_golden_prompts(llama2, case):
    examples = [(clip(item["codes"]), item["label"]) for item in case["demonstrations"]]
    arguments = {"labels": case["labels"], "instruction": case["task_induction"], "layers": case["layers"]}
    assert llama2.few_shot_prompt(examples, clip(case["query"]), **arguments) == case["input_ids"]
    assert {label: llama2.label_ids(label) for label in case["labels"]} == case["label_ids"]


@needs_llama2
def test_golden_prompt_from_placeholders(llama2):
    case = PROMPTS["cases"][1]
    instruction = "For each of the following input output pairs, output is one of ['Happy' or 'Sad']\n"
    clips = [clip(item["codes"]) for item in case["demonstrations"]]
    text = instruction + "###\nInput: < <audio> >\nOutput: "
    head = llama2(text=text, audio_codes=clips[0], layers=None)["input_ids"]
    pieces = [instruction + "###\nInput: < ", clips[0], " >\nOutput: "]
    assert head == [1, *llama2.segments_to_ids(pieces, layers=None)]
    assert head[-6:] == PROMPTS["segments"][" >\nOutput: "]


@needs_llama2
def test_golden_segments_and_words(llama2):
    assert {text: llama2.segments_to_ids([text]) for text in PROMPTS["segments"]} == PROMPTS["segments"]
    from_words = make_processor(llama2.tokenizer, WORD_IDS.keys())
    assert from_words.token_ids[0] == [*WORD_IDS.values()]


@needs_llama2
def test_the_words_are_the_originals():
    np = pytest.importorskip("numpy")
    assert np.load(ORIGINAL / "layer1.npy").tolist() == [*WORD_IDS]


@needs_llama2
def test_segments_equal_sentencepiece(llama2):
    import sentencepiece

    pieces = sentencepiece.SentencePieceProcessor(model_file=str(LLAMA2))
    draw = random.Random(0)
    parts = [" ", "  ", "\n", "\t", "a", "the", "Ä", "日", "😀", "-", "'", "<", ">", "#", "▁", "dog", " cat", ".", "0"]
    texts = ["".join(draw.choices(parts, k=draw.randint(1, 12))) for _ in range(400)]
    assert [llama2.segments_to_ids([text]) for text in texts] == pieces.encode(texts)


@pytest.mark.e2e
@needs_llama2
def test_saved_and_loaded_llama2_is_the_same(llama2, tmp_path, registered):
    llama2.save_pretrained(tmp_path)
    loaded = AutoProcessor.from_pretrained(tmp_path)
    texts = [*PROMPTS["segments"], "a  b", "  a"]
    assert [loaded.segments_to_ids([text]) for text in texts] == [llama2.segments_to_ids([text]) for text in texts]
    assert loaded(text="a")["input_ids"] == [1, 263]


# Codes and ids ------------------------------------------------------------------------------------------------------


def test_layouts():
    processor = llama2_ids_processor()
    codes = torch.tensor([[2, 0], [10, 12], [11, 13], [20, 24], [21, 25], [22, 26], [23, 27]])
    first, second = ([*WORD_IDS.values()][i] for i in (2, 0))
    assert processor.codes_to_ids(codes) == [*first, *second, *range(10, 14), *range(20, 28)]
    by_time = [*first, 10, 11, 20, 21, 22, 23, *second, 12, 13, 24, 25, 26, 27]
    assert processor.codes_to_ids(codes, layout="time_major") == by_time
    assert processor.codes_to_ids(codes, layers=(1,)) == [10, 11, 12, 13]
    assert processor.codes_to_ids(codes, layers=(0, 2)) == [*first, *second, *range(20, 28)]


def test_batch_and_mask():
    processor = byte_level_processor()
    codes = random_codes(processor, 3)
    short = codes.clone()
    short[:, 2] = -1
    batch = processor.codes_to_ids(torch.stack([codes, short]))
    assert batch == [processor.codes_to_ids(codes), processor.codes_to_ids(codes[:, :2])]
    assert processor.codes_to_ids(torch.full((7, 2), -1)) == []
    assert processor.codes_to_words(torch.stack([codes, short]))[1] == processor.codes_to_words(codes[:, :2])
    assert processor.codes_to_ids(codes[:1].numpy(), layers=(0,)) == processor.codes_to_ids(codes, layers=(0,))


def test_words_and_text():
    processor = byte_level_processor()
    dog, newline = byte_level().encode(" dog"), byte_level().encode("\n")
    codes = torch.tensor([[2, 0], *[[newline[0], dog[0]]] * 2, *[[dog[0], dog[0]]] * 4])
    assert processor.codes_to_words(codes, layers=(0, 1)) == [["zebra", "dog"], ["\n", "\n", " dog", " dog"]]
    assert processor.codes_to_text(codes, layers=(0,)) == "zebra dog"
    assert processor.codes_to_text(codes[None], layers=(0,)) == ["zebra dog"]
    assert processor.token_ids[0][0] == dog and len(processor.token_ids[0][2]) > 1
    assert processor.token_ids[1] == [[i] for i in range(len(byte_level()))]


@pytest.mark.e2e
@pytest.mark.parametrize("layout", ["layer_major", "time_major"])
def test_llama2_round_trip(layout):
    """Words of one id begin words of two ids here, so every clip must be resolved by what follows."""
    processor = llama2_ids_processor()
    for seed in range(20):
        codes = random_codes(processor, 16, seed)
        ids = processor.codes_to_ids(codes, layout=layout)
        assert torch.equal(processor.ids_to_codes(ids, layout=layout, num_groups=16), codes)
        assert torch.equal(processor.ids_to_codes(torch.tensor(ids), layout=layout), codes)


def readings(ids, sequences_in_turn):
    """All ways to read the ids, by brute force."""
    if not sequences_in_turn:
        return [[]] if not ids else []
    found = []
    for code, sequence in enumerate(sequences_in_turn[0]):
        if tuple(ids[: len(sequence)]) == sequence:
            found += [[code, *rest] for rest in readings(ids[len(sequence) :], sequences_in_turn[1:])]
    return found


def sequences(longest):
    ids = st.lists(st.integers(0, 3), min_size=1, max_size=longest).map(tuple)
    return st.lists(ids, min_size=1, max_size=7, unique=True)


@settings(deadline=None, max_examples=100)
@given(st.data(), sequences(3), sequences(2), st.sampled_from(["layer_major", "time_major"]), st.integers(0, 4))
def test_round_trip_of_any_table(data, words, tokens, layout, groups):
    """With the number of groups, any reading is found, and the only one is the one that was written."""
    processor = make_processor(letters(), spelt(words), [words, tokens], vq_strides=(2, 1))
    rows = [words, tokens, tokens]
    codes = [data.draw(st.lists(st.integers(0, len(r) - 1), min_size=groups, max_size=groups)) for r in rows]
    codes = torch.tensor(codes).view(3, groups)
    ids = processor.codes_to_ids(codes, layout=layout)
    back = processor.ids_to_codes(ids, layout=layout, num_groups=groups)
    assert back.shape == codes.shape and processor.codes_to_ids(back, layout=layout) == ids
    in_turn = rows * groups if layout == "time_major" else [words] * groups + [tokens] * 2 * groups
    every = readings(ids, in_turn)
    if len(every) == 1:
        assert torch.equal(back, codes)
    read = processor.ids_to_codes(ids, layout=layout)  # without the number some whole clip is found
    assert processor.codes_to_ids(read, layout=layout) == ids
    order = (back.T if layout == "time_major" else torch.cat([back[0], back[1:].T.reshape(-1)])).reshape(-1).tolist()
    assert order in every
    longest = max([len(table[code]) for code, table in zip(way, in_turn)] for way in every)
    assert [len(table[code]) for code, table in zip(order, in_turn)] == longest


@settings(deadline=None, max_examples=60)
@given(st.data(), sequences(3), st.integers(1, 4))
def test_prefixes(data, words, groups):
    """Ids that end early give the groups, or the codes, that are whole, where the words do not leave a choice."""
    free = [w for w in words if not any(w != v and w == v[: len(w)] for v in words)]
    processor = make_processor(letters(), spelt(free), [free, {"range": 8}], vq_strides=(2, 1))
    codes = torch.stack(
        [
            torch.tensor(data.draw(st.lists(st.integers(0, n - 1), min_size=groups, max_size=groups)))
            for n in (len(free), 8, 8)
        ]
    )
    for layout in ("time_major", "layer_major"):
        ids = processor.codes_to_ids(codes, layout=layout)
        cut = data.draw(st.integers(0, len(ids)))
        read = processor.ids_to_codes(ids[:cut], layout=layout, num_groups=groups)
        assert read.shape == codes.shape
        known = read != -1
        assert torch.equal(read[known], codes[known])
        if layout == "time_major":
            whole = max(n for n in range(groups + 1) if len(processor.codes_to_ids(codes[:, :n])) <= cut)
            assert known.all(0).tolist() == [True] * whole + [False] * (groups - whole)
            assert known.any(0).equal(known.all(0))
            assert torch.equal(processor.ids_to_codes(ids[:cut], layout=layout), codes[:, :whole])
        else:
            words_read = max(n for n in range(groups + 1) if len(processor.codes_to_ids(codes[:, :n], (0,))) <= cut)
            later = max(0, cut - len(processor.codes_to_ids(codes, (0,))))
            assert [int(known[0].sum()), int(known[1:].sum())] == [words_read, later]


def test_ambiguous_words():
    """Of words [a], [b] and [a b], the number of groups decides; without it the longer word does."""
    words = [(0,), (1,), (0, 1)]
    processor = make_processor(letters(), spelt(words), [words], vq_strides=(4,))
    assert processor.ids_to_codes([0, 1], num_groups=2).tolist() == [[0, 1]]
    assert processor.ids_to_codes([0, 1], num_groups=1).tolist() == [[2]]
    assert processor.ids_to_codes([0, 1]).tolist() == [[2]]
    assert processor.ids_to_codes([0, 1, 0, 1], num_groups=3).tolist() == [[2, 0, 1]]
    assert processor.ids_to_codes([0, 0], num_groups=3).tolist() == [[0, 0, -1]]
    processor = make_processor(letters(), spelt(words), [words, {"range": 2}], vq_strides=(2, 1))
    assert processor.ids_to_codes([0, 1, 0]).tolist() == [[0], [1], [0]]  # 1:2 leaves no other way
    assert processor.ids_to_codes([0, 1, 0, 1, 1, 0, 1]).tolist() == [[2, 0], [1, 0], [1, 1]]


def test_an_id_that_is_no_code():
    processor = llama2_ids_processor()
    word = WORD_IDS["abandon"]
    with pytest.raises(ValueError, match=r"Position 1 holds the id 5 \('5;'\), where layer 0 has no code"):
        processor.ids_to_codes([*word, 5], layers=(0,))
    with pytest.raises(ValueError, match="Position 6 holds the unknown id 32000, where layer 2"):
        processor.ids_to_codes([*word, *[5] * 5, 32000], layout="time_major")
    with pytest.raises(ValueError, match="Position 2 .* the 2 codes of all groups end before it"):
        processor.ids_to_codes(word * 3, layers=(0,), num_groups=2)
    with pytest.raises(ValueError, match="3 ids are not .* proportions 1:2:4"):
        processor.ids_to_codes(word * 3)
    with pytest.raises(ValueError, match="position 1, which holds the id 5"):
        processor.ids_to_codes([*word, 5])
    with pytest.raises(ValueError, match="Position 4 holds the unknown id 32000, where layer 2"):
        processor.ids_to_codes([*word, 5, 5, 5, 32000, 5, 5])


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        (torch.zeros(7), "takes integers, got torch.float32"),
        ("abc", "array of integers, got str"),
        (torch.zeros(6, 2, dtype=torch.long), r"\(7, groups\); got \(6, 2\)"),
        (torch.full((7, 2), 280), "Layer 0 has the codes 0 … 3, got 280 in group 0"),
        (torch.tensor([[0, -1, 0]] * 7), "got -1 in group 1"),
    ],
)
def test_wrong_codes(codes, message):
    with pytest.raises(ValueError, match=message):
        byte_level_processor().codes_to_ids(codes)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"layers": (2, 0)}, "ascending order, got \\[2, 0\\]"),
        ({"layers": (3,)}, r"some of \[0, 1, 2\]"),
        ({"layout": "rows"}, "layer_major, time_major, got 'rows'"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        byte_level_processor().codes_to_ids(torch.zeros(7, 1, dtype=torch.long), **arguments)


# Tables and tokenizers ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "token_ids", "message"),
    [
        (["a", "b"], [[0, [0]]], "Codes 0 and 1 of layer 0 have the same token ids"),
        (["a"], [[[]]], "Code 0 of layer 0 has no token id"),
        (["a"], [[8]], "vocabulary ends at 7"),
        (["a"], [[0, 1]], "1 words, but its table has 2"),
        (["a"], [[0], [1]], "1 layers .* but 2 tables"),
        (["b"], [[0]], "'b' should have the token ids \\[0\\], but it encodes to \\[1\\]"),
        ([], None, "has no code"),
    ],
)
def test_wrong_tables(words, token_ids, message):
    with pytest.raises(ValueError, match=message):
        make_processor(letters(), words, token_ids, vq_strides=(1,))


def test_wrong_strides():
    with pytest.raises(ValueError, match=r"divide the first of them, got \[4, 3\]"):
        make_processor(letters(), ["a"], vq_strides=(4, 3))


def test_check_tokenizer():
    processor = byte_level_processor()
    processor.check_tokenizer(byte_level())
    with pytest.raises(ValueError, match=f"has 8 tokens, .* ids up to {len(byte_level()) - 1}"):
        processor.check_tokenizer(letters())
    with pytest.raises(ValueError, match="'dog' should have the token ids .* keep the leading space"):
        make_processor(byte_level(), ["dog"], [processor.token_ids[0][:1], None, None])


def test_byte_level_keeps_its_spaces():
    """Also where it adds a space itself: no space of ours goes before a segment."""
    backend = Tokenizer.from_str(byte_level().backend_tokenizer.to_str())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend)
    for each in (tokenizer, byte_level()):
        processor = make_processor(each, byte_level_processor().words)
        assert processor.token_ids == byte_level_processor().token_ids
        assert processor.segments_to_ids([" dog", "\n"]) == [*each.encode(" dog"), *each.encode("\n")]


@pytest.mark.parametrize(("adds", "prefix"), [("first", " "), ("never", " "), ("exact", "")])
def test_leading_spaces(adds, prefix):
    """The same words, whether the tokenizer swallows a leading space, adds none, or is like SentencePiece."""
    vocab = {"▁": 0, "a": 1, "b": 2, "▁a": 3, "▁b": 4, "<unk>": 5}
    backend = Tokenizer(models.BPE(vocab, [("▁", "a"), ("▁", "b")], unk_token="<unk>"))
    if adds == "exact":
        backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    else:
        backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=adds, split=False)
    processor = make_processor(PreTrainedTokenizerFast(tokenizer_object=backend), ["a", "b"], [[3, 4], None, None])
    assert processor._segment_encoder.prefix == prefix
    assert processor.segments_to_ids(["a", " b", "", " "]) == [3, 0, 4, 0, 0]


# Prompts ------------------------------------------------------------------------------------------------------------


def test_call_with_audio():
    processor = byte_level_processor()
    features = processor(audio=torch.zeros(5000).numpy(), sampling_rate=16000, return_tensors="pt")
    assert features["input_values"].shape[0] == 1 and "input_ids" not in features


def test_call_with_text_and_codes():
    processor = byte_level_processor()
    codes = random_codes(processor, 2)
    encode = functools.partial(byte_level().encode, add_special_tokens=False)
    single = processor(text="a<audio> dog", audio_codes=codes)
    expected = [*encode("a"), *processor.codes_to_ids(codes, (0,)), *encode(" dog")]
    assert single["input_ids"] == expected and single["attention_mask"] == [1] * len(expected)
    one = processor(text="a<audio> dog", audio_codes=[codes], return_tensors="pt")
    assert one["input_ids"].tolist() == [expected]

    texts, clips = ["a<audio> dog", "<audio> <audio> cat dog"], [[codes], [codes, codes[:, :1]]]
    batch = processor(text=texts, audio_codes=clips, padding=True, return_tensors="pt", layers=None)
    assert batch["input_ids"].shape == batch["attention_mask"].shape and batch["attention_mask"][0, 0] == 0
    kept = [ids[mask.bool()].tolist() for ids, mask in zip(batch["input_ids"], batch["attention_mask"])]
    assert kept == processor(text=texts, audio_codes=clips, layers=None)["input_ids"]
    right = processor(text=texts, audio_codes=clips, padding=True, padding_side="right")
    assert right["attention_mask"][0][0] == 1 and right["attention_mask"][0][-1] == 0
    same = processor(text=["<audio>"] * 2, audio_codes=torch.stack([codes, codes]))["input_ids"]
    assert same[0] == same[1] == processor.codes_to_ids(codes, (0,))


def test_call_errors():
    processor = byte_level_processor()
    codes = random_codes(processor, 2)
    with pytest.raises(ValueError, match="2 <audio> placeholders, but 1 clips"):
        processor(text="<audio><audio>", audio_codes=codes)
    with pytest.raises(ValueError, match="1 <audio> placeholders, but 0 clips"):
        processor(text="<audio>")
    with pytest.raises(ValueError, match="2 texts, but audio codes for 1"):
        processor(text=["<audio>", "a"], audio_codes=[codes])
    with pytest.raises(ValueError, match="give `padding=True`"):
        processor(text=["a", " dog and"], return_tensors="pt")
    with pytest.raises(ValueError, match="got no text"):
        processor(audio_codes=codes)
    with pytest.raises(ValueError, match="Give `audio`, or `text`"):
        processor()


def test_few_shot_prompt():
    template = FewShotTemplate(pair="Input:{input}\nOutput:{output}\n", text=" {text}", label_end="\n")
    processor = make_processor(byte_level(), byte_level_processor().words, template=template)
    first, second, query = (random_codes(processor, 2, seed) for seed in range(3))
    prompt = processor.few_shot_prompt([(first, "dog"), (second, "cat")], query, repeats=2)
    assert byte_level().decode(prompt) == (
        "For each of the following input output pairs, output is one of ['dog' or 'cat']\n"
        + "".join(
            f"Input: {processor.codes_to_text(codes, (0,))}\nOutput: {label}\n"
            for codes, label in [(first, "dog"), (second, "cat")] * 2
        )
        + f"Input: {processor.codes_to_text(query, (0,))}\nOutput:"
    )
    assert processor.label_ids("dog") == [*byte_level().encode(" dog"), *byte_level().encode("\n")]
    assert byte_level_processor().label_ids("dog")[-1] == byte_level().eos_token_id

    speech = processor.few_shot_prompt([("dog", first)], "cat", instruction=False, layers=None)
    ids = processor.codes_to_ids(first)
    assert ",".join(map(str, ids)) in ",".join(map(str, speech))
    template = {"pair": "{input}={output};"}
    own = processor.few_shot_prompt([("dog", first)], "cat", instruction="Speak.\n", template=template)
    assert byte_level().decode(own) == f"Speak.\ndog= {processor.codes_to_text(first, (0,))};cat="


def test_few_shot_errors():
    processor = byte_level_processor()
    codes = random_codes(processor, 1)
    with pytest.raises(ValueError, match="there are none: give `labels`"):
        processor.few_shot_prompt([("dog", codes)], "cat")
    with pytest.raises(ValueError, match="`repeats` is an integer, from 1 to 1000; got 0"):
        processor.few_shot_prompt([(codes, "dog")], codes, repeats=0)
    with pytest.raises(ValueError, match="has no field labels .*; it has instruction, option"):
        processor.few_shot_prompt([(codes, "dog")], codes, template={"labels": ""})
    with pytest.raises(ValueError, match="{input} then {output} once"):
        FewShotTemplate(pair="{output}{input}")
    with pytest.raises(ValueError, match="no end-of-sequence token"):
        make_processor(letters(), ["a"]).label_ids("a")


# Files --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def registered():
    """The package's classes known to the Auto classes, as its `__init__` may do already."""
    AutoConfig.register("llm_codec", LLMCodecConfig, exist_ok=True)
    AutoFeatureExtractor.register(LLMCodecConfig, LLMCodecFeatureExtractor, exist_ok=True)
    AutoProcessor.register(LLMCodecConfig, LLMCodecProcessor, exist_ok=True)


def test_save_and_load(tmp_path, registered):
    template = FewShotTemplate(label_end="\n")
    processor = make_processor(byte_level(), byte_level_processor().words, vq_strides=(2, 1), template=template)
    processor.save_pretrained(tmp_path / "sub")
    content = json.loads((tmp_path / "sub" / "audio_words.json").read_text())
    assert content["token_ids"][1] == {"range": len(byte_level())} and content["words"] == processor.words
    config = json.loads((tmp_path / "sub" / "processor_config.json").read_text())
    assert config["vq_strides"] == [2, 1] and config["template"]["label_end"] == "\n"
    assert not {"words", "token_ids"} & config.keys()
    for loaded in (
        AutoProcessor.from_pretrained(tmp_path / "sub"),
        LLMCodecProcessor.from_pretrained(tmp_path, subfolder="sub"),
    ):
        assert isinstance(loaded, LLMCodecProcessor)
        assert (loaded.words, loaded.token_ids) == (processor.words, processor.token_ids)
        assert (loaded.vq_strides, loaded.template) == (processor.vq_strides, template)


def test_load_by_hub_id(tmp_path, registered):
    """From the Hub's cache, as after a download: the words come from the same revision as the rest."""
    repo, revision = tmp_path / "models--me--codec", "0123456789abcdef0123456789abcdef01234567"
    byte_level_processor().save_pretrained(repo / "snapshots" / revision)
    LLMCodecConfig().save_pretrained(repo / "snapshots" / revision)
    (repo / "refs").mkdir()
    (repo / "refs" / "v1").write_text(revision)
    loaded = AutoProcessor.from_pretrained("me/codec", revision="v1", cache_dir=tmp_path, local_files_only=True)
    assert loaded.token_ids == byte_level_processor().token_ids


def test_missing_or_wrong_words_file(tmp_path, registered):
    byte_level_processor().save_pretrained(tmp_path)
    (tmp_path / "audio_words.json").write_text('{"words": []}')
    with pytest.raises(ValueError, match="should hold `words` and `token_ids`"):
        LLMCodecProcessor.from_pretrained(tmp_path)
    (tmp_path / "audio_words.json").unlink()
    with pytest.raises(OSError, match="audio_words.json"):
        LLMCodecProcessor.from_pretrained(tmp_path)


def test_words_file_is_pushed(tmp_path, monkeypatch):
    """A push uploads what appeared since `save_pretrained` began; the words must be among it."""
    from types import SimpleNamespace

    from transformers import processing_utils

    hub = SimpleNamespace(create_repo=lambda repo_id, **kwargs: SimpleNamespace(repo_id=repo_id))
    monkeypatch.setattr(processing_utils, "hf_api", lambda: hub)
    pushed = {}

    def upload(self, folder, repo_id, before, **kwargs):
        pushed[repo_id] = {path.name for path in Path(folder).iterdir()} - before.keys()

    monkeypatch.setattr(LLMCodecProcessor, "_upload_modified_files", upload)
    byte_level_processor().save_pretrained(str(tmp_path / "codec"), push_to_hub=True)
    assert {"audio_words.json", "processor_config.json", "tokenizer.json"} <= pushed["codec"]


REMOTE = """
import json, sys
sys.modules["llm_codec_hf"] = None
from transformers import AutoProcessor
processor = AutoProcessor.from_pretrained(sys.argv[1], trust_remote_code=True)
assert type(processor).__module__.startswith("transformers_modules.")
assert type(processor.feature_extractor).__name__ == "LLMCodecFeatureExtractor"
processor.save_pretrained(sys.argv[2])
print(json.dumps(processor.few_shot_prompt([(processor.ids_to_codes(json.loads(sys.argv[3]), (0,)), "dog")], "cat")))
"""


@pytest.mark.e2e
def test_remote_code_in_a_fresh_process(tmp_path, monkeypatch):
    monkeypatch.setattr(LLMCodecConfig, "_auto_class", "AutoConfig")
    monkeypatch.setattr(LLMCodecProcessor, "_auto_class", "AutoProcessor")
    monkeypatch.setattr(LLMCodecFeatureExtractor, "_auto_class", "AutoFeatureExtractor")
    processor = byte_level_processor()
    folder, again = tmp_path / "codec", tmp_path / "again"
    processor.save_pretrained(folder)
    LLMCodecConfig().save_pretrained(folder)
    codes = random_codes(processor, 2)[:1]
    ids = json.dumps(processor.codes_to_ids(codes, (0,)))
    done = subprocess.run(
        [sys.executable, "-I", "-c", REMOTE, folder, again, ids],
        check=False,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={"HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == processor.few_shot_prompt([(codes, "dog")], "cat")
    assert {"audio_words.json", "processing_llm_codec.py", "code_tables_llm_codec.py"} <= {
        p.name for p in again.iterdir()
    }
