# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""
The app in the browser, `llm-codec app`: hear a codec, let a language model name sounds and make some.

What a tab computes stands in a module of its own, without Gradio: `listening`, `classifying`, `speaking`,
`comparing`. The modules that end in `_tab` show it.
"""

from ..extras import require

require("app", "The app", "gradio")
