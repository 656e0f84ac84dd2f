# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""
Few-shot accuracy on a folder of clips, a subfolder a label, with its controls.

    python examples/few_shot_accuracy.py --data_dir CLIPS --ways 2 5 --shots 1 3 5 --episodes 100 --output result.json

An episode draws labels, `shots` examples of each and one query, at random but the same for the same seed; the query is
never among its examples. Beside the language model's accuracy stand chance, the same examples with the words of another
episode's query ("shuffled"), and the nearest neighbour by shared words.
"""

import argparse
import json
import logging
import math
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, pipeline
from transformers.utils.logging import tqdm

import llm_codec_hf  # noqa: F401  (registers the pipeline)
from llm_codec_hf.embedded import default_codec, default_language_model
from llm_codec_hf.scoring_llm_codec import score_continuations

logger = logging.getLogger(__name__)


def load_codes(pipe, folder: Path, seconds: float) -> dict[str, list[torch.Tensor]]:
    """Codes of every clip, cut to its first seconds, by label."""
    codes = {}
    for label in sorted(path for path in folder.iterdir() if path.is_dir()):
        files = sorted(path for path in label.iterdir() if path.suffix in (".flac", ".wav"))
        length = round(seconds * pipe.feature_extractor.sampling_rate)
        codes[label.name] = [pipe.encode([pipe.load_audio(str(path))[:length]])[0] for path in files]
    return codes


def draw_episode(codes: dict[str, list[torch.Tensor]], ways: int, shots: int, rng: np.random.Generator) -> dict:
    labels = [str(label) for label in rng.permutation(sorted(codes))[:ways]]
    truth = labels[rng.integers(ways)]
    drawn = {label: rng.permutation(len(codes[label]))[: shots + 1] for label in labels}
    examples = [(codes[label][drawn[label][shot]], label) for shot in range(shots) for label in rng.permutation(labels)]
    return {"labels": labels, "examples": examples, "query": codes[truth][drawn[truth][shots]], "truth": truth}


def nearest_label(examples, query, labels) -> str:
    """The label of the example that shares the most layer-0 words with the query; the first of equals."""
    words = Counter(query[0].tolist())
    return max(examples, key=lambda example: (words & Counter(example[0][0].tolist())).total())[1]


def interval(accuracy: float, n: int) -> float:
    """Half of a 95 % interval (normal approximation; episodes share clips, so it is too narrow)."""
    return 1.96 * math.sqrt(max(accuracy * (1 - accuracy), 1e-9) / n)


def main(argv: list[str] | None = None) -> list[dict]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_dir", type=Path, required=True)
    parser.add_argument("--model", default=str(default_codec()))
    parser.add_argument("--language_model", default=None, help="id or folder; by default the embedded default's")
    parser.add_argument("--ways", type=int, nargs="+", default=[2, 5])
    parser.add_argument("--shots", type=int, nargs="+", default=[1, 3, 5])
    parser.add_argument("--episodes", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=0.96)
    parser.add_argument("--layers", type=int, nargs="+", default=[0])
    parser.add_argument("--template", type=json.loads, help="fields of a FewShotTemplate, as JSON")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path)
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")

    folder = args.language_model or default_language_model()
    pipe = pipeline(
        "audio-fewshot",
        model=args.model,
        language_model=AutoModelForCausalLM.from_pretrained(folder),
        tokenizer=AutoTokenizer.from_pretrained(folder),
    )
    processor = pipe.processor
    codes = load_codes(pipe, args.data_dir, args.seconds)
    logger.info("Clips: %s", {label: len(clips) for label, clips in codes.items()})
    results = []
    for ways in args.ways:
        for shots in args.shots:
            rng = np.random.default_rng((args.seed, ways, shots))
            episodes = [draw_episode(codes, ways, shots, rng) for _ in range(args.episodes)]
            right = Counter()
            for i, episode in enumerate(tqdm(episodes, desc=f"{ways}-way {shots}-shot")):
                others = episodes[(i + 1) % len(episodes)]["query"]
                prompts = [
                    processor.few_shot_prompt(
                        episode["examples"],
                        query,
                        labels=episode["labels"],
                        layers=tuple(args.layers),
                        template=args.template,
                    )
                    for query in (episode["query"], others)
                ]
                labels = [processor.label_ids(label, args.template) for label in episode["labels"]]
                scores = score_continuations(pipe.language_model, prompts, labels).argmax(dim=1).tolist()
                right["accuracy"] += episode["labels"][scores[0]] == episode["truth"]
                right["shuffled"] += episode["labels"][scores[1]] == episode["truth"]
                near = nearest_label(episode["examples"], episode["query"], episode["labels"])
                right["nearest"] += near == episode["truth"]
            result = {"ways": ways, "shots": shots, "episodes": len(episodes), "chance": round(1 / ways, 3)}
            result |= {name: round(right[name] / len(episodes), 3) for name in ("accuracy", "shuffled", "nearest")}
            result["interval"] = round(interval(result["accuracy"], len(episodes)), 3)
            logger.info("%s", result)
            results.append(result)
    if args.output:
        args.output.write_text(
            json.dumps({"arguments": {k: str(v) for k, v in vars(args).items()}, "results": results}, indent=2)
        )
    return results


if __name__ == "__main__":
    main()
