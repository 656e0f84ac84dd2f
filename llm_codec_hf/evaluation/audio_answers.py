# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Answers that are audio: the clips that a language model makes, what a recogniser hears in them, how good they are."""

import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import torch
from transformers.utils import logging

from ..code_layout_llm_codec import CodeLayout
from ..files.audio_files import write_whole_wav
from ..metrics import load_metric
from ..metrics.recognition import Recognizer, normalize_text
from ..modeling_llm_codec import LLMCodecModel
from ..processing_llm_codec import LLMCodecProcessor
from ..requests_llm_codec import Backend, GenerateRequest
from .answers import partners, prompt_hash
from .clips import Clip
from .episodes import Episode
from .tasks import Task

logger = logging.get_logger(__name__)

REFERENCED = ("mr_stft", "mel_distance", "stoi", "pesq", "si_sdr")  # metrics of a clip and the one it should be
UNREFERENCED = ("dnsmos",)
LANGUAGE = "en"  # of what is said where labels are spoken


def target_id(clip_id: str) -> str:
    """What the codes of a clip's target are called, beside those of the clip itself."""
    return f"{clip_id}#target"


def answer_audio(
    block: Sequence[Episode],
    clips: Mapping[str, Clip],
    codes: Mapping[str, torch.LongTensor],
    processor: LLMCodecProcessor,
    codec: LLMCodecModel,
    backend: Backend,
    task: Task,
    folder: Path,
    recognizer: Recognizer | None = None,
    generation: Mapping[str, float] | None = None,
) -> list[dict]:
    """
    Answers episodes that have their demonstrations in common with clips of `task.seconds`, and writes these as
    `audio/….wav` before it returns (arXiv 2406.10056, section 3.3).

    What was made is judged beside what bounds it, each under its name:
    - `generated`: the clip that the language model made; `shuffled`: the same, measured against another query's target;
    - `original`: the clip that would be right, and `codec`: that clip encoded and decoded, which no answer can surpass
      but by luck;
    - `input` and `input_codec`: where a clip was asked about, that clip, and the same encoded and decoded.

    A metric or recogniser whose packages are missing is left out, with one warning. What a metric cannot score is null
    and stands in `metric_failures`.

    Args:
        block: The episodes.
        clips: Every clip that they name, all of `task.seconds`.
        codes: Codes `(codes_per_group, groups)` of these, all of as many groups; of their targets by [`target_id`].
        processor: Writes the prompts.
        codec: Makes audio of codes.
        backend: The language model; it must hold constraints.
        task: How prompts are written.
        folder: Of the run.
        recognizer: Hears labels; by default Whisper base.
        generation: `temperature` and `top_p` of a [`GenerateRequest`]; by default the most probable ids are taken.

    Returns:
        `list[dict]`: a record an episode, as `episodes.jsonl` has it, with besides
        - `audio`: the file of the clip that was made, relative to `folder`;
        - `heard`: name → text, where the labels are spoken;
        - `metrics`: name → metric → value or null, and `metric_failures`: `of`, `metric` and `reason` of each null;
        - `predictions`: where the labels are spoken, the label that was `heard` in what was made, in `codec` and in
          `original`; that of the demonstration which has the most codes of what was `written`; and controls.
        `seconds` are those of making, without judging.
    """
    start = time.monotonic()
    first, rate = block[0], codec.config.sampling_rate
    spoken = task.source.target is None  # texts are asked about, and the labels are what the clips say
    answers = [_right_clip(episode, clips) if spoken else target_id(episode.query) for episode in block]
    prompts = _prompts(block, codes, processor, task)
    grammar = processor.audio_grammar(codes[answers[0]].shape[1], layers=task.layers)
    requests = [
        GenerateRequest(prompt, grammar.max_ids, constraint=grammar, seed=episode.seed, **(generation or {}))
        for prompt, episode in zip(prompts, block)
    ]
    answered = backend.generate(requests)
    written = [processor.code_layout.all_rows(grammar.read(ids), task.layers) for ids in answered]
    sounds = {"generated": decode_layers(codec, written, task)}
    files = [Path("audio") / f"{episode.id.replace('/', '__')}.wav" for episode in block]
    for file, samples in zip(files, sounds["generated"]):
        write_whole_wav(folder / file, samples, rate)
    seconds = (time.monotonic() - start) / len(block)

    sounds["codec"] = decode_layers(codec, [codes[name] for name in answers], task)
    if spoken:
        sounds["original"] = [clips[name].load(rate) for name in answers]
    else:
        sounds["original"] = [clips[episode.query].load_target(rate) for episode in block]
        sounds["input"] = [clips[episode.query].load(rate) for episode in block]
        sounds["input_codec"] = decode_layers(codec, [codes[episode.query] for episode in block], task)
    partner = partners(len(block), first.seed) if len(block) > 1 else None
    measured = _measure(sounds, None if spoken else sounds["original"], partner, rate)
    heard = _listen(sounds, rate, recognizer or default_recognizer()) if spoken else [{} for _ in block]
    predictions = _predict(block, codes, task, written, heard, partner) if spoken else [{} for _ in block]
    return [
        episode.record(
            prompt_sha256=prompt_hash(prompts[i]),
            predictions=predictions[i],
            audio=files[i].as_posix(),
            heard=heard[i],
            **measured[i],
            seconds=round(seconds, 4),
        )
        for i, episode in enumerate(block)
    ]


