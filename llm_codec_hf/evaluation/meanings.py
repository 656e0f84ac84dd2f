# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""
Words that mean: which word each code of layer 0 is written with, learned on labelled clips.

    python -m llm_codec_hf.evaluation.meanings TASK --output_dir CODEC [--permuted] [--labels a b c]

A codec's words have no meaning of their own: any bijection between codes and words is the same codec. Here the words
are handed out so that codes which occur in clips of a label get words that lie near the label's name among the language
model's embeddings. Codes, audio and files stay what they are; prompts change, and the words travel with the processor.
What is learned on some classes is to be measured on others, beside a map that was learned with the labels permuted.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from transformers import PreTrainedModel

from ..files.codec_folder import save_codec
from ..processing_llm_codec import LLMCodecProcessor
from .building import make_systems
from .clips import load_clips
from .configuration import EvaluationConfig
from .episodes import Episode
from .run import encode_named
from .tasks import load_task

SMOOTHING = 1.0  # occurrences that every code is given in every label before any is counted


def learn_words(
    codes: Sequence[torch.LongTensor], labels: Sequence[str], processor: LLMCodecProcessor, model: PreTrainedModel
) -> list[int]:
    """
    The word that each code of layer 0 is to be written with.

    Each code has a place among the embeddings: the mean of the labels' names, weighted by how much more often than by
    chance it occurs in their clips. Words are handed out such that the sum of the cosines between codes' places and
    words is the greatest (the Hungarian method). A code that tells nothing has no place, and takes what is left.

    Args:
        codes (`Sequence[torch.LongTensor]`): Codes `(codes_per_group, groups)` of each clip.
        labels (`Sequence[str]`): The label of each clip.
        processor ([`LLMCodecProcessor`]): The words.
        model (`PreTrainedModel`): The language model, for its embeddings.

    Returns:
        `list[int]`: for each code the place of its new word among the words that there are.

    Raises:
        ValueError: for clips without labels, and for fewer than two labels.
    """
    names = sorted(set(labels))
    if len(codes) != len(labels) or len(names) < 2:
        raise ValueError(
            f"Words are learned on clips of two labels or more, each with its label; got {len(codes)} clips, "
            f"{len(labels)} labels, of which {len(names)} are different."
        )
    size = len(processor.words)
    counts = np.full((len(names), size), SMOOTHING / size)
    for clip, label in zip(codes, labels):
        counts[names.index(label)] += np.bincount(clip[: processor.codes_per_layer[0]].reshape(-1), minlength=size)
    chance = counts / counts.sum(axis=1, keepdims=True)  # of each code in a label
    telling = np.log(chance / chance.mean(axis=0))  # (labels, codes): more often, or less, than in the others
    weight = np.where(counts.sum(axis=0) > SMOOTHING * len(names) / size + 0.5, 1.0, 0.0)  # it was heard at all
    embeddings = model.get_input_embeddings().weight.detach().float().cpu().numpy()
    words = _unit(_centred(np.stack([embeddings[ids].mean(axis=0) for ids in processor.token_ids[0]])))
    shown = [processor.segments_to_ids([processor.template.written(name)]) for name in names]
    meant = _unit(_centred(np.stack([embeddings[ids].mean(axis=0) for ids in shown])))
    places = _unit((telling * weight).T @ meant)
    _, order = linear_sum_assignment(places @ words.T, maximize=True)
    return order.tolist()


def _centred(x: np.ndarray) -> np.ndarray:
    return x - x.mean(axis=0)


def _unit(x: np.ndarray) -> np.ndarray:
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-9)


def main(argv: Sequence[str] | None = None) -> Path:
    """Learns words on the clips of a task, and writes the codec with them."""
    parser = argparse.ArgumentParser(
        "python -m llm_codec_hf.evaluation.meanings",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("task", help="a task's name or its YAML file; its clips must not be tested on afterwards")
    parser.add_argument("--root", help="the folder that the task's folder of clips is in")
    parser.add_argument("--labels", nargs="+", help="the classes to learn on; all by default")
    parser.add_argument("--permuted", action="store_true", help="learn on permuted labels, as the control")
    parser.add_argument("--seed", type=int, default=0, help="of the permutation")
    parser.add_argument("--model", help="the codec, an id or a folder; the embedded one by default")
    parser.add_argument("--language_model", help="the language model, an id or a folder")
    parser.add_argument("--output_dir", type=Path, required=True, help="the folder of the codec with its new words")
    args = parser.parse_args(argv)
    options = {name: getattr(args, name) for name in ("model", "language_model") if getattr(args, name)}
    systems = make_systems(EvaluationConfig(tasks=[args.task], output_dir=str(args.output_dir), **options))
    task = load_task(args.task, **({"root": args.root} if args.root else {}))
    clips = [clip for clip in load_clips(task) if not args.labels or clip.label in args.labels]
    asked = [Episode(c.id, task.name, 1, 1, c.id, ((c.id, c.label),), c.id, c.label, (c.label,)) for c in clips]
    codes, _ = encode_named(systems, clips, [asked])
    clips = [clip for clip in clips if clip.id in codes]
    labels = [task.label_text(clip.label) for clip in clips]
    if args.permuted:
        labels = [labels[i] for i in np.random.default_rng(args.seed).permutation(len(labels))]
    order = learn_words([codes[clip.id] for clip in clips], labels, systems.processor, systems.backend.model)
    save_codec(systems.codec, systems.processor.reworded(order), args.output_dir)
    told = {"task": args.task, "labels": sorted(set(labels)), "permuted": args.permuted, "clips": len(clips)}
    (args.output_dir / "words_learned_on.json").write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    return args.output_dir


if __name__ == "__main__":
    main()
