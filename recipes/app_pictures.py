# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""
The pictures of the app in `docs/pictures`, as Chromium shows it:

    python recipes/app_pictures.py
"""

import sys
import tempfile
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests" / "app"))
WIDTH, COLORS = 900, 96  # in pixels, and of a palette: they keep the files small

from driving import running_app, visitors  # noqa: E402


def main() -> None:
    folder = ROOT / "docs" / "pictures"
    folder.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as temporary,
        running_app(folder=Path(temporary)) as (address, _),
        visitors(address) as new,
    ):
        for name in ("listen", "classify", "speak", "compare"):
            visitor = new()
            getattr(visitor, name)()
            visitor.page.wait_for_timeout(2000)  # waveforms are drawn
            path = folder / f"app_{name}.png"
            visitor.page.screenshot(path=path, full_page=True)
            picture = Image.open(path).convert("RGB")
            picture = picture.resize((WIDTH, picture.height * WIDTH // picture.width), Image.Resampling.LANCZOS)
            picture.quantize(COLORS, dither=Image.Dither.NONE).save(path, optimize=True)


if __name__ == "__main__":
    main()
