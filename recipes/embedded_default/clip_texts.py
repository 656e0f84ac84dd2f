# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Read what is said, or played, in the clips of Debian's packages: a reader per way in which packages say so.

A reader takes the folder of the package with the texts and the folder that the clips' paths are relative to. It returns
a function from such a path to the text, or to None where there is none.
"""

import html
import re
from collections.abc import Callable
from pathlib import Path


def file_name_texts(text_root: Path, root: Path) -> Callable[[Path], str | None]:
    """Take a clip's file name for its text; close to what is said in English prompts, a label elsewhere."""
    return lambda relative: re.sub(r"[-_\s]+", " ", relative.stem).strip()


def festival_texts(text_root: Path, root: Path) -> Callable[[Path], str | None]:
    """Read a Festival voice's prompts, `( id "text" )`, without their stress marks (+)."""
    lines = (root.parent / "etc" / "txt.done.data").read_text(encoding="utf-8")
    texts = {key: text.replace("+", "") for key, text in re.findall(r'^\(\s*(\S+)\s+"(.*)"\s*\)', lines, re.MULTILINE)}
    return lambda relative: texts.get(relative.stem)


def kit_texts(text_root: Path, root: Path) -> Callable[[Path], str | None]:
    """Read the instrument each file of a Hydrogen kit plays, from the kit's drumkit.xml."""
    texts = {}
    for path in root.glob("*/drumkit.xml"):
        name = None
        for tag, value in re.findall(r"<(name|filename)>(.*?)</", path.read_text(encoding="utf-8", errors="replace")):
            if tag == "name":
                name = html.unescape(value).strip()
            else:
                texts.setdefault((path.parent.name, html.unescape(value)), name)
    return lambda relative: texts.get((relative.parent.name, relative.name))


def sphinx_texts(text_root: Path, root: Path) -> Callable[[Path], str | None]:
    """Read CMU Sphinx transcriptions, `<s> text </s> (id)`, one file a folder."""
    texts = {}
    for path in root.glob("*/*transcription"):
        for text, key in re.findall(r"^<s>\s*(.*?)\s*</s>\s*\((.+)\)", path.read_text(encoding="utf-8"), re.MULTILINE):
            texts[path.parent.name, key] = text
    return lambda relative: texts.get((relative.parent.name, relative.stem))


def fillets_texts(text_root: Path, root: Path) -> Callable[[Path], str | None]:
    """Read the Lua dialogues of Fish Fillets: `dialogId("id", ...)` followed by `dialogStr("text")`, no %1 in it."""
    texts = {}
    for path in (text_root / "usr/share/games/fillets-ng/script").glob("*/*dialogs_*.lua"):
        language = path.stem.partition("dialogs_")[2]
        lines = path.read_text(encoding="utf-8")
        for key, text in re.findall(r'dialogId\("([^"]+)".*\)\s*dialogStr\("((?:[^"\\%]|\\.)*)"\)', lines):
            texts[path.parent.name, language, key] = text.replace('\\"', '"')
    return lambda relative: texts.get((*relative.parts[:2], relative.stem))


def stamps_texts(text_root: Path, root: Path) -> Callable[[Path], str | None]:
    """Read Tux Paint's names: frog_desc_fr.ogg speaks the line `fr.utf8=` of frog.txt, frog_desc.ogg its first."""

    def read(relative: Path) -> str | None:
        name, spoken, language = relative.stem.partition("_desc")
        path = (root / relative).with_name(f"{name}.txt")
        if not spoken or not path.is_file():
            return None
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        if not language:
            return lines[0].strip() if lines else None
        start = f"{language.removeprefix('_')}.utf8="
        return next((line.removeprefix(start).strip() for line in lines if line.startswith(start)), None)

    return read


def klettres_texts(text_root: Path, root: Path) -> Callable[[Path], str | None]:
    """Read KLettres' letters, `<sound name="A" file="fr/alpha/a-0.ogg" />`, from each language's sounds.xml."""
    texts = {}
    for path in root.glob("*/sounds.xml"):
        for name, file in re.findall(r'<sound name="([^"]+)" file="([^"]+)"', path.read_text(encoding="utf-8")):
            texts[file] = html.unescape(name)
    return lambda relative: texts.get(relative.as_posix())


TEXT_READERS: dict[str, Callable[[Path, Path], Callable[[Path], str | None]]] = {
    "file_name": file_name_texts,
    "festival": festival_texts,
    "kit": kit_texts,
    "sphinx": sphinx_texts,
    "fillets": fillets_texts,
    "stamps": stamps_texts,
    "klettres": klettres_texts,
}
