# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""`llm-codec tokenize`: rows as `encode` gives them for each file alone, bad files listed, runs that go on."""

import io
import json
import os
import tarfile

import numpy as np
import pyarrow
import pytest
import soundfile
import torch
from datasets import load_dataset
from processes import serve
from pyarrow import parquet

from llm_codec_hf import save_codec
from llm_codec_hf.audio_llm_codec import read_audio
from llm_codec_hf.corpus import supervisor
from llm_codec_hf.corpus.configuration import TokenizeConfig
from llm_codec_hf.corpus.flight import MOST_DEATHS, Flight
from llm_codec_hf.corpus.identity import identify
from llm_codec_hf.corpus.plan import make_plan, read_plan
from llm_codec_hf.corpus.reading import decode_row, row_to_codes, row_to_ids
from llm_codec_hf.corpus.run import tokenize
from llm_codec_hf.corpus.sources import make_source
from llm_codec_hf.corpus.steps import EncodeAudio, make_steps
from llm_codec_hf.corpus.store import Store

pytestmark = pytest.mark.e2e
FORMATS = [("wav", 16000), ("flac", 22050), ("ogg", 8000), ("mp3", 16000)]


@pytest.fixture(scope="module", autouse=True)
def fork_server():
    serve()  # workers come from the one of the tests, which has the libraries loaded


