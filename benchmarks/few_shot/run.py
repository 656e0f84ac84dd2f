# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""
Few-shot requests a second: the engine, one whole pass a request, and the original's way.

    python -m benchmarks.few_shot            # 100 queries over one 5-way 3-shot support, the embedded language model
    python -m benchmarks.few_shot --queries 20 --language_model FOLDER --model FOLDER

Queries and demonstrations are random codes: what is measured depends on their number alone. It prints a table and
writes it to `results/few_shot.md`. All rows run one after the other, a part of each in turn, so that a slow spell of
the machine falls on all.
"""

import argparse
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel

from llm_codec_hf import LLMCodecProcessor
from llm_codec_hf.backend_llm_codec import InProcessBackend
from llm_codec_hf.embedded import default_codec, default_language_model
from llm_codec_hf.evaluation.answers import UNIAUDIO_TOKENS
from llm_codec_hf.files.markdown import markdown_table
from llm_codec_hf.grammar_llm_codec import ConstrainedLogitsProcessor, UniAudioLabelMask
from llm_codec_hf.requests_llm_codec import GenerateRequest, ScoreRequest

from .. import RESULTS
from ..machine import describe

LABELS = ("kick", "snare", "cymbal", "tabla", "ambient noise", "bass guitar", "tom", "voice", "siren")
GROUPS = 8  # of a clip: 0.96 s
TURNS = 5


def prompts(
    processor: LLMCodecProcessor, ways: int, shots: int, queries: int
) -> tuple[list[list[int]], list[list[int]]]:
    """Prompts of queries over one support set, and the ids of labels: a list of lists each."""
    generator = torch.Generator().manual_seed(0)
    labels = list(LABELS[:ways])

    def clip() -> torch.Tensor:
        rows = [
            torch.randint(len(table), (n, GROUPS), generator=generator)
            for table, n in zip(processor.token_ids, processor.codes_per_layer)
        ]
        return torch.cat(rows)

    examples = [(clip(), label) for _ in range(shots) for label in labels]
    support = processor.few_shot_support(examples, labels)
    whole = [support + processor.few_shot_query(clip()) for _ in range(queries)]
    return whole, [processor.label_ids(label) for label in labels]


@torch.no_grad()
def original_way(model: PreTrainedModel, prompt: list[int], labels: list[list[int]]) -> list[int]:
    """The whole prompt again for every query, one at a time: greedy, at most 16 ids, the label mask."""
    end = labels[0][-1]
    output = model.generate(
        torch.tensor([prompt], device=model.device),
        attention_mask=torch.ones(1, len(prompt), dtype=torch.long, device=model.device),
        max_new_tokens=UNIAUDIO_TOKENS,
        do_sample=False,
        eos_token_id=end,
        pad_token_id=end,
        logits_processor=[ConstrainedLogitsProcessor(UniAudioLabelMask(labels), len(prompt), end)],
    )
    written = output[0, len(prompt) :].tolist()
    return written[: written.index(end)] if end in written else written


@torch.no_grad()
def whole_passes(model: PreTrainedModel, prompt: list[int], labels: list[list[int]]) -> torch.Tensor:
    """One whole pass a label."""
    scores = []
    for label in labels:
        logits = model(torch.tensor([prompt + label], device=model.device), use_cache=False).logits[0]
        log_probs = logits[len(prompt) - 1 : -1].float().log_softmax(dim=-1).cpu()
        scores.append(log_probs.gather(1, torch.tensor(label)[:, None]).sum())
    return torch.stack(scores)


def measure(model: PreTrainedModel, whole: list[list[int]], labels: list[list[int]], passes: int) -> list[list[str]]:
    """The table's rows, in turns; the first `passes` queries alone are scored by whole passes."""
    end, seconds, answers = labels[0][-1], defaultdict(float), defaultdict(list)
    mask = UniAudioLabelMask(labels)
    parts = [range(start, len(whole), TURNS) for start in range(TURNS)]
    original_way(model, whole[0][-8:], labels)  # not timed: the first call of a process takes longer

    def timed(name: str, call) -> None:
        start = time.perf_counter()
        answers[name] += call()
        seconds[name] += time.perf_counter() - start

    for part in parts:
        timed("original", lambda part=part: [(i, original_way(model, whole[i], labels)) for i in part])
        few = [i for i in part if i < passes]
        timed("passes", lambda few=few: [(i, whole_passes(model, whole[i], labels)) for i in few])
    requests = [GenerateRequest(prompt, UNIAUDIO_TOKENS, (end,), mask) for prompt in whole]
    timed("generated", lambda: list(enumerate(InProcessBackend(model).generate(requests))))
    scored = [ScoreRequest(prompt, labels) for prompt in whole]
    timed("scored", lambda: list(enumerate(InProcessBackend(model).score(scored))))

    same = dict(answers["original"]) == dict(answers["generated"])
    scores, expected = dict(answers["scored"]), dict(answers["passes"])
    error = max((scores[i] - expected[i]).abs().max().item() for i in expected)
    original = len(whole) / seconds["original"]
    by_passes, generated, ours = (len(answers[n]) / seconds[n] for n in ("passes", "generated", "scored"))
    checked = "the same answers" if same else "OTHER ANSWERS"
    return [
        ["the original's way: the whole prompt for every query, batch 1, greedy", f"{original:.2f}", "1.0", "–"],
        ["the engine, the same question", f"{generated:.2f}", f"{generated / original:.1f}", checked],
        ["one whole pass a query and label", f"{by_passes:.2f}", f"{by_passes / original:.1f}", "–"],
        ["the engine, scores of every label", f"{ours:.2f}", f"{ours / original:.1f}", f"scores within {error:.0e}"],
    ]


def main(argv: Sequence[str] | None = None) -> str:
    parser = argparse.ArgumentParser(
        "python -m benchmarks.few_shot", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default=str(default_codec()), help="a codec's folder or id, for its words")
    parser.add_argument("--language_model", help="a folder or id; by default the embedded default's")
    parser.add_argument("--ways", type=int, default=5)
    parser.add_argument("--shots", type=int, default=3)
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--passes", type=int, default=10, help="queries that are scored by whole passes")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--output_dir", type=Path, default=RESULTS)
    args = parser.parse_args(argv)
    processor = LLMCodecProcessor.from_pretrained(args.model)
    path = args.language_model or default_language_model()
    model = AutoModelForCausalLM.from_pretrained(path).to(args.device).eval()
    whole, labels = prompts(processor, args.ways, args.shots, args.queries)
    rows = measure(model, whole, labels, args.passes)
    machine = ", ".join(f"{name} {value}" for name, value in describe(args.device).items() if value is not None)
    text = (
        f"{args.queries} queries over one {args.ways}-way {args.shots}-shot support, prompts of {len(whole[0])} ids, "
        f"{model.num_parameters() / 1e6:.0f} M parameters ({machine}):\n\n"
        + markdown_table(["", "queries a second", "to the original's way", "against it"], rows, left=1, padded=True)
        + "\n"
    )
    args.output_dir.mkdir(parents=True, exist_ok=True)
    (args.output_dir / "few_shot.md").write_text(text)
    print(text)
    return text
