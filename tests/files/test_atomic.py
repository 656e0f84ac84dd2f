# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Files and folders that are whole or as they were before, also when the process is killed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from llm_codec_hf.files.atomic import whole_file, whole_folder, write_whole

ATOMIC = Path(sys.modules["llm_codec_hf.files.atomic"].__file__)


def killed_while_writing(block: str, path: Path) -> None:
    """Runs a block of `whole_file` or `whole_folder` in a process that is killed in it."""
    script = f"import runpy; made = runpy.run_path({str(ATOMIC)!r})\n{block}"
    result = subprocess.run([sys.executable, "-c", script, str(path)], timeout=60)
    assert result.returncode == -signal.SIGKILL


def test_a_file_is_complete_or_as_before(tmp_path):
    path = tmp_path / "new" / "file.txt"
    write_whole(path, "one ä")
    assert path.read_text(encoding="utf-8") == "one ä"
    write_whole(path, b"two")
    with pytest.raises(KeyboardInterrupt), whole_file(path) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert path.read_bytes() == b"two"
    assert os.listdir(path.parent) == ["file.txt"]


def test_a_file_is_as_readable_as_others(tmp_path):
    write_whole(tmp_path / "whole", "x")
    (tmp_path / "plain").write_text("x")
    assert (tmp_path / "whole").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_names_at_the_limit(tmp_path):
    for name in ("n" * 255, "ä" * 127, "\udcff.txt"):
        write_whole(tmp_path / name, "x")
        with whole_folder(tmp_path / "folder" / name) as temporary:
            (temporary / "file").write_text("x")
        assert (tmp_path / name).read_text() == (tmp_path / "folder" / name / "file").read_text() == "x"


def test_links_are_followed_and_devices_stay(tmp_path):
    write_whole(tmp_path / "file", "old")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    write_whole(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_text() == "new"
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    write_whole(tmp_path / "pipe", "through")
    assert os.read(reader, 100) == b"through"
    os.close(reader)
    assert (tmp_path / "pipe").is_fifo()
    with pytest.raises(IsADirectoryError, match="is a folder"):
        write_whole(tmp_path, "x")


def test_two_writers_of_one_file_do_not_meet(tmp_path):
    with whole_file(tmp_path / "file") as one, whole_file(tmp_path / "file") as other:
        assert one != other
        one.write_text("one")
        other.write_text("other")
    assert (tmp_path / "file").read_text() == "one"  # whose block ended last
    assert os.listdir(tmp_path) == ["file"]


def test_what_a_killed_process_left_is_collected(tmp_path):
    path = tmp_path / "file"
    write_whole(path, "before")
    block = (
        "import os, sys\nwith made['whole_file'](sys.argv[1]) as temporary:\n"
        "    temporary.write_text('half'); os.kill(os.getpid(), 9)"
    )
    killed_while_writing(block, path)
    assert path.read_text() == "before"
    assert len(os.listdir(tmp_path)) == 2
    with whole_file(path) as at_work:
        at_work.write_text("after")
        write_whole(path, "meanwhile")
        assert at_work.exists()  # of a process that lives, if only this one
    assert path.read_text() == "after"
    assert os.listdir(tmp_path) == ["file"]


def test_a_folder_is_complete_or_as_before(tmp_path):
    folder = tmp_path / "deep" / "folder"
    with pytest.raises(ValueError, match="stop"), whole_folder(folder) as temporary:
        (temporary / "a").write_text("x")
        raise ValueError("stop")
    assert os.listdir(folder.parent) == []
    folder.mkdir()  # an empty one is none
    with whole_folder(folder) as temporary:
        (temporary / "sub").mkdir()
        (temporary / "sub" / "a").write_text("x")
    assert (folder / "sub" / "a").read_text() == "x"
    with pytest.raises(FileExistsError, match="not empty"), whole_folder(folder):
        pass
    with whole_folder(folder, overwrite=True) as temporary:
        (temporary / "b").write_text("y")
    assert os.listdir(folder) == ["b"]
    with pytest.raises(ValueError, match="stop"), whole_folder(folder, overwrite=True):
        raise ValueError("stop")
    assert os.listdir(folder) == ["b"]
    assert os.listdir(folder.parent) == ["folder"]
    (tmp_path / "file").write_text("x")
    with pytest.raises(FileExistsError, match="is a file"), whole_folder(tmp_path / "file", overwrite=True):
        pass


def test_of_two_writers_of_a_new_folder_the_second_is_told(tmp_path):
    with pytest.raises(FileExistsError), whole_folder(tmp_path / "folder") as slow:
        (slow / "a").write_text("slow")
        with whole_folder(tmp_path / "folder") as fast:
            (fast / "a").write_text("fast")
    assert (tmp_path / "folder" / "a").read_text() == "fast"
    assert os.listdir(tmp_path) == ["folder"]


@pytest.mark.parametrize("renames", [0, 1])
def test_a_folder_survives_a_kill(tmp_path, renames):
    """Killed before the new folder is complete, and between the two renames of its replacement."""
    folder = tmp_path / "folder"
    with whole_folder(folder) as temporary:
        (temporary / "a").write_text("before")
    block = (
        "import os, sys\nrename, done = os.rename, []\n"
        "def patched(*args):\n"
        f"    if len(done) == {renames}: os.kill(os.getpid(), 9)\n"
        "    done.append(1); rename(*args)\n"
        "os.rename = patched\n"
        "with made['whole_folder'](sys.argv[1], overwrite=True) as temporary:\n    (temporary / 'b').write_text('half')"
    )
    killed_while_writing(block, folder)
    with pytest.raises(ZeroDivisionError), whole_folder(folder, overwrite=True):
        assert (folder / "a").read_text() == "before"
        1 / 0  # noqa: B018
    assert os.listdir(tmp_path) == ["folder"]
    assert (folder / "a").read_text() == "before"
