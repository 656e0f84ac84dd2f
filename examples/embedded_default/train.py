# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""
Trains the embedded default: a small codec whose codebooks are SmolLM2-135M's token embeddings.

    python examples/embedded_default/prepare_audio.py --output_dir AUDIO
    python examples/embedded_default/train.py --data_dir AUDIO/train --dictionary /usr/share/dict/american-english \
        --output_dir RUN --max_minutes 90

An interrupted run is resumed by the same command. `RUN/log.jsonl` holds the losses and the entries in use;
`RUN/codec` is written at the end: the codec, its processor and the code to load it.
"""

import argparse
import logging
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging as transformers_logging

from llm_codec_hf import LLMCodecConfig, LLMCodecFeatureExtractor, LLMCodecModel, LLMCodecProcessor
from llm_codec_hf.embedded import default_language_model
from llm_codec_hf.training.codebooks import ProjectedCodebooks, single_token_words
from llm_codec_hf.training.trainer import Trainer, TrainingConfig

NUM_WORDS = 4096  # layer 0: dictionary words of at least four letters
NUM_TOKENS = 8192  # layers 1 and 2: any tokens that begin a word; 8 MB a layer in the checkpoint


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_dir", required=True)
    parser.add_argument("--output_dir", required=True)
    parser.add_argument("--dictionary", required=True, help="a word a line, such as Debian's wamerican")
    parser.add_argument("--language_model", help="id or folder; by default the embedded default's")
    parser.add_argument("--max_minutes", type=float, default=90)
    parser.add_argument("--max_steps", type=int, default=100_000)
    parser.add_argument("--quantize_after", type=int, default=400)
    parser.add_argument("--export_only", action="store_true", help="export the checkpoint without training on")
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    transformers_logging.set_verbosity_info()

    folder = args.language_model or default_language_model()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    embeddings = AutoModelForCausalLM.from_pretrained(folder, dtype="float32").get_input_embeddings().weight.detach()
    dictionary = Path(args.dictionary).read_text(encoding="utf-8").split()
    words = {word: id for word, id in single_token_words(tokenizer, dictionary).items() if len(word) >= 4}
    words = dict(list(words.items())[:NUM_WORDS])
    tokens = list(single_token_words(tokenizer).values())[:NUM_TOKENS]

    torch.manual_seed(0)
    config = LLMCodecConfig(encoder_dim=16, decoder_dim=384, codebook_sizes=[NUM_WORDS, NUM_TOKENS, NUM_TOKENS])
    codebooks = ProjectedCodebooks(
        [embeddings[list(words.values())], embeddings[tokens], embeddings[tokens]], config.latent_dim
    )
    trainer = Trainer(
        LLMCodecModel(config),
        codebooks,
        TrainingConfig(
            data_dir=args.data_dir,
            output_dir=args.output_dir,
            windows=4,
            batch_size=4,
            max_minutes=args.max_minutes,
            max_steps=args.max_steps,
            quantize_after=args.quantize_after,
            compile=True,
        ),
    )
    if args.export_only:
        trainer.load()
    else:
        trainer.train()
    codec = Path(args.output_dir) / "codec"
    trainer.fold().save_pretrained(codec)
    processor = LLMCodecProcessor(
        LLMCodecFeatureExtractor(sampling_rate=config.sampling_rate),
        tokenizer,
        words=[f" {word}" for word in words],  # as this tokenizer writes a word inside a sentence
        token_ids=[list(words.values()), tokens, tokens],
        vq_strides=config.vq_strides,
    )
    processor.save_pretrained(codec)
    logging.info("Wrote %s.", codec)


if __name__ == "__main__":
    main()
