# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""
Files and folders that are whole or as they were before.

What is written has a temporary name beside its own, which names the process that writes. When it is complete it is on
the disk (fsync) and takes its own name in one step (rename). An error or an interrupt removes it; what a killed process
left is removed by whoever writes the same file or folder next, or collects what is left in the folder around it.
"""

import contextlib
import itertools
import os
import platform
import re
import shutil
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

ABANDONED_AFTER = 24 * 3600  # seconds; for what other machines left, whose processes cannot be asked

_counter = itertools.count()
_TEMPORARY = re.compile(r"\..{1,40}\.[0-9a-f]{8}\.([0-9a-f]{8})\.(\d+)\.\d+\.tmp", re.DOTALL)  # machine and process


def write_whole(path: str | os.PathLike, content: str | bytes) -> None:
    """
    Writes a file: afterwards it has all of the content, or is as it was before.

    Args:
        path: The file; its folder is made if it is not there.
        content: Text is written as UTF-8.
    """
    with whole_file(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


@contextlib.contextmanager
def whole_file(path: str | os.PathLike) -> Iterator[Path]:
    """
    A file that is complete or as it was before.

    Args:
        path: The file; its folder is made if it is not there, and a link is followed. What is no regular file, such as
            `/dev/stdout` or a named pipe, is written to directly.

    Yields:
        The temporary path to write to. It becomes the file where the block ends without an error.

    Raises:
        IsADirectoryError: Where the path is a folder.
    """
    path = Path(os.path.realpath(path))
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; give the name of a file.")
    if path.exists() and not path.is_file():
        yield path
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    _collect(path)
    temporary = path.with_name(_temporary_name(path))
    try:
        yield temporary
        _sync(temporary)
        os.replace(temporary, path)
        _sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def whole_folder(path: str | os.PathLike, overwrite: bool = False) -> Iterator[Path]:
    """
    A folder that is complete or as it was before.

    Args:
        path: The folder; the one that holds it is made if it is not there. An empty one counts as none.
        overwrite: Whether the new folder takes the place of one that is there, rather than being refused.

    Yields:
        A temporary folder, empty, to write to. It becomes the folder where the block ends without an error.

    Raises:
        FileExistsError: Where the path exists, is not an empty folder, and is not to be overwritten; also where another
            process was faster.
    """
    path = Path(os.path.realpath(path))
    _check_free(path, overwrite)
    path.parent.mkdir(parents=True, exist_ok=True)
    _collect(path)
    temporary = path.with_name(_temporary_name(path))
    temporary.mkdir()
    try:
        yield temporary
        for parent, _, names in os.walk(temporary):
            for path_below in (os.path.join(parent, name) for name in names):
                if os.path.isfile(path_below) and not os.path.islink(path_below):
                    _sync(path_below)
            _sync(parent)
        _check_free(path, overwrite)
        _take_place(temporary, path)
        _sync(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def collect_folder(folder: str | os.PathLike) -> None:
    """
    Removes what killed processes left of files and folders that they were writing into a folder.

    A former folder that was about to be replaced stays, until the one that took its place is written again.

    Args:
        folder: The folder; those in it are not looked at.
    """
    for name in os.listdir(folder):
        if found := _TEMPORARY.fullmatch(name):
            left = Path(folder, name)
            with contextlib.suppress(OSError):
                if not _is_at_work(found[1], int(found[2]), left):
                    _remove(left)


def _check_free(folder: Path, overwrite: bool) -> None:
    if folder.is_dir():
        if not overwrite and any(folder.iterdir()):
            raise FileExistsError(f"{folder} exists and is not empty; give another folder, or remove it.")
    elif folder.exists():
        raise FileExistsError(f"{folder} is a file; give the name of a folder.")


def _take_place(temporary: Path, folder: Path) -> None:
    """Renames a folder; one of that name is moved away first and then removed. (No system renames over a full one.)"""
    former = None
    if folder.is_dir():
        if any(folder.iterdir()):
            former = folder.with_name(_temporary_name(folder, ".former"))
            os.rename(folder, former)
        else:
            folder.rmdir()
    try:
        os.rename(temporary, folder)
    except OSError as error:
        if former is not None and not folder.exists():
            os.rename(former, folder)
        if folder.is_dir():
            raise FileExistsError(f"{folder} was written by another process at the same time.") from error
        raise
    if former is not None:
        shutil.rmtree(former, ignore_errors=True)


def _temporary_name(path: Path, kind: str = "") -> str:
    """A hidden name that no other process and no other file has, and that is no longer than names may be."""
    return f"{_prefix(path)}{_machine()}.{os.getpid()}.{next(_counter)}{kind}.tmp"


def _prefix(path: Path) -> str:
    return f".{path.name[:40]}.{zlib.crc32(path.name.encode(errors='surrogateescape')):08x}."


def _machine() -> str:
    return f"{zlib.crc32(platform.node().encode()):08x}"


def _collect(path: Path) -> None:
    """Removes what killed processes left of a file or folder, or restores what one was about to replace."""
    prefix = _prefix(path)
    for name in os.listdir(path.parent):
        if not (name.startswith(prefix) and name.endswith(".tmp")):
            continue
        left = path.parent / name
        machine, pid, *_ = name[len(prefix) :].split(".")
        with contextlib.suppress(OSError, ValueError):
            if _is_at_work(machine, int(pid), left):
                continue
            if ".former." in name and not path.exists():
                os.rename(left, path)
            else:
                _remove(left)


def _remove(left: Path) -> None:
    if left.is_dir() and not left.is_symlink():
        shutil.rmtree(left)
    else:
        left.unlink()


def _is_at_work(machine: str, pid: int, left: Path) -> bool:
    """Whether the process that writes under a temporary name may still do so."""
    if machine != _machine() or os.name != "posix":  # elsewhere, `os.kill` would end the process
        return time.time() - left.stat().st_mtime < ABANDONED_AFTER
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _sync(path: str | os.PathLike) -> None:
    """Has a file, or the names in a folder, written to the disk, where the system can."""
    is_folder = os.path.isdir(path)
    if is_folder and os.name != "posix":
        return
    descriptor = os.open(path, os.O_RDONLY if is_folder else os.O_RDWR)
    try:
        os.fsync(descriptor)
    except OSError:
        if not is_folder:  # some file systems cannot for folders
            raise
    finally:
        os.close(descriptor)


__all__ = ["collect_folder", "whole_file", "whole_folder", "write_whole"]
