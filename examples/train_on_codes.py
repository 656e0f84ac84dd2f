# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""
Codes of a corpus as training data: a small causal model learns to go on with audio, by Transformers' `Trainer`.

    python examples/train_on_codes.py --source clips --output_dir run

It tokenizes a folder of audio (by default the clips that ship), turns every row into the token ids that stand for it,
and trains a Llama of random weights on them; put a language model of the codec's vocabulary in its place.
(`pip install 'llm-codec-hf[corpus]' accelerate`)
"""

import argparse
from pathlib import Path

from datasets import load_dataset
from transformers import DataCollatorForSeq2Seq, LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments

from llm_codec_hf import LLMCodecProcessor
from llm_codec_hf.corpus.configuration import TokenizeConfig
from llm_codec_hf.corpus.reading import row_to_ids
from llm_codec_hf.corpus.run import tokenize
from llm_codec_hf.embedded import default_codec
from llm_codec_hf.embedded.demo import CLIPS


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", default=str(CLIPS))
    parser.add_argument("--output_dir", type=Path, default=Path("trained_on_codes"))
    parser.add_argument("--max_steps", type=int, default=20)
    args = parser.parse_args(argv)

    codes = args.output_dir / "codes"
    tokenize(TokenizeConfig(source=args.source, output_dir=str(codes)))
    processor = LLMCodecProcessor.from_pretrained(default_codec())
    tokenizer = processor.tokenizer

    def ids_of(row: dict) -> dict:
        ids = row_to_ids(row, processor, layout="time_major") + [tokenizer.eos_token_id]
        return {"input_ids": ids, "labels": ids}

    rows = load_dataset(str(codes), split="train")
    rows = rows.map(ids_of, remove_columns=rows.column_names)

    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), tie_word_embeddings=True, **sizes))
    trainer = Trainer(
        model=model,
        args=TrainingArguments(
            output_dir=str(args.output_dir / "model"),
            max_steps=args.max_steps,
            learning_rate=3e-3,
            per_device_train_batch_size=4,
            logging_steps=max(1, args.max_steps // 4),
            save_strategy="no",
            report_to="none",
        ),
        train_dataset=rows,
        data_collator=DataCollatorForSeq2Seq(tokenizer, model, padding=True),
    )
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    print(f"{len(rows)} clips, loss {losses[0]:.2f} at first and {losses[-1]:.2f} at last")


if __name__ == "__main__":
    main()
