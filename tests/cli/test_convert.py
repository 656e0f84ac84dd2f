# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""`llm-codec convert`."""

import pytest
from original_checkpoints import command_line, conversion_inputs

from llm_codec_cli import main


def test_convert_passes_its_arguments_on(capsys, tmp_path, wav, cli):
    inputs = conversion_inputs("tiny", tmp_path)
    assert main(["convert", *command_line(inputs)]) == 0
    assert cli("words", wav(), model=inputs["output_dir"])[0] == 0
    capsys.readouterr()
    assert main(["convert", *command_line(inputs)]) == 1  # the folder is not empty
    assert capsys.readouterr().err.splitlines()[-1].startswith("llm-codec: error: ")
    with pytest.raises(SystemExit):
        main(["convert", "--no_such_option"])