# ---- Making


def _right_clip(episode: Episode, clips: Mapping[str, Clip]) -> str:
    """A clip that says the truth: the query, or, where the query is a question, the first demonstration that does."""
    if episode.query in clips:
        return episode.query
    return next(clip for clip, label in episode.examples if label == episode.truth)


def _prompts(block: Sequence[Episode], codes, processor: LLMCodecProcessor, task: Task) -> list[list[int]]:
    """The prompt of each episode: texts and clips that say them, or clips and their targets."""

    def asked(query: str, label: str):
        if task.source.target is not None:
            return codes[query]
        return task.prompt.replace("{label}", task.label_text(label) if query in codes else query)

    examples = [
        (asked(clip, label), codes[clip if task.source.target is None else target_id(clip)])
        for clip, label in block[0].examples
    ]
    support = processor.few_shot_support(
        examples, instruction=task.instruction, repeats=task.repeats, layers=task.layers
    )
    return [support + processor.few_shot_query(asked(e.query, e.truth), layers=task.layers) for e in block]


@torch.no_grad()
def decode_layers(codec: LLMCodecModel, clips: Sequence[torch.LongTensor], task: Task) -> list[np.ndarray]:
    """
    What the task's layers of some clips sound like.

    Args:
        clips: Codes `(codes_per_group, groups)` of each, all of as many groups.

    Returns:
        float32 `(samples,)` of each, of `task.seconds`.
    """
    rows = CodeLayout(codec.config.vq_strides).rows(task.layers)
    codes = torch.stack(list(clips)).masked_fill(~rows[:, None], -1)
    length = round(task.seconds * codec.config.sampling_rate)
    return list(codec.decode(codes.to(codec.device), length=length).audio_values[:, 0].float().cpu().numpy())


# ---- Judging


@cache
def default_recognizer() -> Recognizer | None:
    """Whisper base, or None where its packages are missing; a warning says so, once."""
    try:
        return Recognizer()
    except ImportError as error:
        logger.warning("Nobody hears what audio answers say, so they are judged by their codes. %s", error)
        return None


@cache
def _metric(name: str, sampling_rate: int):
    """A metric, or None where it cannot be computed; a warning says so, once."""
    try:
        metric = load_metric(name)
    except ImportError as error:
        logger.warning("This run is without the metric %s. %s", name, error)
        return None
    if metric.required_rate not in (None, sampling_rate):
        logger.warning(
            "This run is without the metric %s: it is of %d Hz, the codec of %d Hz.",
            name,
            metric.required_rate,
            sampling_rate,
        )
        return None
    return metric


