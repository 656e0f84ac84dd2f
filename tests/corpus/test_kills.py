# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""A run that is killed at random, again and again, loses nothing and doubles nothing."""

import random
import shutil
import sys

import pytest
from corpus_kills import check_corpus, make_corpus, run_with_kills, tokenize_command

KILLS = 10


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="finds the workers in /proc")
def test_ten_kills(codec_dir, tmp_path):
    source, codes, rng, killed = tmp_path / "source", tmp_path / "codes", random.Random(0), 0
    bad = make_corpus(source, clips=120, bad=8)
    command = tokenize_command(source, codes, codec_dir, workers=2, task_seconds=10)
    while killed < KILLS:  # a run may end before all kills
        shutil.rmtree(codes, ignore_errors=True)
        counts = run_with_kills(command, codes, KILLS - killed, 1.0, tmp_path / "log.txt", rng)
        assert counts["workers"] + counts["parents"] > 0, "nothing was killed: is the run too short?"
        killed += counts["workers"] + counts["parents"]
        assert check_corpus(source, codes, bad, codec_dir) == 112
