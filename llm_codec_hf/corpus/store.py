# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""The folder that a run writes, here or behind an URL: files in it are whole or absent."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout
from fsspec.core import url_to_fs

from ..files.atomic import collect_folder, whole_file


class Store:
    """
    A folder of whole files. In a local one a file is written under a temporary name, synced and renamed. Elsewhere it
    is written here and then uploaded as one; the file systems of `fsspec` show an upload when it is complete.

    Args:
        root: The folder, or its URL, such as `hf://datasets/me/codes`.

    Attributes:
        is_local (`bool`): Whether it is a folder of this machine, or of one that is mounted.
    """

    def __init__(self, root: str):
        self.root = root
        self.is_local = "://" not in root or root.startswith("file://")
        self._files, self._path = url_to_fs(root)

    def path(self, name: str) -> str:
        """A file's path in the file system of the store."""
        return f"{self._path.rstrip('/')}/{name}"

    def url(self, name: str) -> str:
        """A file's path or URL, as other libraries take it."""
        return f"{self.root.rstrip('/')}/{name}"

    @contextlib.contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        """
        A local path to write a file to, which is in the store where the block ends without an error.

        Args:
            name: Its name in the store.

        Raises:
            OSError: Where it cannot be written, as on a full disk; then it is as it was before.
        """
        if self.is_local:
            with whole_file(self.path(name)) as temporary:
                yield temporary
            return
        with tempfile.TemporaryDirectory() as folder:
            temporary = Path(folder, Path(name).name)
            yield temporary
            self._files.makedirs(self.path(name).rpartition("/")[0], exist_ok=True)
            self._files.put_file(str(temporary), self.path(name))

    def write(self, name: str, content: str | bytes) -> None:
        """Writes a file, whole or not at all; text as UTF-8."""
        with self.writing(name) as path:
            path.write_bytes(content.encode() if isinstance(content, str) else content)

    def read(self, name: str) -> bytes | None:
        """The content of a file; None where there is none."""
        try:
            return self._files.cat_file(self.path(name))
        except FileNotFoundError:
            return None

    def open(self, name: str):
        """Opens a file for reading bytes."""
        return self._files.open(self.path(name), "rb")

    def names(self, folder: str) -> list[str]:
        """The names of the files directly in a folder of the store, sorted; hidden ones are no part of it."""
        try:
            found = self._files.ls(self.path(folder), detail=False, refresh=True)
        except TypeError:  # file systems without a cache
            found = self._files.ls(self.path(folder), detail=False)
        except FileNotFoundError:
            return []
        names = (Path(path).name for path in found)
        return sorted(name for name in names if not name.startswith("."))

    def remove(self, name: str) -> None:
        """Removes a file, if it is there."""
        with contextlib.suppress(FileNotFoundError):
            self._files.rm_file(self.path(name))

    @contextlib.contextmanager
    def alone(self, name: str) -> Iterator[None]:
        """
        A block that one process at a time may be in, where the store is local; the system ends it with the process.

        Args:
            name: Of the lock.

        Raises:
            ValueError: If another process is in it.
        """
        if not self.is_local:
            yield
            return
        path = Path(self.path(name))
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(path, timeout=0):
                yield
        except Timeout as error:
            raise ValueError(f"Another process works on {self.root}; wait until it has ended.") from error

    def collect(self, *folders: str) -> None:
        """Removes what killed processes left in folders of the store that they were writing to."""
        for folder in folders if self.is_local else ():
            with contextlib.suppress(FileNotFoundError):
                collect_folder(self.path(folder))


__all__ = ["Store"]
