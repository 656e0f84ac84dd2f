# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""What people bring: clips, examples and labels in every form, and arguments that mean nothing."""

import io
from collections import deque

import datasets
import numpy as np
import pandas as pd
import pytest
import soundfile as sf
import torch
from datasets import ClassLabel, Dataset
from transformers import pipeline
from transformers.pipelines.pt_utils import KeyDataset

from llm_codec_hf.inputs_llm_codec import example_pairs, named_labels


def tone(frequency: float, seconds: float = 0.3) -> np.ndarray:
    return 0.3 * np.sin(2 * np.pi * frequency * np.arange(int(16000 * seconds)) / 16000).astype(np.float32)


EXAMPLES = [(tone(200), "low"), (tone(2000, 0.5), "high")]
SPOKEN = [("an audio of 1", tone(200, 0.5)), ("an audio of 2", tone(900, 0.5))]
INT16 = (tone(300) * 32767).astype(np.int16)


@pytest.fixture(scope="module")
def pipe(codec, processor, language_model):
    return pipeline("audio-fewshot", model=codec, processor=processor, language_model=language_model)


@pytest.fixture(scope="module")
def wav(tmp_path_factory):
    path = tmp_path_factory.mktemp("audio") / "clip.wav"
    sf.write(path, INT16, 16000)
    return path


@pytest.fixture(scope="module")
def expected(pipe):
    return pipe(INT16, examples=EXAMPLES)


class Decoder:
    """As `datasets` decodes by torchcodec."""

    def get_all_samples(self):
        return type("AudioSamples", (), {"data": torch.from_numpy(INT16 / 32768)[None].float(), "sample_rate": 16000})()


