# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""
Puts a trained codec where the package ships it:

    python recipes/embedded_default/package_codec.py RUN/codec llm_codec_hf/embedded/codec

Weights and JSON alone: the package has the code, and a copy of it would grow old. The card there is written by hand.
"""

import argparse
import json
import shutil
from pathlib import Path

OF_THE_CODE = ("auto_map", "custom_pipelines", "is_local", "local_files_only")


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
                for key in OF_THE_CODE:
                    part.pop(key, None)
            separators = (",", ":") if path.stat().st_size > 10_000 else None
            text = json.dumps(content, ensure_ascii=False, indent=None if separators else 2, separators=separators)
            (args.package_dir / path.name).write_text(text + "\n", encoding="utf-8")
        elif path.suffix not in (".py", ".md"):
            shutil.copyfile(path, args.package_dir / path.name)


if __name__ == "__main__":
    main()
