# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Fetch and unpack packages of Debian."""

import logging
import subprocess
import tempfile
from pathlib import Path

from llm_codec_hf.files.atomic import whole_folder

logger = logging.getLogger(__name__)


def fetch_package(package: str, packages_dir: Path | None, download_dir: Path) -> Path:
    """Find a package's archive, downloading it with apt-get where it is not there yet.

    Args:
        package: Debian package name.
        packages_dir: Folder looked into first.
        download_dir: Folder looked into next, and downloaded to.

    Returns:
        The path of the .deb file.
    """
    for folder in filter(None, (packages_dir, download_dir)):
        if found := sorted(folder.glob(f"{package}_*.deb")):
            return found[-1]
    logger.info("Downloading %s", package)
    download_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=download_dir) as folder:
        subprocess.run(["apt-get", "download", package], cwd=folder, check=True)
        archive = next(Path(folder).glob(f"{package}_*.deb"))
        return archive.rename(download_dir / archive.name)


def package_version(archive: Path) -> str:
    """Read the version a .deb file states."""
    command = ["dpkg-deb", "--field", str(archive), "Version"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def unpack(archive: Path, folder: Path) -> Path:
    """Unpack a .deb file into a folder unless the folder is there already.

    Args:
        archive: The .deb file.
        folder: Where its content goes.

    Returns:
        The folder.
    """
    if not folder.is_dir():
        logger.info("Unpacking %s", archive.name)
        with whole_folder(folder) as partial:
            subprocess.run(["dpkg-deb", "-x", str(archive), str(partial)], check=True)
    return folder
