# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Task records, and clips from folders, datasets and episode files."""

import importlib.util
import json
import pickle

import numpy as np
import pytest
import soundfile as sf
import yaml

from llm_codec_hf.evaluation.clips import Clip, Source, load_clips, trim_start
from llm_codec_hf.evaluation.sampling import make_episodes
from llm_codec_hf.evaluation.tasks import RECORDS, Task, list_tasks, load_task

RATE = 16000
PAPER = {"emotion", "sound_events", "speech_commands", "accent", "bird", "chord", "voxforge_language", "denoising"}
LOCAL = {"percussion", "spoken_language", "spoken_letter", "actor", "percussion_dev", "digit_dev", "language_dev"}


def tone(seconds: float = 0.5, level: float = 0.5) -> np.ndarray:
    return level * np.sin(np.arange(round(seconds * RATE)) / 5).astype(np.float32)


@pytest.fixture
def folder(tmp_path):
    """Three labels of four clips in subfolders, a file that is no audio, and an empty one."""
    for label in "abc":
        (tmp_path / "data" / label).mkdir(parents=True)
        for i in range(4):
            sf.write(tmp_path / "data" / label / f"s{i % 2}_{i}.wav", tone(), RATE)
    (tmp_path / "data" / "a" / "broken.wav").write_bytes(b"no audio")
    sf.write(tmp_path / "data" / "b" / "empty.wav", np.zeros(0), RATE)
    return tmp_path


def make_task(source: dict, **fields) -> Task:
    return Task.from_dict({"name": "t", "description": "", "source": source} | fields)


def test_shipped_records_are_sound():
    assert PAPER | LOCAL | {"digit_synthesis", "accent_original"} <= set(list_tasks())
    for name in list_tasks():
        task = load_task(name)
        assert task.name == name and task.description and task.license and task.citation
        assert Task.from_dict(json.loads(json.dumps(task.to_dict()))) == task
    for name in LOCAL:
        assert load_task(name).source.folder == name and load_task(name).episodes == 300


def test_digit_synthesis_asks_twenty_questions_that_are_right():
    task = load_task("digit_synthesis")
    assert len(task.questions) == 20 and task.output == "audio" and task.layers == (0, 1, 2)
    for question, answer in task.questions.items():
        left, sign, right = question
        assert int(left) + (1 if sign == "+" else -1) * int(right) == int(answer)
    assert sorted(task.questions.values()) == sorted("0123456789" * 2)


def test_overrides_reach_the_task_and_its_source():
    task = load_task("percussion", shots=(2,), root="elsewhere", seed=7)
    assert (task.shots, task.seed, task.source.root, task.source.folder) == ((2,), 7, "elsewhere", "percussion")
    assert load_task("percussion", hub="some/dataset").source.folder is None
    with pytest.raises(ValueError, match=r"has no field shot \(is shots meant"):
        load_task("percussion", shot=2)


def test_records_of_ones_own(tmp_path):
    record = {"description": "d", "source": {"folder": "x"}, "labels": ["a", "b"], "ways": 2}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(record))
    task = load_task(tmp_path / "mine.yaml")
    assert task.name == "mine" and task.ways == (2,) and task.label_text("a") == "a"
    (tmp_path / "bad.yaml").write_text("[1, 2")
    with pytest.raises(ValueError, match="is no YAML"):
        load_task(tmp_path / "bad.yaml")
    with pytest.raises(ValueError, match="no task 'mine'; there are .*percussion"):
        load_task("mine")


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"ways": [3], "labels": ["a", "b"]}, "3 ways need as many labels"),
        ({"ways": [0]}, "`ways` are integers"),
        ({"episodes": 0}, "`episodes` is an integer of 1 or more, got 0"),
        ({"seconds": -1}, "`seconds` is above 0"),
        ({"output": "text"}, "`output` is one of"),
        ({"output": "audio"}, "audio out needs `seconds`"),
        ({"labels": {"a": "x", "b": "x"}}, "written the same"),
        ({"questions": {"1+1": "2"}}, "need `output: audio`"),
        (
            {"output": "audio", "seconds": 1.0, "trim": True, "source": {"folder": "x", "target": "clean"}},
            "`trim` would move a clip against its target",
        ),
        ({"name": "a/b"}, "without a `/`"),
        ({"prompt": "an audio"}, r"`prompt` has \{label\} in it"),
        ({"source": {"folder": "x", "hub": "y"}}, "got folder and hub"),
        ({"source": {}}, "got none"),
        ({"source": {"folder": "x", "group_pattern": "("}}, "no regular expression"),
        ({"source": {"folder": "x", "colour": 1}}, r"source of task 't' has no field colour; it has folder"),
    ],
)
def test_records_that_make_no_task_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        make_task(**{"source": {"folder": "x"}} | fields)


