# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""
Trains the embedded default: a small codec whose codebooks are SmolLM2-135M's token embeddings.

    python examples/embedded_default/prepare_audio.py --output_dir AUDIO
    python examples/embedded_default/train.py --data_dir AUDIO/train --dictionary /usr/share/dict/american-english \
        --output_dir RUN --max_minutes 90

An interrupted run is resumed by the same command. `RUN/log.jsonl` holds the losses and the entries in use;
`RUN/codec` is written at the end: the codec, its processor and the code to load it. With `--package_dir
llm_codec_hf/embedded_default` the package's own copy is replaced.
"""

import argparse
import json
import logging
import shutil
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging as transformers_logging

from llm_codec_hf import LLMCodecConfig, LLMCodecFeatureExtractor, LLMCodecModel, LLMCodecProcessor, save_codec
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
    parser.add_argument("--package_dir", type=Path, help="where to put the codec as the package ships it")
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
    processor = LLMCodecProcessor(
        LLMCodecFeatureExtractor(sampling_rate=config.sampling_rate),
        tokenizer,
        words=[f" {word}" for word in words],  # as this tokenizer writes a word inside a sentence
        token_ids=[list(words.values()), tokens, tokens],
        vq_strides=config.vq_strides,
    )
    save_codec(trainer.fold(), processor, codec)
    logging.info("Wrote %s.", codec)
    if args.package_dir:
        copy_without_code(codec, args.package_dir)


def copy_without_code(codec: Path, package_dir: Path) -> None:
    """Copies weights and JSON; the package has the code, and a copy of it would grow old."""
    package_dir.mkdir(parents=True, exist_ok=True)
    for path in codec.iterdir():
        if path.suffix == ".json":
            content = json.loads(path.read_text(encoding="utf-8"))
            for part in (content, content.get("feature_extractor", {})):
                for key in ("auto_map", "custom_pipelines", "is_local", "local_files_only"):
                    part.pop(key, None)
            separators = (",", ":") if path.stat().st_size > 10_000 else None
            text = json.dumps(content, ensure_ascii=False, indent=None if separators else 2, separators=separators)
            (package_dir / path.name).write_text(text + "\n", encoding="utf-8")
        elif path.suffix != ".py":
            shutil.copyfile(path, package_dir / path.name)


if __name__ == "__main__":
    main()