def write_clip(path, seed, seconds=None):
    rng = np.random.default_rng(seed)
    suffix, rate = FORMATS[seed % len(FORMATS)]
    samples = rng.normal(size=(int(rate * (seconds or rng.uniform(0.1, 2))), 1 + seed % 2)).cumsum(axis=0)
    path = path.with_suffix(f".{suffix}")
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples / np.abs(samples).max() / 2, rate)
    return path


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Twelve clips of mixed formats, rates, channels and lengths; one is longer than a batch."""
    folder = tmp_path_factory.mktemp("source") / "clips"
    for seed in range(12):
        write_clip(folder / f"{seed % 3}" / f"{seed:02d}", seed, seconds=25 if seed == 5 else None)
    (folder / "0" / "00.txt").write_text("what is said\n")
    (folder / "notes.md").write_text("no audio")
    return folder


@pytest.fixture
def configure(codec_dir, tmp_path):
    def make(source, **more):
        options = {"model": str(codec_dir), "device": "cpu", "batch_seconds": 4.0, "task_seconds": 12.0} | more
        return TokenizeConfig(source=str(source), **{"output_dir": str(tmp_path / "codes")} | options)

    return make


def rows_of(folder):
    """id → row, of all files of a run; no id twice."""
    rows = [row for path in sorted((folder / "data").iterdir()) for row in parquet.read_table(path).to_pylist()]
    assert len({row["id"] for row in rows}) == len(rows)
    return {row["id"]: row for row in rows}


def errors_of(folder):
    lines = [line for path in (folder / "errors").glob("*") for line in path.read_text().splitlines()]
    return {row["id"]: row["error"] for row in map(json.loads, lines)}


def alone(codec, processor, path):
    """The codes of a file by `encode`, and its samples."""
    samples, rate = read_audio(path)
    inputs = processor.feature_extractor(samples, rate, resample=True, channels="mean", return_tensors="pt")
    return codec.encode(**inputs).audio_codes[0], inputs["input_values"].shape[-1]


def assert_as_alone(rows, folder, codec, processor):
    for name, row in rows.items():
        codes, samples = alone(codec, processor, folder / name)
        assert row_to_codes(row, codec.config.codes_per_group).equal(codes), name
        assert row["num_samples"] == samples


def test_rows_are_what_encode_gives_for_each_file_alone(clips, configure, codec, processor, tmp_path):
    summary = tokenize(config := configure(clips, workers=2))
    folder = tmp_path / "codes"
    assert (summary.clips, summary.errors, summary.unfinished) == (12, 0, 0)
    rows = rows_of(folder)
    assert set(rows) == {path.relative_to(clips).as_posix() for path in clips.glob("*/*.*") if path.suffix != ".txt"}
    assert_as_alone(rows, clips, codec, processor)
    assert rows["0/00.wav"]["text"] == "what is said" and rows["1/01.flac"]["text"] is None
    assert {row["source"] for row in rows.values()} == {"clips"}
    schema = parquet.read_schema(folder / "data" / "00000.parquet")
    assert schema.field("audio_codes").type == pyarrow.list_(pyarrow.list_(pyarrow.int32(), 7))
    types = {"id": "string", "num_samples": "int64", "sampling_rate": "int32", "text": "string", "codec": "string"}
    assert {name: str(schema.field(name).type) for name in types} == types
    metadata = json.loads(schema.metadata[b"llm_codec"])
    assert metadata["plan"] == read_plan(Store(config.output_dir)).hash
    assert (metadata["hop_length"], metadata["vq_strides"], len(metadata["codec_hash"])) == (480, [4, 2, 1], 64)
    written = {path: path.stat().st_mtime_ns for path in (folder / "data").iterdir()}
    tokenize(config)  # nothing is left to do
    assert {path: path.stat().st_mtime_ns for path in (folder / "data").iterdir()} == written


def test_a_folder_is_a_dataset_and_a_row_is_audio_and_ids(clips, configure, codec, processor, tmp_path):
    tokenize(configure(clips))
    rows = load_dataset(str(tmp_path / "codes"), split="train", cache_dir=str(tmp_path / "cache"))
    assert len(rows) == 12
    row = next(row for row in rows if row["id"] == "1/01.flac")
    codes, samples = alone(codec, processor, clips / "1" / "01.flac")
    expected = codec.decode(codes[None], length=samples).audio_values[0, 0].detach()
    np.testing.assert_array_equal(decode_row(row, codec), expected)
    assert row_to_ids(row, processor, layout="time_major") == processor.codes_to_ids(codes, layout="time_major")
    with pytest.raises(ValueError, match="codebooks"):
        decode_row(row | {"codec": "other@0123456789ab"}, codec)


@pytest.mark.parametrize("more", [{"layout": "flat"}, {"format": "webdataset"}], ids=str)
def test_other_layouts(more, clips, configure, codec, processor, tmp_path):
    tokenize(configure(clips, **more))
    rows = load_dataset(str(tmp_path / "codes"), split="train", cache_dir=str(tmp_path / "cache"))
    if "layout" in more:
        rows = {row["id"]: row for row in rows}
        assert isinstance(rows["0/00.wav"]["audio_codes"][0], int)
    else:
        rows = {row["json"]["id"]: row["json"] | {"audio_codes": row["codes.npy"]} for row in rows}
    assert len(rows) == 12
    assert_as_alone({name: rows[name] for name in ("0/00.wav", "2/02.ogg")}, clips, codec, processor)


# ---- Sources


def tar_of(folder, path):
    with tarfile.open(path, "w") as tar:
        for file in sorted(folder.glob("0/*")):
            tar.add(file, file.name)
    return path


@pytest.mark.parametrize("kind", ["manifest", "tar", "parquet"])
def test_sources(kind, clips, configure, codec, processor, tmp_path, monkeypatch):
    names = sorted(path.name for path in clips.glob("0/*") if path.suffix != ".txt")
    expected = {name: "what is said" if name.startswith("00.") else None for name in names}
    if kind == "manifest":
        source = tmp_path / "manifest.jsonl"
        rows = [{"id": n, "audio_filepath": str(clips / "0" / n), "text": t} for n, t in expected.items()]
        source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif kind == "tar":
        source = tar_of(clips, tmp_path / "shard.tar")
    else:
        source = tmp_path / "rows" / "0.parquet"
        source.parent.mkdir()
        cells = [{"bytes": (clips / "0" / name).read_bytes(), "path": None} for name in names]
        columns = {"id": names, "audio": cells, "text": list(expected.values())}
        parquet.write_table(pyarrow.table(columns), source)
        monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
        monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    config = configure(source)
    made = make_source(config)
    entries = {entry.id.removeprefix("shard.tar/"): entry for entry in made.entries()}
    assert {name: entry.text for name, entry in entries.items()} == expected
    for name, entry in entries.items():
        np.testing.assert_array_equal(
            read_audio(made.open(entry.place)).samples, read_audio(clips / "0" / name).samples
        )
    assert tokenize(config).clips == len(names)
    tokenize(config)  # goes on: it is the same source


def test_what_is_no_source_is_refused(configure, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "table.xls").write_text("")
    for name, error in (("empty", ValueError), ("table.xls", ValueError), ("nowhere.jsonl", FileNotFoundError)):
        with pytest.raises(error, match=name):
            make_source(configure(tmp_path / name))


# ---- Bad files


def test_bad_files_are_listed_and_can_be_tried_again(clips, configure, cli, codec, processor, tmp_path):
    source, folder = tmp_path / "clips", tmp_path / "codes"
    for seed in range(4):
        write_clip(source / f"{seed}", seed, seconds=1)
    good = (source / "0.wav").read_bytes()
    bad = {"text.wav": b"no audio", "empty.flac": b"", "cut.wav": good[: len(good) // 2], "zeros.mp3": bytes(999)}
    for name, content in bad.items():
        (source / name).write_bytes(content)
    soundfile.write(source / "nan.wav", np.full(9999, np.nan, np.float32), 16000, "FLOAT")
    soundfile.write(source / "cancels.wav", np.array([[0.5, -0.5]] * 9999), 16000)
    command = ("tokenize", source, "--output_dir", folder, "--batch_seconds", 60)
    status, out, err = cli(*command)
    assert (status, out) == (1, [str(folder)]) and any("6 clips could not be encoded" in line for line in err)
    assert set(errors_of(folder)) == {*bad, "nan.wav", "cancels.wav"}
    assert_as_alone(rows := rows_of(folder), source, codec, processor)
    assert len(rows) == 4

    (source / "text.wav").write_bytes(good)  # someone brought it again
    (source / "empty.flac").unlink()
    assert cli(*command)[0] == 1 and len(rows_of(folder)) == 4
    assert cli(*command, "--retry_errors")[0] == 1
    assert_as_alone(rows := rows_of(folder), source, codec, processor)
    assert set(rows) == {"0.wav", "1.flac", "2.ogg", "3.mp3", "text.wav"}
    errors = errors_of(folder)
    assert set(errors) == {"empty.flac", "cut.wav", "zeros.mp3", "nan.wav", "cancels.wav"}
    assert "not in the source any more" in errors["empty.flac"] and "NaN" in errors["nan.wav"]

    assert cli(*command, "--allow_truncated")[2][0].startswith("llm-codec: error: The run in")


def test_other_data_or_another_codec_is_refused(configure, codec, processor, tmp_path):
    source = tmp_path / "clips"
    write_clip(source / "0", 0)
    second = write_clip(source / "1", 1)
    tokenize(config := configure(source))
    third = write_clip(source / "2", 2)
    with pytest.raises(ValueError, match="2.ogg.*not in the plan"):
        tokenize(config)
    third.unlink()
    os.utime(second, ns=(0, 0))
    with pytest.raises(ValueError, match="1.flac.*has changed"):
        tokenize(config)
    second.unlink()
    with pytest.raises(ValueError, match="no '1.flac' any more"):
        tokenize(config)
    torch.manual_seed(7)
    save_codec(type(codec)(codec.config), processor, tmp_path / "other")
    with pytest.raises(ValueError, match="codec_hash"):
        tokenize(configure(source, model=str(tmp_path / "other")))


# ---- Processes that die


class Deadly(EncodeAudio):
    """Encodes, and its process dies whenever a clip of some name is opened."""

    def run(self, data, rank=0, world_size=1):
        from llm_codec_hf.corpus import sources

        opened = sources.Folder.open

        def open(source, place):
            if place.startswith("deadly"):
                os._exit(7)
            return opened(source, place)

        sources.Folder.open = open
        yield from super().run(data, rank, world_size)


def test_a_clip_that_kills_its_worker_is_set_aside(configure, codec, processor, tmp_path, monkeypatch):
    source, folder = tmp_path / "clips", tmp_path / "codes"
    for seed in range(8):
        write_clip(source / ("deadly" if seed == 3 else f"{seed}"), seed, seconds=1)

    def deadly_steps(config, identity, plan, source, supervised):
        read, _, write = make_steps(config, identity, plan, source, supervised)
        return [read, Deadly(config, identity, supervised), write]

    monkeypatch.setattr("llm_codec_hf.corpus.run.make_steps", deadly_steps)
    summary = tokenize(configure(source, workers=2, task_seconds=4.0))
    assert (summary.clips, summary.errors, summary.unfinished) == (7, 1, 0)
    ((name, error),) = errors_of(folder).items()
    assert name == "deadly.mp3" and f"died {MOST_DEATHS} times" in error and "exit status 7" in error
    assert_as_alone(rows_of(folder), source, codec, processor)


def test_workers_that_die_before_they_work_end_the_run(clips, configure, monkeypatch):
    monkeypatch.setattr(supervisor, "_work", _dies)
    with pytest.raises(ValueError, match="died 3 times before it worked on a clip"):
        tokenize(configure(clips))


def _dies(*_):
    os._exit(1)


def test_a_folder_that_cannot_be_written_ends_the_run_which_then_goes_on(clips, configure, tmp_path):
    folder = tmp_path / "codes"
    folder.mkdir()
    (folder / "data").write_text("in the way")
    with pytest.raises(ValueError, match="Task 0 failed"):
        tokenize(config := configure(clips))
    (folder / "data").unlink()
    assert tokenize(config).clips == 12


def test_a_journal_counts_deaths_until_a_clip_survives(tmp_path):
    store = Store(str(tmp_path))
    flight = Flight(store, 3)
    flight.begin(["a", "b"], 1.5)
    assert Flight(store, 3).is_up and Flight(store, 3).seconds == 1.5
    assert Flight(store, 3).died("signal SIGKILL") and not Flight(store, 3).died("again")
    flight = Flight(store, 3)
    assert flight.deaths("a") == flight.deaths("b") == ["signal SIGKILL"]
    flight.survived("a")
    assert not Flight(store, 3).deaths("a") and Flight(store, 3).deaths("b")
    flight.end()
    assert not Flight(store, 3).deaths("b")
    for how, times in (("signal SIGSEGV", 3), ("signal SIGKILL", 6)):  # a crash is the clip's, a kill may be anyone's
        flight = Flight(store, 4)
        for _ in range(times):
            assert not flight.is_hopeless("a")
            flight.begin(["a"], 0.0)
            flight.died(how)
        assert flight.is_hopeless("a")
        flight.end()


# ---- Elsewhere


def test_another_executor_finds_that_a_job_was_lost(configure, codec, processor, tmp_path):
    for seed in range(4):
        write_clip(tmp_path / "clips" / f"{seed}", seed, seconds=1)
    config = configure(tmp_path / "clips", batch_seconds=60.0)
    store, source = Store(config.output_dir), make_source(config)
    plan = make_plan(store, source, {}, None, 1)
    flight = Flight(store, 0)
    flight.begin(["0.wav", "1.flac"], 0.0)  # of a job that ended here, as far as the next one knows
    for _ in range(5):
        flight.begin(["1.flac"], 0.0)
        flight.died("signal SIGKILL")
    flight.begin(["0.wav", "1.flac"], 0.0)
    documents = None
    for step in make_steps(config, identify(codec, config.model), plan, source, supervised=False):
        documents = step(documents, 0, 1)
    assert [document.id for document in documents][:2] == ["0.wav", "1.flac"]  # alone, before the others
    ((name, error),) = errors_of(tmp_path / "codes").items()
    assert name == "1.flac" and "died 6 times" in error
    assert_as_alone(rows := rows_of(tmp_path / "codes"), tmp_path / "clips", codec, processor)
    assert set(rows) == {"0.wav", "2.ogg", "3.mp3"} and not flight.is_up


def test_one_process_at_a_time(clips, configure, tmp_path):
    with Store(str(tmp_path / "codes")).alone(".tokenize/lock"), pytest.raises(ValueError, match="Another process"):
        tokenize(configure(clips))


def test_the_folder_may_be_behind_an_url(clips, configure, codec, processor, tmp_path):
    folder = tmp_path / "codes"
    config = configure(clips, output_dir=f"local://{folder}")  # a file system of `fsspec`, of which nothing is known
    assert tokenize(config).clips == tokenize(config).clips == len(rows_of(folder)) == 12
    assert not (folder / ".tokenize" / "flight").exists()


def test_a_store_behind_an_url(tmp_path):
    store = Store("memory://codes")
    assert store.names("data") == [] and store.read("data/x") is None
    store.write("data/x", "text")
    with pytest.raises(RuntimeError), store.writing("data/y") as path:
        path.write_bytes(b"half")
        raise RuntimeError
    assert store.names("data") == ["x"] and store.read("data/x") == b"text"
    assert io.BytesIO(store.open("data/x").read()).getvalue() == b"text"
    store.remove("data/x")
    store.remove("data/x")
    assert store.names("data") == []
