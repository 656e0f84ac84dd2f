# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""
Puts a trained codec where the package ships it:

    python recipes/embedded_default/package_codec.py RUN/codec llm_codec_hf/embedded/codec

Weights and JSON are copied. The code beside them, with which a copy of the folder loads without the package, is the
package's own: links to its files, which wheels hold as files. The card there is written by hand.
"""

import argparse
import json
import shutil
from pathlib import Path

OF_A_PLACE = ("is_local", "local_files_only")


def link_code(package_dir: Path) -> None:
    """Links to all files that travel with a codec: those at the root of the package."""
    for path in package_dir.glob("*.py"):
        path.unlink()
    for path in sorted(package_dir.resolve().parents[1].glob("*.py")):
        if path.stem != "__init__":
            (package_dir / path.name).symlink_to(Path("..") / ".." / path.name)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("codec", type=Path)
    parser.add_argument("package_dir", type=Path)
    args = parser.parse_args(argv)
    args.package_dir.mkdir(parents=True, exist_ok=True)
    for path in args.codec.iterdir():
        if path.suffix == ".json":
            content = json.loads(path.read_text(encoding="utf-8"))
            for part in (content, content.get("feature_extractor", {})):
                for key in OF_A_PLACE:
                    part.pop(key, None)
            separators = (",", ":") if path.stat().st_size > 10_000 else None
            text = json.dumps(content, ensure_ascii=False, indent=None if separators else 2, separators=separators)
            (args.package_dir / path.name).write_text(text + "\n", encoding="utf-8")
        elif path.suffix not in (".py", ".md"):
            shutil.copyfile(path, args.package_dir / path.name)
    link_code(args.package_dir)


if __name__ == "__main__":
    main()
