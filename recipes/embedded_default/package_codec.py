# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""
Puts a trained codec where the package ships it:

    python recipes/embedded_default/package_codec.py RUN/codec llm_codec_hf/embedded/codec [--audio_dir AUDIO/eval]

JSON is copied, and so are the weights: the networks' in float16, which halves them, and the codebooks as they are. With
`--audio_dir` it says how many codes of that audio the rounding changes. The code beside them, with which a copy of
the folder loads without the package, is the package's own: links to its files, which wheels hold as files. The card is
written by hand.
"""

import argparse
import json
import logging
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from llm_codec_hf import LLMCodecModel
from llm_codec_hf.audio_llm_codec import read_audio
from llm_codec_hf.files.atomic import whole_file

logger = logging.getLogger(__name__)

WEIGHTS = "model.safetensors"
OF_A_PLACE = ("is_local", "local_files_only")


def link_code(package_dir: Path) -> None:
    """Links to all files that travel with a codec: those at the root of the package."""
    for path in package_dir.glob("*.py"):
        path.unlink()
    for path in sorted(package_dir.resolve().parents[1].glob("*.py")):
        if path.stem != "__init__":
            (package_dir / path.name).symlink_to(Path("..") / ".." / path.name)


def copy_weights(codec: Path, package_dir: Path) -> None:
    """The weights, all but the codebooks in float16: an entry that was rounded would be another entry."""
    tensors = load_file(codec / WEIGHTS)
    tensors = {name: value if name.startswith("quantizer.") else value.half() for name, value in tensors.items()}
    with whole_file(package_dir / WEIGHTS) as file:
        save_file(tensors, file, metadata={"format": "pt"})


@torch.inference_mode()
def changed_codes(codec: Path, package_dir: Path, audio_dir: Path) -> tuple[int, int]:
    """How many codes of a folder's audio differ between the two codecs, and how many there are."""
    models = [LLMCodecModel.from_pretrained(folder, dtype=torch.float32).eval() for folder in (codec, package_dir)]
    changed = total = 0
    for path in sorted(path for path in audio_dir.rglob("*") if path.suffix in (".flac", ".wav")):
        audio = torch.from_numpy(read_audio(path, models[0].config.sampling_rate).samples)[None]
        one, other = (model.encode(audio).audio_codes for model in models)
        changed, total = changed + int((one != other).sum()), total + one.numel()
    return changed, total


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("codec", type=Path)
    parser.add_argument("package_dir", type=Path)
    parser.add_argument("--audio_dir", type=Path, help="audio on which the codes before and after are compared")
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
        elif path.name != WEIGHTS and path.suffix not in (".py", ".md"):
            shutil.copyfile(path, args.package_dir / path.name)
    copy_weights(args.codec, args.package_dir)
    link_code(args.package_dir)
    if args.audio_dir:
        changed, total = changed_codes(args.codec, args.package_dir, args.audio_dir)
        logging.basicConfig(level=logging.INFO, format="%(message)s")
        logger.info("%d of %d codes differ from those of %s.", changed, total, args.codec)


if __name__ == "__main__":
    main()
