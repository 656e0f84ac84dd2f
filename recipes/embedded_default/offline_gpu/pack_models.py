# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""
The models that a training needs, in half precision: the vocabulary of a codec, and Whisper's layers that it listens to.

    python pack_models.py RUN.yaml DICTIONARY AUDIO CARRY       # CARRY/vocabulary (22 MB) and CARRY/whisper (33 MB)
"""

import argparse
from pathlib import Path

from safetensors.torch import save_file
from transformers import WhisperConfig, WhisperModel

from llm_codec_hf.embedded.packaged_models import whisper_base_encoder
from llm_codec_hf.files.run_settings import read_fields
from llm_codec_hf.training.configuration import TrainingConfig
from llm_codec_hf.training.vocabulary import open_vocabulary

# a decoder that is as good as none: `AutoModel` makes one, and nobody asks it
NO_DECODER = {"decoder_layers": 1, "decoder_ffn_dim": 8, "vocab_size": 8, "max_target_positions": 4}
IDS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1}


def pack_vocabulary(config: TrainingConfig, folder: Path) -> None:
    """The entries' embeddings in float16."""
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = open_vocabulary(config)
    vocabulary.word_table, vocabulary.token_table = vocabulary.word_table.half(), vocabulary.token_table.half()
    vocabulary.save(folder)


def pack_whisper(layers: int, folder: Path) -> None:
    """Whisper base's encoder up to a layer, in float16; the layers after it are drawn anew where it is loaded."""
    encoder = whisper_base_encoder()
    model = WhisperModel(WhisperConfig(**{**encoder.config.to_dict(), **NO_DECODER, **IDS}))
    model.encoder.load_state_dict(encoder.state_dict())
    later = tuple(f"encoder.layers.{number}." for number in range(layers, encoder.config.encoder_layers))
    kept = {name: value.half() for name, value in model.state_dict().items() if not name.startswith(later)}
    model.config.save_pretrained(folder)
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})


def main() -> None:
    """Pack them."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[1])
    parser.add_argument("run", type=Path)
    parser.add_argument("dictionary")
    parser.add_argument("audio")
    parser.add_argument("carry", type=Path)
    args = parser.parse_args()
    fields = read_fields(args.run, TrainingConfig)
    config = TrainingConfig.from_dict(
        fields | {"dictionary": args.dictionary, "data": args.audio, "output_dir": str(args.carry)}
    )
    pack_vocabulary(config, args.carry / "vocabulary")
    pack_whisper(max(*config.feature_layers, *config.head_layers), args.carry / "whisper")


if __name__ == "__main__":
    main()
