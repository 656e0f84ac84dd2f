# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Audio in folders, tables and cells: nothing is left out without a word."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from llm_codec_hf.files.audio_files import (
    file_of_row,
    find_table,
    inspect_audio,
    is_audio,
    list_files,
    read_table,
    stored_audio,
    write_whole_wav,
)


def test_all_files_of_a_folder_are_listed(tmp_path):
    for name in ("b/2.wav", "a/1.FLAC", "a/notes.txt", ".hidden/3.wav", "a/.4.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    files, left_out = list_files(tmp_path)
    assert [path.relative_to(tmp_path).as_posix() for path in files] == ["a/1.FLAC", "a/notes.txt", "b/2.wav"]
    assert left_out == []
    assert [is_audio(path) for path in files] == [True, False, True]


def test_links_are_followed_and_circles_end(tmp_path):
    (tmp_path / "data" / "a").mkdir(parents=True)
    (tmp_path / "data" / "a" / "1.wav").write_text("")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "2.wav").write_text("")
    (tmp_path / "data" / "b").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "data" / "same").symlink_to(tmp_path / "data" / "a")  # not a circle
    (tmp_path / "data" / "a" / "up").symlink_to(tmp_path / "data")
    (tmp_path / "elsewhere" / "self").symlink_to("self")
    (tmp_path / "data" / "gone").symlink_to(tmp_path / "nowhere")
    files, left_out = list_files(tmp_path / "data")
    assert [path.relative_to(tmp_path / "data").as_posix() for path in files] == ["a/1.wav", "b/2.wav", "same/1.wav"]
    reasons = dict(left_out)
    assert set(reasons) == {"a/up", "same/up", "b/self", "gone"}
    assert "a link to a folder that it is in" in reasons["a/up"]
    assert "cannot be opened" in reasons["gone"]


def test_tables_of_each_kind(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    import pyarrow

    rows = [{"file_name": "ä.wav", "text": 'one, "two"\nthree'}, {"file_name": "b.wav", "text": None}]
    for kind in ("jsonl", "csv", "parquet"):
        folder = tmp_path / kind
        folder.mkdir()
        path = folder / f"metadata.{kind}"
        if kind == "jsonl":
            path.write_text("\n\n".join(map(json.dumps, rows)) + "\n", encoding="utf-8")
        elif kind == "csv":
            text = 'file_name,text\nä.wav,"one, ""two""\nthree"\nb.wav,\n'
            path.write_text(text, encoding="utf-8-sig")  # as spreadsheets write it
        else:
            parquet.write_table(pyarrow.Table.from_pylist(rows), path)
        assert find_table(folder) == path
        assert read_table(path) == rows
    (tmp_path / "csv" / "metadata.jsonl").write_text("")
    with pytest.raises(ValueError, match="metadata.csv and metadata.jsonl; keep one"):
        find_table(tmp_path / "csv")
    assert find_table(tmp_path) is None


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b'{"a": 1}\n{"a": \n', "Line 2 of .*a.jsonl is no JSON object"),
        ("a.jsonl", b"[1]\n", "Line 1 of .*a.jsonl is no JSON object: it is a list"),
        ("a.jsonl", b"[" * 100000, "Line 1 of"),
        ("a.jsonl", b"\xff\xfe", "a.jsonl is not UTF-8"),
        ("a.csv", b"a,b\n1,2,3\n", "Line 2 of .*a.csv is no CSV: it has more values"),
        ("a.csv", b"\xff\xfe", "a.csv is not UTF-8"),
        ("a.parquet", b"no parquet", "a.parquet is no Parquet"),
    ],
)
def test_tables_that_cannot_be_read(tmp_path, name, content, message):
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_table(tmp_path / name)


def test_the_file_of_a_row(tmp_path):
    assert file_of_row({"file_name": "a", "path": "b"}, tmp_path) == "a"
    assert file_of_row({"path": "b"}, tmp_path) == "b"
    assert file_of_row({"audio_file_name": "c", "text": "x"}, tmp_path) == "c"
    with pytest.raises(ValueError, match="names no file"):
        file_of_row({"audio_file_name": "c", "target_file_name": "d"}, tmp_path)


def test_cells_of_undecoded_audio():
    assert stored_audio({"bytes": b"x", "path": None}) == b"x"
    assert stored_audio({"path": "a.wav"}) == Path("a.wav")
    for cell in ({"bytes": None, "path": None}, {"array": [0.0]}, None, "a.wav"):
        with pytest.raises(ValueError, match="has `bytes` or `path`"):
            stored_audio(cell)


def test_what_headers_say(tmp_path):
    sf.write(tmp_path / "a.flac", np.zeros((100, 2)), 22050)
    assert inspect_audio(tmp_path / "a.flac") == (100, 22050, 2)
    assert inspect_audio((tmp_path / "a.flac").read_bytes()) == (100, 22050, 2)
    write_whole_wav(tmp_path / "b.wav", np.zeros(50, np.float32), 8000)
    assert inspect_audio(tmp_path / "b.wav") == (50, 8000, 1)
    sf.write(tmp_path / "empty.wav", np.zeros(0), 16000)
    (tmp_path / "no.bytes").write_bytes(b"")
    (tmp_path / "text.wav").write_text("no audio, but text")
    for name, message in (("empty.wav", "no samples"), ("no.bytes", "is empty"), ("text.wav", "not audio")):
        with pytest.raises(ValueError, match=message) as error:
            inspect_audio(tmp_path / name)
        assert str(tmp_path / name) in str(error.value)
    with pytest.raises(FileNotFoundError):
        inspect_audio(tmp_path / "gone.wav")
