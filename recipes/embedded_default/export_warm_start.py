# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""
A codec of averaged weights that came back from another machine.

    python recipes/embedded_default/export_warm_start.py recipes/embedded_default/warm_start AUDIO/train CODEC

The settings are those of `train_gpu.yaml`; the audio is only listed, for the card.
"""

import argparse
import logging
import shutil
import tempfile
from pathlib import Path

from llm_codec_hf.files.run_settings import read_fields
from llm_codec_hf.training.building import export, make_trainer
from llm_codec_hf.training.configuration import TrainingConfig

logger = logging.getLogger(__name__)


def main() -> None:
    """Export it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[1])
    parser.add_argument("warm_start", type=Path)
    parser.add_argument("audio", type=Path)
    parser.add_argument("codec", type=Path)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    with tempfile.TemporaryDirectory() as run:
        shutil.copyfile(args.warm_start / "log.jsonl", Path(run) / "log.jsonl")  # the card reads it
        fields = read_fields(Path(__file__).with_name("train_gpu.yaml"), TrainingConfig)
        changed = {
            "data": str(args.audio),
            "init_from": str(args.warm_start),
            "output_dir": run,
            "mixed_precision": "no",
        }
        trainer, vocabulary = make_trainer(TrainingConfig.from_dict(fields | changed))
        trainer.averages.put()
        logger.info("%s", export(trainer, vocabulary, args.codec))


if __name__ == "__main__":
    main()
