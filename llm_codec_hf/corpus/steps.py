# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""
The three steps of a task, for any executor of datatrove: read the plan, encode, write.

They hold nothing but settings, so that they can be sent to other machines; model and source are loaded where they run,
once for each process.
"""

import contextlib
import json
from collections.abc import Iterator
from functools import cache
from typing import Any

import torch
from datatrove.data import Document, DocumentsPipeline, Media, MediaType
from datatrove.pipeline.base import PipelineStep
from transformers import PreTrainedModel

from ..embedded import default_codec
from ..feature_extraction_llm_codec import LLMCodecFeatureExtractor
from ..files.codec_folder import load_codec
from ..files.strict_json import to_json
from .configuration import TokenizeConfig
from .encoding import TaskEncoder
from .flight import LOST, Flight
from .identity import CodecIdentity, identify
from .plan import STATE, Plan, read_plan
from .sources import Source, make_source
from .store import Store
from .writing import ParquetRows, RowWriter, WebDatasetRows, schema_of

DATA, ERRORS = "data", "errors"
SUFFIXES = {"parquet": ".parquet", "webdataset": ".tar"}


class ReadPlan(PipelineStep):
    """Gives the clips of a task, as documents whose metadata have the planned clip."""

    name, type = "Plan", "READER"

    def __init__(self, config: TokenizeConfig):
        super().__init__()
        self.config = config

    def run(self, data: DocumentsPipeline = None, rank: int = 0, world_size: int = 1) -> DocumentsPipeline:
        for clip in _plan(self.config.output_dir).task(rank):
            media = Media(clip.id, MediaType.AUDIO, clip.place)
            yield Document(clip.text or "", clip.id, [media], {"clip": clip})


class EncodeAudio(PipelineStep):
    """
    Adds to each document its codes, or why there are none, as `metadata["encoded"]`.

    Args:
        config: The run.
        identity: The codec that the run has; another one in its place is refused.
        supervised: Whether whoever started the process notes its death in the journal. Otherwise the next process that
            works on the task does.
        device: Where to encode; None for an accelerator, if there is one.
    """

    name, type = "Encoder", "TOKENIZER"

    def __init__(
        self, config: TokenizeConfig, identity: CodecIdentity, supervised: bool = False, device: str | None = None
    ):
        super().__init__()
        self.config, self.identity, self.supervised, self.device = config, identity, supervised, device

    def run(self, data: DocumentsPipeline, rank: int = 0, world_size: int = 1) -> DocumentsPipeline:
        documents = {document.id: document for document in data}
        model, feature_extractor = load(self.config.model, self.device or self.config.device)
        if _hash(model) != self.identity.codec_hash:
            raise ValueError(
                f"The codec {self.identity.name!r} is not the one that the run was planned with: its weights changed."
            )
        flight = Flight(Store(self.config.output_dir), rank)
        if not self.supervised and flight.is_up:
            flight.died(LOST)
        encoder = TaskEncoder(model, feature_extractor, _source(self.config), self.config, flight)
        for encoded in encoder.encode([document.metadata["clip"] for document in documents.values()]):
            document = documents.pop(encoded.clip.id)
            document.metadata["encoded"] = encoded
            self.stat_update("errors" if encoded.error else "clips")
            yield document


class WriteCodes(PipelineStep):
    """
    Writes the rows of a task, and its errors, each file whole or not at all.

    Args:
        config: The run.
        identity: The codec.
        plan_hash: Of the plan, for the metadata.
        source_name: What rows call the source.
    """

    name, type = "Codes", "WRITER"

    def __init__(self, config: TokenizeConfig, identity: CodecIdentity, plan_hash: str, source_name: str):
        super().__init__()
        self.config, self.identity, self.plan_hash, self.source_name = config, identity, plan_hash, source_name

    def run(self, data: DocumentsPipeline, rank: int = 0, world_size: int = 1) -> DocumentsPipeline:
        store, errors, rows = Store(self.config.output_dir), [], 0
        store.collect(DATA, ERRORS)
        name = data_name(rank, self.config.format)
        with contextlib.ExitStack() as stack:
            writer = None
            for document in data:
                clip, codes, num_samples, error = document.metadata["encoded"]
                if error is not None:
                    errors.append({"id": clip.id, "source": self.source_name, "place": clip.place, "error": error})
                else:
                    if writer is None:  # no file without rows
                        path = stack.enter_context(store.writing(name))
                        writer = self._writer(path, rank)
                        stack.callback(writer.close)  # before the file gets its name
                    writer.write(
                        {
                            "id": clip.id,
                            "audio_codes": codes,
                            "num_samples": num_samples,
                            "sampling_rate": self.identity.sampling_rate,
                            "text": clip.text,
                            "source": self.source_name,
                            "codec": self.identity.label,
                        }
                    )
                    rows += 1
                document.metadata.pop("encoded")
                yield document
        # what an earlier try left, of a clip that failed then or now
        if not rows:
            store.remove(name)
        if errors:
            store.write(error_name(rank), json_lines(errors))
        else:
            store.remove(error_name(rank))
        Flight(store, rank).end()

    def _writer(self, path: Any, rank: int) -> RowWriter:
        more = {"plan": self.plan_hash}
        if self.config.format == "webdataset":
            return WebDatasetRows(path, f"{rank:05d}", self.identity.to_dict() | more)
        return ParquetRows(path, schema_of(self.identity, self.config.layout, more))


def data_name(rank: int, format: str) -> str:
    """The file of a task's rows, in the folder of the run."""
    return f"{DATA}/{rank:05d}{SUFFIXES[format]}"