def _measure(
    sounds: Mapping[str, list[np.ndarray]],
    targets: list[np.ndarray] | None,
    partner: list[int] | None,
    sampling_rate: int,
) -> list[dict]:
    """`metrics` and `metric_failures` of each episode."""
    records = [{"metrics": {}, "metric_failures": []} for _ in sounds["generated"]]
    asked = []
    if targets is not None:
        compared = {of: (clips, targets) for of, clips in sounds.items() if of != "original"}
        if partner is not None:
            compared["shuffled"] = (sounds["generated"], [targets[i] for i in partner])
        asked = [(metric, of, *pair) for metric in REFERENCED for of, pair in compared.items()]
    for name, of, predictions, references in asked:
        if (metric := _metric(name, sampling_rate)) is not None:  # its length is 0
            result = metric.compute(predictions=predictions, references=references, sampling_rate=sampling_rate)
            _note(records, name, of, result, range(len(records)))
    different = {samples.tobytes(): samples for clips in sounds.values() for samples in clips}  # each is scored once
    place = {key: i for i, key in enumerate(different)}
    for name in UNREFERENCED:
        if (metric := _metric(name, sampling_rate)) is not None:  # its length is 0
            result = metric.compute(predictions=list(different.values()), sampling_rate=sampling_rate)
            for of, clips in sounds.items():
                _note(records, name, of, result, [place[samples.tobytes()] for samples in clips])
    return records


def _note(records: list[dict], metric: str, of: str, result: dict, places: Sequence[int]) -> None:
    """Puts a metric's scores of one kind of audio into the records; `places` says where each record's stands."""
    reasons = {failure["index"]: failure["reason"] for failure in result["failed"]}
    for record, place in zip(records, places):
        score = result["scores"][place]
        record["metrics"].setdefault(of, {})[metric] = None if score is None else round(score, 5)
        if place in reasons:
            record["metric_failures"].append({"of": of, "metric": metric, "reason": reasons[place]})


def _listen(
    sounds: Mapping[str, list[np.ndarray]], sampling_rate: int, recognizer: Recognizer | None
) -> list[dict[str, str]]:
    """What a recogniser hears in the sounds of each episode; of equal ones, in the first."""
    if recognizer is None:
        return [{} for _ in sounds["generated"]]

    @cache
    def text(samples: bytes) -> str:
        return recognizer.transcribe(np.frombuffer(samples, dtype=np.float32), sampling_rate, LANGUAGE)

    texts = {of: [text(samples.tobytes()) for samples in clips] for of, clips in sounds.items()}
    return [dict(zip(texts, row)) for row in zip(*texts.values())]


def _predict(
    block: Sequence[Episode], codes, task: Task, written: Sequence[torch.LongTensor], heard, partner: list[int] | None
) -> list[dict[str, str | None]]:
    """The labels that were heard and written, and those of the controls."""
    examples = [(codes[clip], label) for clip, label in block[0].examples]
    predictions = [
        {
            **({"heard": heard_label(texts["generated"], episode.labels, task)} if texts else {}),
            "written": written_label(examples, answer),
        }
        for episode, texts, answer in zip(block, heard, written)
    ]
    answered = [next(iter(found.values())) for found in predictions]
    for i, (episode, texts, found) in enumerate(zip(block, heard, predictions)):
        if partner is not None:
            found["shuffled_words"] = answered[partner[i]]
        for of in ("codec", "original") if texts else ():
            found[of] = heard_label(texts[of], episode.labels, task)
        found["random"] = str(np.random.default_rng(episode.seed).choice(episode.labels))
    return predictions


def heard_label(text: str, labels: Sequence[str], task: Task) -> str | None:
    """
    The label that a text says: the only one whose name, or whose text in prompts, stands in it as whole words, after
    Whisper's normaliser for English, to which "Two." and "2" are the same; None for none, and for several.
    """
    words = f" {normalize_text(text, LANGUAGE)} "
    found = set()
    for label in labels:
        forms = {normalize_text(form, LANGUAGE) for form in (label, task.label_text(label))} - {""}
        if any(f" {form} " in words for form in forms):
            found.add(label)
    return found.pop() if len(found) == 1 else None


def written_label(examples: Sequence[tuple[torch.LongTensor, str]], answer: torch.LongTensor) -> str | None:
    """
    The label of the demonstration that has the most codes of an answer at their places; the first of equals, None where
    no code is.

    Args:
        examples: Codes `(codes_per_group, groups)` and label of each.
        answer: The like, of as many groups; −1 in the layers that it has not.
    """
    common, place = max((int((clip == answer).sum()), -i) for i, (clip, _) in enumerate(examples))
    return examples[-place][1] if common else None


__all__ = ["answer_audio", "decode_layers", "heard_label", "target_id", "write_whole_wav", "written_label"]
