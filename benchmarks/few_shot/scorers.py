# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""
What the ways of scoring cost: their time over that of the readings and batches that they state.

    python -m benchmarks.few_shot.scorers    # 100 queries over one 5-way 5-shot support, the embedded language model

All ways of one reading are asked together, against one reading of the examples and one batch of the queries' raw
scores. The others are asked alone: `supervised` and `blend` against a reading per fold and one, and one batch; `orders`
against as many readings and batches as there are orders; `retrieved` against as many readings of its shorter prompt as
there are queries. Codes are random: what is measured depends on their number alone. Rows take turns; a time is the
median of the processor times. It prints a table and writes it to `results/scorers.md`.
"""

import argparse
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel

from llm_codec_hf import LLMCodecProcessor
from llm_codec_hf.backend_llm_codec import InProcessBackend
from llm_codec_hf.embedded import default_codec, default_language_model
from llm_codec_hf.files.markdown import markdown_table
from llm_codec_hf.scoring_llm_codec import PLAIN
from llm_codec_hf.support_llm_codec import ORDERS, RETRIEVED, SupportScorer

from .. import RESULTS
from ..machine import describe
from .run import GROUPS, LABELS

WAYS, SHOTS = 5, 5
TOGETHER = (*PLAIN, "knn", "heads")


def some_clips(processor: LLMCodecProcessor, count: int, seed: int) -> list[torch.LongTensor]:
    """Random codes `(codes_per_group, groups)`."""
    generator = torch.Generator().manual_seed(seed)
    tables = [len(table) for table, n in zip(processor.token_ids, processor.codes_per_layer) for _ in range(n)]
    return [torch.stack([torch.randint(n, (GROUPS,), generator=generator) for n in tables]) for _ in range(count)]


def make_scorer(model: PreTrainedModel, processor: LLMCodecProcessor) -> SupportScorer:
    """A scorer that has asked nothing yet."""
    labels = list(LABELS[:WAYS])
    codes, owners = some_clips(processor, WAYS * SHOTS, 0), list(range(WAYS)) * SHOTS
    backend = InProcessBackend(model)

    def write_support(places: Sequence[int]) -> list[int]:
        return processor.few_shot_support([(codes[i], labels[owners[i]]) for i in places], labels)

    label_ids = [processor.label_ids(label) for label in labels]
    scorer = SupportScorer(backend, codes, owners, label_ids, write_support, processor.few_shot_query)
    backend._choose_way(scorer.prefix, len(scorer.prefix) + 64)  # once per model, so no part of what is timed
    return scorer


def measure(model: PreTrainedModel, processor: LLMCodecProcessor, queries: int, turns: int) -> dict[str, list[float]]:
    """Processor times of what a row is made of, turn by turn; the first turn is not among them."""
    asked, found = some_clips(processor, queries, 1), defaultdict(list)

    def timed(name: str, call: Callable[[], object]) -> None:
        start = time.process_time()
        call()
        found[name].append(time.process_time() - start)

    for _ in range(turns + 1):
        scorer = make_scorer(model, processor)
        timed("reading", lambda scorer=scorer: scorer.backend.read(scorer.prefix))
        timed("batch", lambda scorer=scorer: scorer._log_probs(scorer.prefix, asked))
        few = scorer.write_support(range(RETRIEVED))
        timed("short reading", lambda scorer=scorer: scorer._log_probs(few, asked[:1]))
        for ways in (TOGETHER, ("supervised",), ("blend",), ("orders",), ("retrieved",)):
            scorer = make_scorer(model, processor)
            timed(", ".join(ways), lambda scorer=scorer, ways=ways: scorer.scores(asked, *ways))
    found["folds"] = [len(scorer.folds)]
    return {name: values if name == "folds" else values[1:] for name, values in found.items()}


def table(times: dict[str, list[float]], queries: int) -> list[list[str]]:
    """Rows: the ways, what they state, seconds stated and taken, and their ratio."""
    t = {name: median(values) for name, values in times.items()}
    readings = 1 + int(t["folds"])
    stated = {
        ", ".join(TOGETHER): ("1 reading, 1 batch", t["reading"] + t["batch"]),
        "supervised": (f"{readings} readings, 1 batch", readings * t["reading"] + t["batch"]),
        "blend": (f"{readings} readings, 1 batch", readings * t["reading"] + t["batch"]),
        "orders": (f"{ORDERS} readings, {ORDERS} batches", ORDERS * (t["reading"] + t["batch"])),
        "retrieved": (f"{queries} readings of {RETRIEVED} examples", queries * t["short reading"]),
    }
    return [
        [ways, what, f"{expected:.2f}", f"{t[ways]:.2f}", f"{t[ways] / expected:.2f}"]
        for ways, (what, expected) in stated.items()
    ]


def main(argv: Sequence[str] | None = None) -> str:
    parser = argparse.ArgumentParser(
        "python -m benchmarks.few_shot.scorers",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", default=str(default_codec()), help="a codec's folder or id, for its words")
    parser.add_argument("--language_model", help="a folder or id; by default the embedded default's")
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--output_dir", type=Path, default=RESULTS)
    args = parser.parse_args(argv)
    processor = LLMCodecProcessor.from_pretrained(args.model)
    model = AutoModelForCausalLM.from_pretrained(args.language_model or default_language_model()).eval()
    rows = table(measure(model, processor, args.queries, args.turns), args.queries)
    machine = ", ".join(f"{name} {value}" for name, value in describe("cpu").items() if value is not None)
    text = (
        f"{args.queries} queries over one {WAYS}-way {SHOTS}-shot support, {model.num_parameters() / 1e6:.0f} M "
        f"parameters ({machine}); seconds of processor time:\n\n"
        + markdown_table(["scores", "stated", "seconds stated", "seconds taken", "ratio"], rows, left=2, padded=True)
        + "\n"
    )
    args.output_dir.mkdir(parents=True, exist_ok=True)
    (args.output_dir / "scorers.md").write_text(text)
    print(text)
    return text


if __name__ == "__main__":
    main()
