# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""What a training draws: clips of folders, datasets and shards, the same in every run of the same seed."""

import json
import pickle

import numpy as np
import processes
import pytest
import soundfile as sf
import soxr
import torch

from llm_codec_hf.training.augmentation import augment, coloured, in_a_room
from llm_codec_hf.training.data import Clips, batch_windows, open_clips
from llm_codec_hf.training.recordings import read_span
from llm_codec_hf.training.shards import pack, read_index
from llm_codec_hf.training.streams import LANE, PIECE, StreamedClips

RATE = 16000


def tone(seconds: float, frequency: float, rate: int = RATE) -> np.ndarray:
    """A tone that grows louder, so that each of its stretches is another."""
    t = np.arange(round(seconds * rate)) / rate
    return (np.sin(2 * np.pi * frequency * t) * (0.2 + 0.5 * t / seconds)).astype(np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Sources of 9 s and of 4 s, texts in a table and beside a file, and what is no audio."""
    folder = tmp_path_factory.mktemp("data") / "train"
    for source, count, frequency in (("long", 3, 300), ("short", 4, 900)):
        (folder / source).mkdir(parents=True)
        for i in range(count):
            sf.write(folder / source / f"{i}.flac", tone(count if source == "long" else 1, frequency * (i + 1)), RATE)
    rows = [{"file_name": "long/0.flac", "text": "nought"}, {"file_name": "long/1.flac", "text": None}]
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "short" / "3.txt").write_text("three\n")
    (folder / "short" / "broken.wav").write_bytes(b"RIFF")
    (folder / "short" / "empty.flac").write_bytes(b"")
    (folder / "short" / ".hidden.flac").write_bytes(b"")
    return folder


def same(clips, others) -> bool:
    pairs = list(zip(clips, others, strict=True))
    return all(a.name == b.name and a.covers == b.covers and torch.equal(a.audio, b.audio) for a, b in pairs)


def draw(clips: Clips, indices, samples: int = 4000) -> list:
    return [clips.draw(index, samples) for index in indices]


def draw_all(clips: Clips, indices: list[int], samples: int, results) -> None:
    results.put([(clip.name, clip.audio.numpy()) for clip in draw(clips, indices, samples)])


# ---- Folders


@pytest.mark.e2e
def test_a_clip_is_the_same_in_whatever_order_and_process_it_is_drawn(folder):
    clips = Clips.from_folder(folder, RATE, seed=3)
    drawn = draw(clips, range(30))
    assert {clip.audio.shape for clip in drawn} == {(1, 4000)} and {clip.audio.dtype for clip in drawn} == {
        torch.float32
    }
    backwards = draw(Clips.from_folder(folder, RATE, seed=3), reversed(range(30)))
    assert same(drawn, reversed(backwards))
    # a run that goes on at clip 17, of which nothing before was drawn, in a process that was sent the recordings
    processes.serve()
    results = processes.FORKS.Queue()
    process = processes.FORKS.Process(target=draw_all, args=(clips, list(range(17, 30)), 4000, results))
    process.start()
    elsewhere = results.get(timeout=60)
    process.join()
    assert [name for name, _ in elsewhere] == [clip.name for clip in drawn[17:]]
    assert all(np.array_equal(audio, clip.audio.numpy()) for (_, audio), clip in zip(elsewhere, drawn[17:]))


def test_halves_of_two_processes_are_the_whole(folder):
    one, two = (Clips.from_folder(folder, RATE, seed=1) for _ in range(2))
    whole = draw(Clips.from_folder(folder, RATE, seed=1), range(24))
    halves = {i: clip for clips, part in ((one, 0), (two, 1)) for i in range(part, 24, 2) for clip in draw(clips, [i])}
    assert same(whole, [halves[i] for i in range(24)])


def test_another_seed_draws_others(folder):
    first, second = (draw(Clips.from_folder(folder, RATE, seed), range(10)) for seed in (0, 1))
    assert not any(torch.equal(a.audio, b.audio) for a, b in zip(first, second))


@pytest.mark.e2e
def test_sources_are_drawn_by_the_root_of_their_duration(folder):
    clips = Clips.from_folder(folder, RATE)
    assert clips.minutes == pytest.approx({"long": 9 / 60, "short": 4 / 60})
    assert clips.description == "long (0.1 min), short (0.1 min)"
    names = [clip.name for clip in draw(clips, range(1500), 800)]
    share = sum(name.startswith("long") for name in names) / len(names)
    assert share == pytest.approx(3 / (3 + 2), abs=0.05)
    assert len(set(names)) == 7


def test_clips_are_stretches_without_their_mean(folder):
    for clip in draw(Clips.from_folder(folder, RATE), range(4)):
        audio = sf.read(folder / clip.name, dtype="float32")[0]
        drawn = clip.audio[0].numpy()
        # where the first steps from sample to sample are those of the clip, which have no mean
        steps = np.lib.stride_tricks.sliding_window_view(np.diff(audio[: len(audio) - 4000 + 64]), 63)
        (starts,) = np.nonzero(np.abs(steps - np.diff(drawn[:64])).max(axis=1) < 1e-6)
        stretches = [audio[start : start + 4000] for start in starts]
        assert min(np.abs(stretch - stretch.mean() - drawn).max() for stretch in stretches) < 1e-6
        assert clip.covers == pytest.approx(4000 / len(audio))


def test_texts_are_of_tables_and_of_files_beside(folder, tmp_path):
    texts = {clip.name: clip.text for clip in draw(Clips.from_folder(folder, RATE), range(200))}
    assert {name: text for name, text in texts.items() if text} == {"long/0.flac": "nought", "short/3.flac": "three"}
    # as prepare_audio.py leaves it: a manifest above the folder; a table of a source alone
    for name in ("train/a/0.flac", "train/b/0.flac"):
        (tmp_path / name).parent.mkdir(parents=True)
        sf.write(tmp_path / name, tone(1, 500), RATE)
    (tmp_path / "manifest.jsonl").write_text(json.dumps({"path": "train/a/0.flac", "text": "above"}))
    (tmp_path / "train" / "b" / "metadata.jsonl").write_text(json.dumps({"file_name": "0.flac", "text": "within"}))
    clips = Clips.from_folder(tmp_path / "train", RATE)
    assert {r.name: r.text for rs in clips.sources.values() for r in rs} == {"a/0.flac": "above", "b/0.flac": "within"}
    (tmp_path / "train" / "metadata.jsonl").write_text("{}\nno JSON\n")
    with pytest.raises(ValueError, match="Line 2 of .*metadata.jsonl is no JSON object"):
        Clips.from_folder(tmp_path / "train", RATE)


def test_broken_files_are_listed_and_left_out(folder, tmp_path):
    clips = Clips.from_folder(folder, RATE)
    assert [name for name, _ in clips.skipped] == ["short/broken.wav", "short/empty.flac"]
    assert all(reason for _, reason in clips.skipped)
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    with pytest.raises(ValueError, match="no audio that can be read; 1 cannot.*a.wav"):
        Clips.from_folder(tmp_path, RATE)


def test_every_file_is_used_or_listed(tmp_path):
    (tmp_path / "a").mkdir()
    for suffix in ("aiff", "au", "caf", "w64", "ogg", "mp3"):
        sf.write(tmp_path / "a" / f"1.{suffix}", tone(1, 400), RATE, format=suffix.upper())
    content = (tmp_path / "a" / "1.mp3").read_bytes()
    (tmp_path / "a" / "joined.mp3").write_bytes(content * 3)
    (tmp_path / "a" / "cut.au").write_bytes((tmp_path / "a" / "1.au").read_bytes()[:5000])
    (tmp_path / "a" / "notes.md").write_text("About these.")
    (tmp_path / "a" / "metadata.csv").write_text("file_name,text\n1.au,one\n")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    clips = Clips.from_folder(tmp_path, RATE)
    recordings = {recording.name: recording for recording in clips.sources["a"]}
    assert set(recordings) == {f"a/{name}" for name in "1.aiff 1.au 1.caf 1.w64 1.ogg 1.mp3 joined.mp3".split()}
    assert recordings["a/joined.mp3"].frames == 3 * recordings["a/1.mp3"].frames == 3 * RATE
    assert recordings["a/1.au"].text == "one"
    assert set(dict(clips.skipped)) == {"a/cut.au", "a/notes.md", "a/up"}
    assert {clip.name for clip in draw(clips, range(100))} == set(recordings)
    assert set(dict(clips.skipped)) == {"a/cut.au", "a/notes.md", "a/up"}  # nothing failed when it was decoded


def test_what_cannot_be_decoded_is_drawn_again_the_same_by_everybody(tmp_path):
    for i in range(3):
        sf.write(tmp_path / f"{i}.flac", tone(2, 300 * (i + 1)), RATE)
    whole = (tmp_path / "1.flac").read_bytes()
    (tmp_path / "1.flac").write_bytes(whole[:200] + bytes(len(whole) - 200))  # a header, and then nothing
    clips = Clips.from_folder(tmp_path, RATE)
    assert not clips.skipped
    drawn = draw(clips, range(40))
    assert {clip.name for clip in drawn} == {"0.flac", "2.flac"}
    assert [name for name, _ in clips.skipped] == ["1.flac"]  # once
    late = Clips.from_folder(tmp_path, RATE)  # it has not met the broken file before clip 20
    assert same(drawn[20:], draw(late, range(20, 40)))


def test_silence_is_drawn_again(tmp_path):
    audio = tone(4, 300)
    audio[:RATE], audio[2 * RATE :] = 0, 0.001
    sf.write(tmp_path / "a.wav", audio, RATE)
    for clip in draw(Clips.from_folder(tmp_path, RATE), range(20), 1000):
        assert clip.audio.abs().max() > 1e-2
    sf.write(tmp_path / "a.wav", 0 * audio + 0.5, RATE)  # a constant is silence too
    with pytest.raises(ValueError, match="Drew 1000 stretches of 1000 samples; all were silent"):
        Clips.from_folder(tmp_path, RATE).draw(0, 1000)


def test_values_that_are_not_finite_are_skipped(tmp_path):
    sf.write(tmp_path / "a.wav", np.full(8000, np.nan, np.float32), RATE, subtype="FLOAT")
    sf.write(tmp_path / "b.wav", tone(1, 400), RATE)
    clips = Clips.from_folder(tmp_path, RATE)
    assert {clip.name for clip in draw(clips, range(20))} == {"b.wav"}
    ((name, reason),) = clips.skipped
    assert name == "a.wav" and "holds values that are not finite" in reason


def test_short_files_are_padded(tmp_path):
    audio = tone(0.1, 400)
    sf.write(tmp_path / "a.wav", audio, RATE, subtype="FLOAT")
    (tmp_path / "a.txt").write_text("la")
    clip = Clips.from_folder(tmp_path, RATE).draw(0, 4000)
    assert clip.covers == 1.0 and clip.text == "la"
    np.testing.assert_allclose(clip.audio[0, :1600], audio - audio.mean(), atol=1e-6)
    assert not clip.audio[0, 1600:].any()


def test_other_rates_are_resampled_and_channels_mixed(tmp_path):
    low, high = tone(0.5, 440, 44100), tone(0.5, 700, 44100)
    sf.write(tmp_path / "a.wav", np.stack([low, high], axis=1), 44100, subtype="FLOAT")
    clip = Clips.from_folder(tmp_path, RATE).draw(0, 8000)
    expected = soxr.resample((low + high) / 2, 44100, RATE)
    assert clip.audio.shape == (1, 8000) and clip.covers == 1.0
    np.testing.assert_allclose(clip.audio[0], expected - expected.mean(), atol=1e-5)


# ---- Datasets


def make_dataset(folder):
    """Rows of audio, `long` and `short`, as undecoded files, of which one is broken."""
    datasets = pytest.importorskip("datasets", reason="datasets is not installed")
    paths = [*sorted(folder.rglob("[0-9].flac")), folder / "short" / "broken.wav"]
    rows = {"audio": [{"bytes": p.read_bytes(), "path": None} for p in paths], "said": [p.stem for p in paths]}
    # as such columns are stored; datasets itself asks for torchcodec to write them, and to decode them
    stored = {"bytes": datasets.Value("binary"), "path": datasets.Value("string")}
    features = datasets.Features({"audio": stored, "said": datasets.Value("string")})
    dataset = datasets.Dataset.from_dict(rows, features=features)
    return dataset.cast_column("audio", datasets.Audio(sampling_rate=RATE))


def test_datasets_are_drawn_at_random(folder):
    dataset = make_dataset(folder)
    clips = Clips.from_dataset(dataset, RATE, seed=5, text_column="said")
    drawn = draw(clips, range(20))
    assert same(drawn[11:], draw(Clips.from_dataset(dataset, RATE, seed=5, text_column="said"), range(11, 20)))
    assert [name for name, _ in clips.skipped] == ["000007"]
    assert all(clip.text == dataset["said"][int(clip.name)] for clip in drawn)
    assert clips.minutes["dataset"] == pytest.approx(13 / 60)
    without = Clips.from_dataset(dataset, RATE, seed=5)  # whose text column is another than `text`
    assert without.draw(0, 4000).text is None
    with pytest.raises(ValueError, match="no column 'sound'; it has audio, said"):
        Clips.from_dataset(dataset, RATE, audio_column="sound")
    with pytest.raises(ValueError, match="no text; pass text_column=None"):
        numbers = dataset.remove_columns("said").add_column("text", list(range(8)))
        Clips.from_dataset(numbers, RATE)


@pytest.mark.e2e
def test_a_dataset_is_loaded_by_name(folder, tmp_path, monkeypatch):
    make_dataset(folder).to_parquet(tmp_path / "set" / "train.parquet")
    (tmp_path / "set" / "README.md").write_text("---\nconfigs:\n- config_name: a\n  data_files: train.parquet\n---\n")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    for streaming in (False, True):
        clips = Clips.from_dataset(str(tmp_path / "set"), RATE, config="a", text_column="said", streaming=streaming)
        assert isinstance(clips, StreamedClips if streaming else Clips)
        assert clips.draw(0, 4000).text in {"0", "1", "2", "3"}


def test_streams_are_read_in_one_order(folder):
    dataset = make_dataset(folder).to_iterable_dataset(num_shards=2)
    clips = Clips.from_dataset(dataset, RATE, seed=2, text_column="said")
    drawn = draw(clips, range(30))  # more than three times round
    assert {clip.name for clip in drawn[:7]} >= {"row 0"} and [name for name, _ in clips.skipped]
    assert len({clip.audio.numpy().tobytes() for clip in drawn}) == 30  # each time another stretch
    resumed = Clips.from_dataset(dataset, RATE, seed=2, text_column="said")
    assert same(drawn[13:], draw(resumed, range(13, 30)))
    assert same(drawn[4:6], draw(resumed, range(4, 6)))  # back: it reads anew
    halves = [draw(Clips.from_dataset(dataset, RATE, seed=2, text_column="said"), range(i, 30, 2)) for i in (0, 1)]
    assert same(drawn, [clip for pair in zip(*halves) for clip in pair])
    assert same(drawn[:5], draw(pickle.loads(pickle.dumps(clips)), range(5)))
    # draws for evaluation, far from those of the training, do not wait for these
    assert not same(drawn[:5], draw(clips, range(LANE, LANE + 5)))
    assert not same(drawn[:5], draw(Clips.from_dataset(dataset, RATE, seed=3), range(5)))


def test_streams_cut_long_recordings(tmp_path):
    datasets = pytest.importorskip("datasets", reason="datasets is not installed")
    sf.write(tmp_path / "long.flac", tone(2.5 * PIECE, 200, 4000), 4000)

    def rows():
        yield {"audio": {"path": str(tmp_path / "long.flac"), "bytes": None}, "text": "much"}

    clips = Clips.from_dataset(datasets.IterableDataset.from_generator(rows), 4000)
    drawn = draw(clips, range(3), 4000)
    assert {clip.text for clip in drawn} == {None}
    ends = [(float(clip.audio.max()) - 0.2) / 0.5 * 2.5 for clip in drawn]  # in pieces: the tone grows
    assert [int(end) for end in sorted(ends)] == [0, 1, 2]


def test_a_stream_without_audio_is_an_error():
    datasets = pytest.importorskip("datasets", reason="datasets is not installed")
    rows = datasets.IterableDataset.from_generator(lambda: iter([{"audio": {"path": None, "bytes": b"no"}}]))
    with pytest.raises(ValueError, match="The dataset has no audio that can be read"):
        Clips.from_dataset(rows, RATE).draw(0, 100)


# ---- Shards


def test_flac_shards_draw_as_the_folder_does(folder, tmp_path):
    skipped = pack(folder, tmp_path / "shards", "flac", max_bytes=100_000)
    assert [name for name, _ in skipped] == ["short/broken.wav", "short/empty.flac"]
    shards = sorted((tmp_path / "shards").glob("*.flac"))
    assert len(shards) > 2 and max(path.stat().st_size for path in shards) <= 100_000
    clips = open_clips(tmp_path / "shards", RATE, seed=4)
    drawn = draw(clips, range(40))
    whole = draw(open_clips(folder, RATE, seed=4), range(40))
    assert same(drawn, whole) and [clip.text for clip in drawn] == [clip.text for clip in whole]
    for source, recordings in clips.sources.items():  # bit by bit
        for recording in recordings:
            packed = read_span(tmp_path / "shards" / recording.place, recording.start, recording.frames)
            assert np.array_equal(packed, sf.read(folder / recording.name, dtype="float32")[0]), source


def test_opus_shards_are_close_and_as_long(folder, tmp_path):
    pack(folder, tmp_path / "shards", "opus", kilobits=32)
    assert [path.name for path in (tmp_path / "shards").glob("*.opus")] == ["shard-00000.opus"]
    for recordings in read_index(tmp_path / "shards").values():
        for recording in recordings:
            packed = read_span(tmp_path / "shards" / recording.place, recording.start, recording.frames)
            audio = sf.read(folder / recording.name, dtype="float32")[0]
            assert len(packed) == len(audio)
            noise = (packed - audio)[800:-800]
            assert 10 * np.log10(np.mean(audio**2) / np.mean(noise**2)) > 10, recording.name
    clips = open_clips(tmp_path / "shards", RATE)
    assert same(draw(clips, range(10)), reversed(draw(clips, reversed(range(10)))))


def test_shards_are_resampled_and_mixed(tmp_path):
    (tmp_path / "in").mkdir()
    sf.write(tmp_path / "in" / "a.wav", np.stack([tone(1, 440, 44100)] * 2, axis=1), 44100)
    pack(tmp_path / "in", tmp_path / "out", "flac")
    (recording,) = read_index(tmp_path / "out")["."]
    assert (recording.frames, recording.rate) == (RATE, RATE)
    packed = read_span(tmp_path / "out" / recording.place, 0, RATE)
    np.testing.assert_allclose(packed[200:-200], tone(1, 440)[200:-200], atol=2e-3)


def test_packing_replaces_shards_and_nothing_else(folder, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("dear")
    with pytest.raises(FileExistsError, match="other things than shards"):
        pack(folder, other)
    with pytest.raises(ValueError, match="take FLAC"):
        pack(folder, tmp_path / "new", "opus", sampling_rate=22050)
    (tmp_path / "void").mkdir()
    with pytest.raises(ValueError, match="no audio that can be read"):
        pack(tmp_path / "void", tmp_path / "new")
    pack(folder, tmp_path / "new", "flac", max_bytes=100_000)
    pack(folder, tmp_path / "new", "opus")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "other", "void"]
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["index.json", "shard-00000.opus"]


def test_damaged_shards_are_refused(folder, tmp_path):
    pack(folder, tmp_path / "shards", "flac", max_bytes=100_000)
    shard = tmp_path / "shards" / "shard-00001.flac"
    shard.unlink()
    with pytest.raises(ValueError, match="shard-00001.flac cannot be read"):
        open_clips(tmp_path / "shards", RATE)
    sf.write(shard, tone(0.1, 400), RATE)
    with pytest.raises(ValueError, match="has 1600 frames and not"):
        open_clips(tmp_path / "shards", RATE)
    (tmp_path / "shards" / "index.json").write_text("{}")
    with pytest.raises(ValueError, match="is no index of shards"):
        open_clips(tmp_path / "shards", RATE)


@pytest.mark.e2e
def test_packing_is_a_command(folder, tmp_path):
    options = ["--audio_dir", str(folder), "--format", "flac", "--output_dir", str(tmp_path / "out")]
    result = processes.run("llm_codec_hf.training.shards", *options, tmp_path=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "MB/h" in result.stderr
    assert set(read_index(tmp_path / "out")) == {"long", "short"}


def test_what_is_neither_folder_nor_dataset_is_an_error(folder, tmp_path, monkeypatch):
    pytest.importorskip("datasets", reason="datasets is not installed")
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    with pytest.raises(ValueError, match="is neither a folder nor a dataset that can be loaded"):
        open_clips(tmp_path / "nowhere", RATE)
    with pytest.raises(ValueError, match="is a folder; split is for datasets"):
        open_clips(folder, RATE, split="train")


# ---- Windows, augmentation


def test_windows_of_a_step():
    windows = [batch_windows(0, step, 2, 5) for step in range(200)]
    assert set(windows) == {2, 3, 4, 5} and windows == [batch_windows(0, step, 2, 5) for step in range(200)]
    assert windows != [batch_windows(1, step, 2, 5) for step in range(200)]
    assert {batch_windows(0, step, 4, 4) for step in range(10)} == {4}


def test_augmentation_is_a_gain_and_a_sign():
    audio = torch.from_numpy(tone(0.2, 400))[None]
    factors = []
    for seed in range(200):
        augmented = augment(audio, np.random.default_rng(seed), gain_db=(-12, 6))
        assert augmented.dtype == torch.float32 and augmented.shape == audio.shape and augmented.abs().max() < 1
        factors.append(float((augmented * audio).sum() / (audio * audio).sum()))
        torch.testing.assert_close(augmented, factors[-1] * audio, atol=1e-6, rtol=1e-4)
    assert min(map(abs, factors)) == pytest.approx(10 ** (-12 / 20), abs=0.02)
    assert max(map(abs, factors)) == pytest.approx(0.99 / float(audio.abs().max()), abs=0.02)
    assert 70 < sum(factor < 0 for factor in factors) < 130
    again = augment(audio, np.random.default_rng(7))
    assert torch.equal(again, augment(audio, np.random.default_rng(7)))
    assert torch.equal(augment(audio, np.random.default_rng(0), gain_db=(0, 0)).abs(), audio.abs())


def test_augmentation_adds_noise_white_or_pink():
    audio = torch.from_numpy(tone(1.0, 400))[None]
    slopes = []
    for seed in range(12):
        generator = np.random.default_rng(seed)
        noisy = augment(audio, generator, gain_db=(0, 0), noise_chance=1.0)
        scale = float((noisy * audio).sum() / (audio * audio).sum())
        noise = (noisy - scale * audio).numpy()[0] / scale
        ratio = 10 * np.log10(np.mean(audio.numpy() ** 2) / np.mean(noise**2))
        assert 15 <= ratio <= 40
        power = np.abs(np.fft.rfft(noise)) ** 2
        slopes.append(np.log2(power[4000:8000].mean() / power[500:1000].mean()) / 3)  # an octave
    assert {round(slope) for slope in slopes} == {0, -1}


def test_a_room_keeps_the_direct_sound_in_its_place():
    """A click stays where it was, the greatest of all; what comes back is later, and dies away."""
    click = np.zeros((1, 16000))
    click[0, 1000] = 1.0
    for seed in range(20):
        heard = in_a_room(click, np.random.default_rng(seed), 16000)[0]
        assert heard.shape == (16000,) and np.abs(heard[:1000]).max() < 1e-12 and heard[1000] == pytest.approx(1.0)
        later = np.abs(heard[1001:])
        assert later[:31].max() < 1e-12 and later.max() < 1.0  # nothing comes back within 2 ms
        assert 0.03 < np.square(later).sum() <= 1.0 and np.square(later[-3000:]).sum() < 1e-4


def test_another_microphone_changes_the_spectrum_and_not_the_level():
    noise = np.random.default_rng(0).standard_normal((1, 16000))
    bands = []
    for seed in range(40):
        heard = coloured(noise, np.random.default_rng(seed))
        assert heard.shape == noise.shape and np.mean(heard**2) == pytest.approx(np.mean(noise**2))
        power = np.square(np.abs(np.fft.rfft(heard[0]))).reshape(-1)[:8000].reshape(8, 1000).mean(axis=1)
        bands.append(10 * np.log10(power / power.sum()))
    spread = np.std(bands, axis=0)
    assert (spread > 1).all() and np.min(bands) < -50  # some have no treble at all


def test_conditions_are_drawn_by_the_clip(tmp_path):
    """The same clip under the same conditions is the same; without chances it is what it was before they were there."""
    audio = torch.from_numpy(np.random.default_rng(1).uniform(-0.1, 0.1, (1, 4000)).astype(np.float32))
    ways = {"none": {}, "room": {"room_chance": 1.0}, "colour": {"colour_chance": 1.0}, "noise": {"noise_chance": 1.0}}
    heard = {name: augment(audio, np.random.default_rng(5), **options) for name, options in ways.items()}
    for name, options in ways.items():
        assert torch.equal(heard[name], augment(audio, np.random.default_rng(5), **options))
        assert name == "none" or not torch.allclose(heard[name], heard["none"])
    assert float(heard["none"].abs().max()) < 1 and heard["room"].dtype == torch.float32
