# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""
What many labels cost: the time of an answer with 50 labels of one to three tokens over that with 5 of them.

    python -m benchmarks.few_shot.labels     # six examples, the embedded language model

Once with all labels packed behind one prompt, and once with each as a row, as language models have it that take no
attention mask; once with raw scores, and once with the default ones, which ask for the labels after eight references
as well. The examples are read anew for each answer. Answers take turns; a time is the median of the processor times.
It prints a table and writes it to `results/labels.md`.
"""

import argparse
import time
from collections import defaultdict
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from statistics import median

from transformers import AutoModelForCausalLM, PreTrainedModel

from llm_codec_hf import LLMCodecProcessor
from llm_codec_hf.backend_llm_codec import InProcessBackend
from llm_codec_hf.embedded import default_codec, default_language_model
from llm_codec_hf.files.markdown import markdown_table
from llm_codec_hf.requests_llm_codec import ScoreRequest
from llm_codec_hf.scoring_llm_codec import REFERENCES

from .. import RESULTS
from ..machine import describe
from .run import prompts

FEW, MANY = 5, 50
WAYS = {"packed": True, "rows": False}


def some_labels(processor: LLMCodecProcessor, count: int) -> list[list[int]]:
    """Ids of labels of one, two and three tokens by turns, each with the end of a label behind it."""
    table, end = [ids[0] for ids in processor.token_ids[0]], processor.label_ids("kick")[-1]
    words = cycle(table[:: max(1, len(table) // (2 * MANY))])
    return [[*(next(words) for _ in range(1 + i % 3)), end] for i in range(count)]


def seconds(model: PreTrainedModel, requests: Sequence[ScoreRequest], support: list[int], packs: bool) -> float:
    """Processor time of one answer: the examples, the query and its references, if any."""
    backend = InProcessBackend(model)
    backend._passes.can_pack = packs
    backend._choose_way(requests[0].prompt, requests[0].longest)  # once per model, so no part of an answer
    start = time.process_time()
    backend.read(support)
    backend.score(requests)
    return time.process_time() - start


def measure(model: PreTrainedModel, processor: LLMCodecProcessor, turns: int) -> list[list[str]]:
    """The table's rows."""
    whole, _ = prompts(processor, 3, 2, REFERENCES + 1)
    support = whole[0][: next(i for i, ids in enumerate(zip(*whole)) if len(set(ids)) > 1)]
    found = defaultdict(list)
    for _ in range(turns + 1):
        for scoring, asked in {"raw": whole[:1], "support_shuffled": whole}.items():
            for way, packs in WAYS.items():
                for count in (FEW, MANY):
                    requests = [ScoreRequest(prompt, some_labels(processor, count)) for prompt in asked]
                    found[scoring, way, count].append(seconds(model, requests, support, packs))
    rows = []
    for scoring, way, count in found:
        if count == FEW:
            few, many = (median(found[scoring, way, n][1:]) for n in (FEW, MANY))  # the first of each takes longer
            rows.append([f"{scoring}, {way}", f"{few:.2f}", f"{many:.2f}", f"{many / few:.2f}"])
    return rows


def main(argv: Sequence[str] | None = None) -> str:
    parser = argparse.ArgumentParser(
        "python -m benchmarks.few_shot.labels",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", default=str(default_codec()), help="a codec's folder or id, for its words")
    parser.add_argument("--language_model", help="a folder or id; by default the embedded default's")
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--output_dir", type=Path, default=RESULTS)
    args = parser.parse_args(argv)
    processor = LLMCodecProcessor.from_pretrained(args.model)
    model = AutoModelForCausalLM.from_pretrained(args.language_model or default_language_model()).eval()
    rows = measure(model, processor, args.turns)
    machine = ", ".join(f"{name} {value}" for name, value in describe("cpu").items() if value is not None)
    text = (
        f"One answer with {FEW} and with {MANY} labels of one to three tokens, six examples, {REFERENCES} references, "
        f"{model.num_parameters() / 1e6:.0f} M parameters ({machine}); seconds of processor time:\n\n"
        + markdown_table(["scores, labels", f"{FEW}", f"{MANY}", "ratio"], rows, left=1, padded=True)
        + "\n"
    )
    args.output_dir.mkdir(parents=True, exist_ok=True)
    (args.output_dir / "labels.md").write_text(text)
    print(text)
    return text


if __name__ == "__main__":
    main()
