# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""JSON without NaN."""

import json
import math

from llm_codec_hf.files.strict_json import to_json


def test_what_json_has_no_number_for_is_null():
    value = {"a": [1, math.nan, (-math.inf, 0.5)], "ü": {"b": math.inf}, "c": None, "d": True}
    text = to_json(value)
    assert text == '{"a": [1, null, [null, 0.5]], "ü": {"b": null}, "c": null, "d": true}'
    assert json.loads(to_json(value, indent=2)) == json.loads(text)