def error_name(rank: int | str) -> str:
    """The file of a task's errors, or of those of the plan, in the folder of the run."""
    return f"{ERRORS}/{rank:05d}.jsonl" if isinstance(rank, int) else f"{ERRORS}/{rank}.jsonl"


def json_lines(rows: list[dict[str, Any]]) -> str:
    """Rows as JSON lines."""
    return "".join(to_json(row) + "\n" for row in rows)


def read_errors(store: Store) -> Iterator[dict[str, Any]]:
    """The rows of `errors/`."""
    for name in store.names(ERRORS):
        yield from map(json.loads, (store.read(f"{ERRORS}/{name}") or b"").decode().splitlines())


def make_steps(
    config: TokenizeConfig, identity: CodecIdentity, plan: Plan, source: Source, supervised: bool
) -> list[PipelineStep]:
    """The pipeline of a task."""
    encode = EncodeAudio(config, identity, supervised)
    return [ReadPlan(config), encode, WriteCodes(config, identity, plan.hash, source.name)]


@cache
def load(model: str | None, device: str | None) -> tuple[PreTrainedModel, LLMCodecFeatureExtractor]:
    """
    The encoder of a codec and its feature extractor.

    Args:
        model: Its id or folder; None for the embedded one.
        device: Where to; None for an accelerator, if there is one.
    """
    folder = model or str(default_codec())
    where = torch.device(device) if device else torch.accelerator.current_accelerator(check_available=True)
    # float32 proper, which exact codes take
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    codec = load_codec(folder, encoder_alone=True).to(where or "cpu")
    return codec, LLMCodecFeatureExtractor.from_pretrained(folder)


@cache
def _hash(model: PreTrainedModel) -> str:
    return identify(model, None).codec_hash


def _plan(output_dir: str) -> Plan:
    plan = read_plan(Store(output_dir))
    if plan is None:
        raise FileNotFoundError(f"{output_dir} has no plan in {STATE}; start `llm-codec tokenize` again.")
    return plan


_sources: dict[str, Source] = {}


def _source(config: TokenizeConfig) -> Source:
    """The source of a run, which may keep a dataset open."""
    key = repr(config)
    if key not in _sources:
        _sources[key] = make_source(config)
    return _sources[key]


__all__ = ["DATA", "ERRORS", "SUFFIXES", "data_name", "error_name", "json_lines", "load", "make_steps", "read_errors"]