def test_a_subfolder_a_label(folder):
    clips = load_clips(make_task({"folder": "data", "root": str(folder)}))
    assert len(clips) == 12 and {clip.label for clip in clips} == set("abc")
    assert clips[0].id == "a/s0_0.wav" and clips[0].group is None
    reasons = dict(clips.skipped)
    assert set(reasons) == {"a/broken.wav", "b/empty.wav"}
    assert "not audio" in reasons["a/broken.wav"] and "empty" in reasons["b/empty.wav"]


def test_labels_groups_and_choice_by_patterns(folder):
    source = {"folder": "data", "root": str(folder), "group": "path", "group_pattern": r"/(s\d)_"}
    source |= {"label": "path", "label_pattern": "^([a-z])/", "where": {"path": r".*_[0-2]\.wav"}}
    clips = load_clips(make_task(source, labels={"a": "one", "c": "two"}))
    assert [clip.id for clip in clips] == [f"{x}/s{i % 2}_{i}.wav" for x in "ac" for i in (0, 2, 1)]
    assert [clip.group for clip in clips] == ["s0", "s0", "s1"] * 2


def test_metadata_of_an_audiofolder(folder):
    rows = [
        {"file_name": "a/s0_0.wav", "label": "x", "group": "g", "text": "hello"},
        {"file_name": "a/s1_1.wav", "label": "y", "group": None},
        {"file_name": "a/gone.wav", "label": "y"},
        {"file_name": "b/s0_0.wav", "label": None},
    ]
    (folder / "data" / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    clips = load_clips(make_task({"folder": "data", "root": str(folder)}))
    assert [(c.id, c.label, c.group, c.text) for c in clips] == [
        ("a/s0_0.wav", "x", "g", "hello"),
        ("a/s1_1.wav", "y", None, None),
    ]
    skipped = dict(clips.skipped)
    assert skipped.pop("a/broken.wav") == "no row of metadata.jsonl names it"
    named = {name: reason for name, reason in skipped.items() if "names it" not in reason}
    assert named == {"a/gone.wav": "there is no such file", "b/s0_0.wav": "it has no label"}
    with pytest.raises(ValueError, match="no column 'speaker'"):
        load_clips(make_task({"folder": "data", "root": str(folder), "group": "speaker"}))


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_tables_of_other_kinds_and_in_subfolders(folder, kind):
    rows = {"a": [{"file_name": "s0_0.wav", "label": "x"}], "c": [{"file_name": "../b/s0_0.wav", "label": "y"}]}
    for name, content in rows.items():
        path = folder / "data" / name / f"metadata.{kind}"
        if kind == "csv":
            path.write_text("file_name,label\n" + "".join(f"{row['file_name']},{row['label']}\n" for row in content))
        else:
            parquet = pytest.importorskip("pyarrow.parquet")
            parquet.write_table(pytest.importorskip("pyarrow").Table.from_pylist(content), path)
    clips = load_clips(make_task({"folder": "data", "root": str(folder)}))
    assert [(clip.id, clip.label) for clip in clips] == [("a/s0_0.wav", "x"), ("b/s0_0.wav", "y")]
    assert dict(clips.skipped)["a/broken.wav"] == f"no row of a/metadata.{kind} names it"


def test_every_file_is_used_or_listed(tmp_path):
    for number, (label, suffix) in enumerate((a, b) for a in "xy" for b in ("aiff", "au", "caf", "w64", "flac", "mp3")):
        (tmp_path / "data" / label).mkdir(parents=True, exist_ok=True)
        path = tmp_path / "data" / label / f"{number}.{suffix.upper() if label == 'y' else suffix}"
        sf.write(path, tone(), RATE, format=suffix.upper())
    cut = tmp_path / "data" / "x" / "cut.wav"
    sf.write(cut, tone(), RATE)
    cut.write_bytes(cut.read_bytes()[:5000])
    (tmp_path / "data" / "x" / "README.md").write_text("About these.")
    (tmp_path / "data" / "y" / "up").symlink_to(tmp_path / "data")
    clips = load_clips(make_task({"folder": "data", "root": str(tmp_path)}))
    assert len(clips) == 12 and all(len(clip.load(RATE)) for clip in clips)
    reasons = dict(clips.skipped)
    assert set(reasons) == {"x/cut.wav", "x/README.md", "y/up"}
    assert "The file is cut or damaged" in reasons["x/cut.wav"]


def test_data_that_is_not_there_says_how_to_get_it(tmp_path):
    with pytest.raises(FileNotFoundError, match="pass `root=`.*label_clips.py make it"):
        load_clips(load_task("percussion", root=str(tmp_path)))


@pytest.mark.skipif(importlib.util.find_spec("datasets") is None, reason="needs `datasets` (the extra eval)")
@pytest.mark.parametrize(
    ("task", "files"),
    [
        ("metaaudio_nsynth", ["guitar_acoustic_00{}-06{}-025.wav", "flute_synthetic_00{}-06{}-050.wav"]),
        ("metaaudio_speech_commands", ["yes{2}/0000000{1}_nohash_0.wav", "no{2}/0000000{1}_nohash_0.wav"]),
        ("metaaudio_voxceleb", ["id0{}/video{}/00001.wav", "id1{}/video{}/00001.wav"]),
    ],
)
def test_classes_of_a_split_alone_are_asked_for(task, files, tmp_path):
    """In the manner of MetaAudio: the file of class splits says which labels are for testing."""
    folder = load_task(task).source.folder
    for label in range(3):
        for clip in range(2):
            for name in files:
                path = tmp_path / folder / name.format(label, clip, "abc"[label])
                path.parent.mkdir(parents=True, exist_ok=True)
                sf.write(path, tone(), RATE)
    labels = {clip.label for clip in load_clips(make_all(task, tmp_path, None))}
    assert len(labels) == 6
    kept = sorted(labels)[1:]
    splits = tmp_path / load_task(task).source.class_splits
    with pytest.raises(FileNotFoundError, match="takes the classes of .*, which is not there: write one as JSON"):
        load_clips(load_task(task, root=str(tmp_path)))
    splits.write_text(json.dumps({"train": sorted(labels)[:1], "test": kept}))
    clips = load_clips(load_task(task, root=str(tmp_path)))
    assert {clip.label for clip in clips} == set(kept) and len(clips) == 10
    assert len({clip.group for clip in clips}) >= 2
    assert len(make_episodes(load_task(task, root=str(tmp_path), episodes=5), clips, 5, 1)) == 5
    splits.write_text(json.dumps({"train": []}))
    with pytest.raises(ValueError, match="no list of classes 'test'; it has 'train'"):
        load_clips(load_task(task, root=str(tmp_path)))


def make_all(task, root, class_splits):
    return load_task(task, root=str(root), class_splits=class_splits)


def test_a_text_of_classes(folder):
    (folder / "classes.txt").write_text("a\n\nc \n")
    clips = load_clips(make_task({"folder": "data", "root": str(folder), "class_splits": "classes.txt"}))
    assert {clip.label for clip in clips} == {"a", "c"}


def test_a_dataset(tmp_path, monkeypatch):
    """As the Hub has them: parquet with the files' bytes in it, a class label, and a clean clip for a noisy one."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    sf.write(tmp_path / "x.flac", tone(), RATE)
    sf.write(tmp_path / "y.flac", tone(0.25), RATE)
    noisy, clean = ({"bytes": (tmp_path / name).read_bytes(), "path": name} for name in ("x.flac", "y.flac"))
    columns = {"audio": [noisy, noisy, {"bytes": b"no", "path": "z"}], "clean": [clean] * 3}
    table = pa.table(columns | {"label": [1, 0, 1], "speaker": ["p1_1", "p2_1", "p1_2"]})
    features = {name: {"_type": "Audio"} for name in ("audio", "clean")}
    features |= {"label": {"_type": "ClassLabel", "names": ["dog", "cat"]}}
    features |= {"speaker": {"_type": "Value", "dtype": "string"}}
    table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    (tmp_path / "data").mkdir()
    pq.write_table(table, tmp_path / "data" / "test-00000.parquet")

    source = {"hub": str(tmp_path / "data"), "group": "speaker", "group_pattern": "p[0-9]", "target": "clean"}
    clips = load_clips(make_task(source, output="audio", seconds=0.4))
    assert [(c.id, c.label, c.group) for c in clips] == [("000000", "cat", "p1"), ("000001", "dog", "p2")]
    assert [name for name, _ in clips.skipped] == ["000002"]
    clip = pickle.loads(pickle.dumps(clips[0]))
    np.testing.assert_allclose(clip.load(RATE), tone()[: round(0.4 * RATE)], atol=1e-4)
    target = clip.load_target(RATE)
    assert len(target) == round(0.4 * RATE) and not target[round(0.25 * RATE) :].any()
    with pytest.raises(ValueError, match="no column 'sound'"):
        load_clips(make_task(source | {"audio": "sound"}, output="audio", seconds=0.4))


def test_an_episode_file(folder):
    (folder / "data" / "e.scp").write_text("a/s0_0.wav,b/s0_0.wav,a/s1_1.wav\na/s0_0.wav,b/gone.wav,a/s1_1.wav\n")
    task = make_task({"scp": "data/e.scp", "root": str(folder)}, ways=(2,), shots=(1,))
    clips = load_clips(task)
    assert [clip.id for clip in clips] == ["a/s0_0.wav", "b/s0_0.wav", "a/s1_1.wav"]
    assert [name for name, _ in clips.skipped] == ["b/gone.wav"]
    episodes = make_episodes(task, clips, 2, 1)
    assert len(episodes) == 1 and episodes[0].query == "a/s1_1.wav"  # the other one lacks a clip


def test_episodes_of_a_task_are_its_own(folder):
    task = make_task({"folder": "data", "root": str(folder)}, episodes=12, queries_per_support=3, seed=5)
    episodes = make_episodes(task, load_clips(task), 2, 2)
    assert len(episodes) == 12 and len({episode.support for episode in episodes}) == 4


def test_audio_is_resampled_mixed_trimmed_cut_and_padded(tmp_path):
    stereo = np.stack([tone(1, 0.8), tone(1, 0.2)], axis=1)
    sf.write(tmp_path / "x.wav", np.concatenate([np.zeros((4000, 2)), stereo]), RATE)
    audio = tmp_path / "x.wav"
    np.testing.assert_allclose(Clip("x", "a", audio).load(RATE)[4000:], tone(1), atol=1e-4)
    assert len(Clip("x", "a", audio).load(8000)) == 10000
    trimmed = Clip("x", "a", audio, seconds=0.5, trim=True).load(RATE)
    assert trimmed.dtype == np.float32 and len(trimmed) == 8000
    np.testing.assert_allclose(trimmed, tone(0.5), atol=1e-4)
    padded = Clip("x", "a", (tone(0.1), RATE), seconds=0.5, pad=True).load(RATE)
    assert len(padded) == 8000 and not padded[1600:].any()
    assert len(Clip("x", "a", (tone(0.1), RATE), seconds=0.5).load(RATE)) == 1600


def test_trimming_leaves_silence_alone():
    np.testing.assert_array_equal(trim_start(np.zeros(1000, np.float32), RATE), np.zeros(1000, np.float32))


def test_audio_that_cannot_be_used_names_the_clip(tmp_path):
    with pytest.raises(ValueError, match="Clip 'bad'.*NaN"):
        Clip("bad", "a", (np.full(100, np.nan, np.float32), RATE)).load(RATE)
    with pytest.raises(ValueError, match="Clip 'bad' has no target"):
        Clip("bad", "a", (tone(), RATE)).load_target(RATE)
    with pytest.raises(OSError):
        Clip("bad", "a", tmp_path / "gone.wav").load(RATE)


def test_records_lie_beside_the_code():
    assert all(path.suffix == ".yaml" for path in RECORDS.iterdir())
    with pytest.raises(ValueError, match="one of `folder`, `hub` and `scp`"):
        Source()
