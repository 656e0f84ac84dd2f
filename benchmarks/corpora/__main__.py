# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""`python -m benchmarks.corpora`."""

from .run import main

if __name__ == "__main__":
    main()
