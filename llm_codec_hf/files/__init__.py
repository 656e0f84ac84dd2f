# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Files: written whole or not at all, codes of a clip, the folder of a codec."""
