# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
import pytest

from llm_codec_hf.files.markdown import markdown_table

ROWS = [["a|b", "1"], ["two\nlines", "1,000"]]


def test_tables():
    assert markdown_table(["name", "n"], ROWS) == (
        "| name | n |\n| --- | --- |\n| a\\|b | 1 |\n| two lines | 1,000 |"
    )  # fmt: skip
    assert markdown_table(["name", "n"], ROWS, left=1, padded=True) == (
        "| name      |     n |\n"
        "| --------- | ----: |\n"
        "| a\\|b      |     1 |\n"
        "| two lines | 1,000 |"
    )  # fmt: skip
    assert markdown_table(["n"], [["1"]], left=0) == "| n |\n| --: |\n| 1 |"
    assert markdown_table(["n"], [["1"]], left=0, padded=True) == "|   n |\n| --: |\n|   1 |"
    with pytest.raises(ValueError, match=r"A row has 1 cells, the table's header has 2: \['a'\]"):
        markdown_table(["name", "n"], [["a"]])