FORMS = {
    "path": lambda path: path,
    "str": str,
    "bytes": lambda path: path.read_bytes(),
    "bytearray": lambda path: bytearray(path.read_bytes()),
    "memoryview": lambda path: memoryview(path.read_bytes()),
    "BytesIO": lambda path: io.BytesIO(path.read_bytes()),
    "open file": lambda path: open(path, "rb"),
    "array": lambda path: INT16,
    "tensor": lambda path: torch.from_numpy(INT16),
    "list": lambda path: (INT16 / 32768).tolist(),
    "(rate, array)": lambda path: (16000, INT16),
    "(rate, channels last)": lambda path: (16000, INT16[:, None]),
    "(tensor, rate)": lambda path: (torch.from_numpy(INT16)[None], 16000),
    "raw": lambda path: {"raw": INT16, "sampling_rate": 16000},
    "array and path": lambda path: {"path": None, "array": INT16, "sampling_rate": np.int64(16000)},
    "undecoded": lambda path: {"bytes": path.read_bytes(), "path": "clip.wav"},
    "undecoded path": lambda path: {"bytes": None, "path": str(path)},
    "row": lambda path: {"audio": {"bytes": path.read_bytes(), "path": None}, "label": 1},
    "decoder": lambda path: Decoder(),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_clip(pipe, wav, expected, form):
    clip = FORMS[form](wav)
    assert pipe(clip, examples=EXAMPLES) == expected
    assert pipe(clip, examples=EXAMPLES) == expected  # a file is read from its start again
    assert pipe([clip], examples=EXAMPLES) == [expected]
    assert pipe(INT16, examples=[(clip, "low"), EXAMPLES[1]]) == pipe(INT16, examples=[(INT16, "low"), EXAMPLES[1]])


def rows(wav) -> Dataset:
    kinds = {"audio": {"bytes": datasets.Value("binary"), "path": datasets.Value("string")}}
    kinds["label"] = ClassLabel(names=["low", "high"])
    table = {"audio": [{"bytes": wav.read_bytes(), "path": None}] * 3, "label": [0, 1, 0]}
    table = Dataset.from_dict(table, features=datasets.Features(kinds))
    return table.cast_column("audio", datasets.Audio(decode=False))


@pytest.mark.e2e
def test_every_form_of_several_clips(pipe, wav, expected):
    table = rows(wav)
    frame = pd.DataFrame({"audio": [str(wav)] * 3, "label": ["low", "high", "low"]}, index=[7, 8, 9])
    lists = ([INT16] * 3, (INT16,) * 3, deque([INT16] * 3), table["audio"], frame["audio"], frame["audio"].values)
    for several in (*lists, dict.fromkeys(range(3), INT16).values()):
        answers = pipe(several, examples=EXAMPLES)
        if hasattr(several, "__getitem__"):
            assert isinstance(answers, list)
        assert list(answers) == [expected] * 3
    lazy = (table, table.to_iterable_dataset(), table.to_iterable_dataset()["audio"], KeyDataset(table, "audio"))
    for several in (*lazy, iter([INT16] * 3), (INT16 for _ in range(3)), map(np.asarray, [INT16] * 3)):
        answers = pipe(several, examples=EXAMPLES)
        assert next(iter(answers)) == expected
    assert pipe([], examples=EXAMPLES) == [] and pipe((), examples=EXAMPLES) == []
    assert list(pipe(iter(()), examples=EXAMPLES)) == []
    assert pipe([], examples=SPOKEN, output="audio") == []
    with pytest.raises(ValueError, match="is a table: pass one of its columns"):
        pipe(frame, examples=EXAMPLES)


def test_what_can_be_read_once_is_read_once(pipe, expected):
    read = []

    def clips():
        for i in range(4):
            read.append(i)
            yield INT16

    answers = pipe(clips(), examples=(pair for pair in EXAMPLES))
    assert next(answers) == expected and len(read) <= 2
    other = pipe(INT16, examples=[(tone(100), "a"), (tone(300), "b")])  # another call in between
    assert [entry["label"] for entry in other] != ["low", "high"]
    assert list(answers) == [expected] * 3 and read == [0, 1, 2, 3]


@pytest.mark.e2e
def test_every_form_of_examples(pipe, wav, expected):
    frame = pd.DataFrame({"audio": [a for a, _ in EXAMPLES], "label": [b for _, b in EXAMPLES]})
    for examples in (
        tuple(EXAMPLES),
        [list(pair) for pair in EXAMPLES],
        iter(EXAMPLES),
        zip(frame["audio"], frame["label"]),
        frame[["audio", "label"]].values,
        dict(enumerate(EXAMPLES)).values(),
        [{"audio": audio, "label": label, "speaker": 3} for audio, label in EXAMPLES],
    ):
        assert pipe(INT16, examples=examples) == expected
    table = rows(wav)
    by_hand = pipe(INT16, examples=[(INT16, "low"), (INT16, "high"), (INT16, "low")])
    names = table.features["label"]
    numbered = [(row["audio"], row["label"]) for row in table]
    assert pipe(INT16, examples=table) == by_hand
    assert pipe(INT16, examples=numbered, candidate_labels=names) == by_hand
    assert pipe(INT16, examples=numbered, candidate_labels=names.names) == by_hand
    assert {entry["label"] for entry in pipe(INT16, examples=numbered)} == {"0", "1"}


def test_labels():
    assert named_labels([1, np.int64(0), torch.tensor(1)], ["a", "b"]) == (["b", "a", "b"], ["a", "b"])
    assert named_labels([1, 0], [0, 1, 2]) == (["1", "0"], ["0", "1", "2"])
    assert named_labels(["b", "a", "b"]) == (["b", "a", "b"], ["b", "a"])
    for given, candidates, match in (
        (["dog"], "dog", r"a list of labels.*it is one text: 'dog'"),
        (["dog"], {"dog", "cat"}, "it is of type set"),
        (["dog"], 5, "of type int"),
        (["dog"], [], "`candidate_labels` is empty"),
        (["dog"], ["dog", "cat", "dog"], r"\['dog'\] more than once"),
        (["dog"], ["dog", None], "Label 1 of `candidate_labels` is a text .*; got None"),
        (["dog"], ["cat"], r"not among `candidate_labels` \['cat'\]: \['dog'\]"),
        ([2], ["a", "b"], r"not among .*: \['2'\]"),
        ([0, -1], None, "The label of example 1 .* got -1, which is how `datasets` writes none"),
        (["a", ""], None, "The label of example 1 is a text"),
        ([0.5], None, "got 0.5"),
        ([True], None, "got True"),
        ([["a"]], None, "The label of example 0"),
    ):
        with pytest.raises(ValueError, match=match):
            named_labels(given, candidates)


def test_examples_that_are_none():
    for examples, match in (
        (None, "`examples` is empty: pass pairs"),
        ([], "`examples` is empty"),
        (iter(()), "`examples` is empty"),
        ({"a.wav": "dog"}, r"`examples` is a dict.*\.items\(\)"),
        ("a.wav", "`examples` is one clip"),
        (5, "got int"),
        (["ab"], "Example 0 is no pair but 'ab'"),
        ([("a.wav", "x"), ("b.wav",)], "Example 1 is no pair"),
        ([("a.wav", "x", 1)], "Example 0 is no pair"),
        ([3], "Example 0 is no pair but 3"),
        ([{"file": "a.wav"}], r"Example 0 has the columns \['file'\]"),
        (pd.DataFrame({"audio": ["a.wav"]}), "is a table"),
    ):
        with pytest.raises(ValueError, match=match):
            example_pairs(examples)


@pytest.mark.e2e
def test_errors_name_the_clip(pipe, wav, tmp_path):
    noise = tmp_path / "noise.wav"
    noise.write_bytes(b"this is no audio at all" * 50)
    nan = np.full(4000, np.nan, np.float32)
    for clips, match in (
        ([str(wav), str(noise)], r"Clip 1: .*noise\.wav: This is not audio"),
        ([str(wav), b"nothing"], "Clip 1: "),
        ([INT16, nan], "Clip 1 has 4000 NaN"),
        ([INT16, np.zeros(0, np.float32)], "Clip 1 is empty"),
        (iter([INT16, tmp_path / "absent.wav"]), r"Clip 1: There is no audio file '.*absent\.wav'"),
        ([INT16, tmp_path], "is a folder"),
        ([INT16, None], "Clip 1: a clip is a path"),
        ([INT16, []], "Clip 1: .*an empty list"),
        ([INT16, {"label": 3}], r"Clip 1: a clip's dict has .*\['label'\]"),
        ([INT16, {"array": INT16}], "Clip 1: .*`sampling_rate`"),
        ([INT16, {"array": INT16, "sampling_rate": 0}], "Clip 1: "),
        ([INT16, {"array": INT16, "sampling_rate": "16000"}], "Clip 1"),
        ([INT16, {"bytes": None, "path": None}], "Clip 1: .*without values"),
        ([INT16, io.StringIO("text")], "Clip 1: .*mode 'rb'"),
        ([INT16, np.stack([INT16, INT16])], "Clip 1 has 2 channels"),
        ([INT16, np.array(["a"])], "Clip 1"),
        (nan, "The clip has 4000 NaN"),
        (3, "`audio` is a path"),
    ):
        with pytest.raises(ValueError, match=match):
            list(pipe(clips, examples=EXAMPLES))
    with pytest.raises(ValueError, match="Example 1 has 4000 NaN"):
        pipe(INT16, examples=[EXAMPLES[0], (nan, "high")])
    with pytest.raises(ValueError, match="The answer of example 1 has 4000 NaN"):
        pipe("an audio of 3", examples=[SPOKEN[0], ("x", nan)], output="audio")
    with pytest.raises(ValueError, match="Query 1 has 4000 NaN"):
        pipe([INT16, nan], examples=[(INT16, INT16)], output="audio")
    with pytest.raises(ValueError, match="no clips to encode"):
        pipe.encode([])


def test_a_dataset_that_cannot_decode_says_what_does(pipe):
    class Undecodable:
        def __getitem__(self, index):
            raise ImportError("To support decoding audio data, please install 'torchcodec'.")

        def __len__(self):
            return 1

    remedy = r"torchcodec.*cast_column\('audio', datasets.Audio\(decode=False\)\)"
    for call in (
        lambda bad: pipe(bad, examples=EXAMPLES),
        lambda bad: pipe(iter(bad), examples=EXAMPLES),
        lambda bad: pipe(INT16, examples=bad),
        lambda bad: pipe(bad, examples=[(INT16, INT16)], output="audio"),
    ):
        with pytest.raises(ImportError, match=remedy):
            list(call(Undecodable()))


def test_channels(pipe):
    stereo = np.stack([tone(300), tone(700)])
    clip = {"array": stereo, "sampling_rate": 16000}
    with pytest.raises(ValueError, match="channels='mean'"):
        pipe(clip, examples=EXAMPLES)
    assert pipe(clip, examples=EXAMPLES, channels="mean") == pipe(stereo.mean(axis=0), examples=EXAMPLES)
    assert pipe([clip], examples=EXAMPLES, channels=0) == [pipe(stereo[0], examples=EXAMPLES)]
    assert pipe(tone(300), examples=[(clip, "low"), EXAMPLES[1]], channels=0)
    np.testing.assert_array_equal(pipe.load_audio(clip, channels=1), stereo[1])
    loud = {"array": np.full(800, 100.0, np.float32), "sampling_rate": 16000, "path": "loud.wav"}
    with pytest.raises(ValueError, match=r"^Clip 0 \('loud.wav'\) .*100"):
        pipe([loud], examples=EXAMPLES)
    made = pipe(clip, examples=[(clip, stereo)], output="audio", channels="mean", seconds=0.24)
    assert made["audio"].shape == (3840,)


# ---- Options


def test_options_that_do_not_exist(pipe):
    with pytest.raises(TypeError, match="no option `temprature`; did you mean `temperature`"):
        pipe("x", examples=SPOKEN, output="audio", seconds=0.24, temprature=2)
    with pytest.raises(TypeError, match="no option `candidates`; did you mean `candidate_labels`"):
        pipe(INT16, examples=EXAMPLES, candidates=["low"])
    with pytest.raises(TypeError, match="no option `foo`. There are batch_size"):
        pipe(INT16, examples=EXAMPLES, foo=1)


def test_unknown_options_of_the_pipeline_itself(codec, processor, language_model):
    with pytest.raises(TypeError, match="no option `instructions`; did you mean `instruction`"):
        pipeline("audio-fewshot", model=codec, processor=processor, language_model=language_model, instructions="x")


LABEL_OPTIONS = (
    ({"scoring": "best"}, "`scoring` is one of raw"),
    ({"scoring": 3}, "`scoring` is one of raw"),
    ({"output": "video"}, "'label' or 'audio', got 'video'"),
    ({"seconds": 1.0}, "`seconds` is for `output='audio'`"),
    ({"temperature": 0.0}, "`temperature` is for `output='audio'`"),
    ({"iterator": False}, "`iterator` is for `output='audio'`"),
    ({"repeats": 0}, "`repeats` is an integer, 1 or more; got 0"),
    ({"repeats": "2"}, "`repeats` is an integer"),
    ({"repeats": True}, "`repeats` is an integer"),
    ({"seed": None}, "`seed` is an integer, from 0 to .*; got None"),
    ({"seed": 2**70}, "`seed` is an integer"),
    ({"batch_size": 0}, "`batch_size` is an integer, 1 or more"),
    ({"num_workers": -1}, "`num_workers`"),
    ({"instruction": 3}, "`instruction` is True, False or a text"),
    ({"channels": "left"}, "`channels` is 'mean' or the number"),
    ({"layers": (5,)}, "`layers` are some of"),
    ({"layers": ()}, "`layers` are some of"),
    ({"layers": "all"}, "`layers`"),
    ({"layout": "random"}, "layout"),
    ({"candidate_labels": "low"}, "it is one text"),
    ({"scoring": "batch"}, "asked together: pass several"),
)
AUDIO_OPTIONS = (
    ({"candidate_labels": ["a"]}, "`candidate_labels` is for `output='label'`"),
    ({"scoring": "raw"}, "`scoring` is for `output='label'`"),
    ({"seconds": 0}, "`seconds` is a finite number, above 0 and .*; got 0"),
    ({"seconds": "1"}, "`seconds` is a finite number"),
    ({"seconds": float("inf")}, "`seconds` is a finite number"),
    ({"seconds": float("nan")}, "`seconds` is a finite number"),
    ({"seconds": True}, "`seconds` is a finite number"),
    ({"seconds": (0.5, 0.2)}, "the least and the greatest"),
    ({"seconds": [0.1, 0.2, 0.3]}, "a pair"),
    ({"temperature": -1}, "`temperature` is a finite number, 0 or more"),
    ({"temperature": "hot"}, "`temperature`"),
    ({"temperature": 1.0, "top_p": 0}, "`top_p` is a finite number, above 0 and at most 1"),
    ({"top_p": 0.5}, "pass a `temperature` above 0"),
    ({"seed": 1.5}, "`seed` is an integer"),
    ({"seconds": 1e6}, "`seconds` is a finite number, above 0 and at most 15728.*; got 1000000.0"),
    ({"seconds": 1e3}, "more than the language model's context"),
)


@pytest.mark.parametrize("options, match", LABEL_OPTIONS)
def test_label_options_that_mean_nothing(pipe, options, match):
    with pytest.raises(ValueError, match=match):
        pipe(INT16, examples=EXAMPLES, **options)


@pytest.mark.parametrize("options, match", AUDIO_OPTIONS)
def test_audio_options_that_mean_nothing(pipe, options, match):
    with pytest.raises(ValueError, match=match):
        pipe("an audio of 3", examples=SPOKEN, output="audio", **options)


def test_seconds_as_a_list_and_batches_of_audio(pipe):
    options = {"examples": SPOKEN, "output": "audio"}
    whole = pipe(["x", "y", "z"], seconds=[0.24, 0.48], **options)
    assert all(3840 <= len(answer["audio"]) <= 7680 for answer in whole)
    for a, b in zip(whole, pipe(("x", "y", "z"), seconds=(0.24, 0.48), batch_size=2, **options), strict=True):
        np.testing.assert_allclose(a["audio"], b["audio"], atol=1e-6)


def test_batch_calibration_is_over_all_clips_of_a_call(pipe):
    clips = [tone(300), tone(1500, 0.7), tone(100, 0.1)]
    answers = [pipe(clips, examples=EXAMPLES, scoring="batch", batch_size=size) for size in (1, 2, 3)]
    answers.append(list(pipe(iter(clips), examples=EXAMPLES, scoring="batch")))
    for some in answers[1:]:
        for a, b in zip(answers[0], some, strict=True):
            assert [x["label"] for x in a] == [x["label"] for x in b]
            assert [x["score"] for x in a] == pytest.approx([x["score"] for x in b], abs=1e-4)
    with pytest.raises(ValueError, match="asked together: pass several"):
        pipe(clips[:1], examples=EXAMPLES, scoring="batch")


# ---- The language model's arguments


def test_language_model_kwargs(codec_dir, language_model_dir, codec, processor, language_model):
    def dtype_of(**options):
        made = pipeline("audio-fewshot", model=str(codec_dir), language_model=str(language_model_dir), **options)
        return made.language_model.dtype

    assert dtype_of() == torch.float32  # the file's
    assert dtype_of(dtype=torch.bfloat16) == torch.bfloat16
    assert dtype_of(language_model_kwargs={"dtype": torch.float16}) == torch.float16
    assert dtype_of(dtype=torch.bfloat16, language_model_kwargs={"dtype": "float32"}) == torch.float32
    assert dtype_of(language_model_kwargs={"device_map": "cpu", "revision": "main"}) == torch.float32
    loaded = {"model": codec, "processor": processor}
    with pytest.raises(ValueError, match="is loaded already"):
        pipeline("audio-fewshot", **loaded, language_model=language_model, language_model_kwargs={"dtype": "auto"})
    with pytest.raises(ValueError, match="loaded causal language model; got int"):
        pipeline("audio-fewshot", **loaded, language_model=3)
