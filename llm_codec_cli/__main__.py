# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""`python -m llm_codec_cli`, which `accelerate launch` and `torchrun` start too: `llm-codec` as a module."""

import sys

from . import main

if __name__ == "__main__":
    sys.exit(main())
