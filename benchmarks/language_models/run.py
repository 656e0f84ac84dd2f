# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""
`python -m benchmarks.language_models` asks every causal model of Transformers that builds at toy size, and writes
`docs/language_models.md`: which answer exactly with a shared prompt, which by full passes, and which are refused.
"""

import argparse
import json
import multiprocessing
import random
import re
from pathlib import Path

import torch
import transformers
from transformers.utils import logging

from llm_codec_hf.backend_llm_codec import InProcessBackend
from llm_codec_hf.files.atomic import write_whole
from llm_codec_hf.passes_llm_codec import Way
from llm_codec_hf.requests_llm_codec import LanguageModelError, ScoreRequest

from .toys import VOCABULARY, build, families

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT = 60  # seconds per family
ALLOWED = 2e-3  # nat: how far a score may be from that of a full pass, in float32
WAYS = {
    Way.PACKED: "shared prompt, labels in one row",
    Way.ROWS: "shared prompt, a row per label",
    Way.WHOLE: "full passes",
}


def main() -> None:
    parser = argparse.ArgumentParser(
        "python -m benchmarks.language_models",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("families", nargs="*", help="model types to ask; all by default, and then the page is written")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "language_models.md", help="the page")
    args = parser.parse_args()
    torch.set_num_threads(1)
    found = {family: ask_apart(family) for family in args.families or families()}
    if args.families:
        print(json.dumps(found, indent=2))
        return
    args.output.parent.mkdir(exist_ok=True)
    write_whole(args.output, page(found))


def ask_apart(family: str) -> dict:
    """What `ask` finds, in a process of its own that is stopped after [`TIMEOUT`]."""
    here, there = multiprocessing.get_context("fork").Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=_send, args=(family, there))
    process.start()
    there.close()
    try:
        found = here.recv() if here.poll(TIMEOUT) else {"state": "unbuilt", "reason": f"no answer within {TIMEOUT} s"}
    except EOFError:
        found = {"state": "unbuilt", "reason": "its process died"}
    process.kill()
    process.join()
    return found


def _send(family: str, connection) -> None:
    connection.send(ask(family))


def ask(family: str) -> dict:
    """
    Asks a family's toy, and measures how far its scores are from those of full passes.

    Returns:
        `state`: `shared`, `whole`, `refused`, `wrong` or `unbuilt`; and `way`, `distance` in nat, `reason`.
    """
    logging.set_verbosity_error()
    try:
        model = build(family)
    except Exception as error:  # of whatever kind: configs that do not take these sizes fail in their own ways
        return {"state": "unbuilt", "reason": _short(error)}
    reasons: list[str] = []
    logging.get_logger("llm_codec_hf.passes_llm_codec").warning_once = reasons.append
    draw = random.Random(0)

    def ids(n: int) -> list[int]:
        return [draw.randrange(3, VOCABULARY - 20) for _ in range(n)]

    support, label = ids(80), ids(2)  # longer than the toys' windows
    labels = [ids(1), [*label, 7], [*label, 8, 9], ids(3)]
    requests = [ScoreRequest([*support, *ids(n)], labels) for n in (9, 9, 4)]
    backend = InProcessBackend(model)
    try:
        backend.read(support)
        scores = torch.stack(backend.score(requests))
        expected = torch.tensor([[full_pass(model, request.prompt, c) for c in labels] for request in requests])
    except LanguageModelError as error:
        return {"state": "refused", "reason": _short(error)}
    distance = float((scores - expected).abs().max())
    found = {"way": WAYS[backend._way], "distance": distance, "reason": _short(reasons[0]) if reasons else ""}
    if not distance <= ALLOWED:
        return {"state": "wrong", **found}
    return {"state": "whole" if backend._way is Way.WHOLE else "shared", **found}


@torch.no_grad()
def full_pass(model, prompt: list[int], continuation: list[int]) -> float:
    """The log-probability of a continuation, by one pass that shares nothing."""
    logits = model(torch.tensor([prompt + continuation])).logits[0, len(prompt) - 1 : -1]
    return float(logits.float().log_softmax(-1)[range(len(continuation)), continuation].sum())


def _short(what) -> str:
    text = " ".join((str(what) or type(what).__name__).split()).replace("|", "/")
    text = re.sub(r"The language model \w+ in float32 (is asked by full passes, which take longer: )?", "", text)
    return text if len(text) <= 200 else text[:200] + " …"


def page(found: dict[str, dict]) -> str:
    """The page in Markdown."""
    names = families()

    def table(state: str, columns: list[str], row) -> str:
        rows = [
            f"| `{family}` | {names[family]} | {row(f)} |" for family, f in sorted(found.items()) if f["state"] == state
        ]
        head = f"| family | class | {' | '.join(columns)} |\n|---|---|{'---|' * len(columns)}\n"
        return head + "\n".join(rows) + "\n" if rows else "None.\n"

    count = {
        state: sum(f["state"] == state for f in found.values()) for state in ("shared", "whole", "refused", "unbuilt")
    }
    wrong = sorted(family for family, f in found.items() if f["state"] == "wrong")
    largest = max((f["distance"] for f in found.values() if "distance" in f), default=0.0)
    return f"""# Language models

Any `AutoModelForCausalLM` whose tokenizer fits the codec's words can answer. Before its first answer the backend
compares passes that share a prompt with one full pass (`llm_codec_hf/passes_llm_codec.py`), and again where prompts
first pass a length from which the model works otherwise, such as a sliding window. What is not believed is not used.

This page is written by `python -m benchmarks.language_models` with Transformers {transformers.__version__}, on toys of
every family with random weights in float32, on a CPU. Of {len(found)} families {count["shared"]} share prompts,
{count["whole"]} are asked by full passes, {count["refused"]} are refused, and {count["unbuilt"]} did not build at toy
size here. The prompts are longer than the toys' windows of 32 ids. The greatest distance of a score from that of a full
pass is {largest:.1e} nat. A checkpoint's config or another version of Transformers may take another way than its toy.

Where scores are wrong all the same: {", ".join(wrong) or "nowhere"}.

## Exact with a shared prompt

{table("shared", ["way", "distance in nat"], lambda f: f"{f['way']} | {f['distance']:.0e}")}
## Exact by full passes

These take longer: a pass over the whole prompt for each label, and for each id that is written.

{table("whole", ["distance in nat", "reason"], lambda f: f"{f['distance']:.0e} | {f['reason']}")}
## Refused

{table("refused", ["reason"], lambda f: f["reason"])}
## Not built at toy size

Nothing is said of these; the comparison decides when they are used.

{table("unbuilt", ["reason"], lambda f: f["reason"])}"""


if __name__ == "__main__":
    main()
