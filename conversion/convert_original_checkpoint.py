# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Convert the original's checkpoint from a clone of the repository: what `llm-codec convert` does."""

from llm_codec_hf.conversion.convert import main

if __name__ == "__main__":
    main()
