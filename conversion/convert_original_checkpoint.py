# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""
Converts a checkpoint of the original LLM-Codec to a folder that `from_pretrained` loads; what `llm-codec convert` does.

    python -m conversion.convert_original_checkpoint --checkpoint_path semantic_acoustic.pth \
        --config_path config.yaml --words_path layer1.npy --tokenizer tokenizer.model --output_dir llm-codec
"""

import argparse
from collections.abc import Sequence

from llm_codec_cli import convert


def main(argv: Sequence[str] | None = None) -> None:
    """Converts a checkpoint; `argv` are the arguments, those of the process by default."""
    parser = argparse.ArgumentParser(
        prog="python -m conversion.convert_original_checkpoint", description=f"{convert.TITLE} {convert.DETAILS}"
    )
    convert.add_arguments(parser)
    try:
        convert.run(parser.parse_args(argv))
    except (ValueError, OSError, ImportError) as error:
        raise SystemExit(f"error: {error}") from error


if __name__ == "__main__":
    main()
