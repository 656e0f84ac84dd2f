# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""`llm-codec evaluate`."""

import argparse
import dataclasses
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from .errors import FAILED, note, usage
from .fields import add_fields, given_fields, import_alone, to_arguments

TITLE = "Measures few-shot accuracy, and how sure it is."
DETAILS = (
    "Draws episodes, asks the language model and its controls, and writes a folder: every answer, a summary and a\n"
    "report with pictures. A run that was stopped goes on where it stopped. Prints the report's name."
)
GOES_ON = "the same command goes on where it stopped"
EXAMPLES = (
    "evaluate --list",
    "evaluate percussion --root AUDIO/tasks --output_dir results",
    "evaluate clips/ --ways 2 --shots 1 3 5 --episodes 100 --output_dir results",
    "evaluate run.yaml --output_dir results",
    "evaluate --scp acc_9way_1_shot.scp",
    "evaluate clips/ --server http://127.0.0.1:8000/v1 --output_dir results",
)
LAUNCHED = "LLM_CODEC_LAUNCHED"  # set in the processes that `launch` starts
FLAGS = ("no_instruction", "no_baselines")
HIDDEN = ("root", "audio_root", "output_dir")  # folders of one machine, which say nothing to others


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    config = import_alone("llm_codec_hf.evaluation.configuration").EvaluationConfig
    parser.add_argument(
        "tasks",
        nargs="*",
        metavar="TASK",
        help="a task's name, its YAML file, or a folder of clips; or a YAML file of these options, which arguments "
        "override",
    )
    parser.add_argument("--list", action="store_true", help="print the tasks that ship with the package")
    add_fields(parser, config, skip=("tasks", *FLAGS))
    for field in dataclasses.fields(config):
        if field.name in FLAGS:  # without a value of its own, which could be a task that follows
            text = field.metadata["help"]
            parser.add_argument(f"--{field.name}", action="store_true", default=argparse.SUPPRESS, help=text)


def run(args: argparse.Namespace) -> int:
    """Runs the command."""
    from llm_codec_hf.evaluation.building import make_tasks, run_evaluation
    from llm_codec_hf.evaluation.episodes import describe_scp
    from llm_codec_hf.evaluation.tasks import list_tasks, load_task

    if args.list:
        for name in list_tasks():
            print(f"{name}\t{load_task(name).description}")
        return 0
    with usage():
        config = make_config(args)
    if config.scp:
        for line in describe_scp(config.scp).lines():
            print(line, flush=True)
        if not config.asks:
            print("Nothing was asked: add --audio_root, the folder that the entries are relative to.")
            return 0
    if config.num_processes > 1 and "LOCAL_RANK" not in os.environ:
        make_tasks(config)  # what is wrong with them is said once
        launch(config)
        is_main_process = True
    else:
        shown = dataclasses.replace(config, **{name: name.upper() for name in HIDDEN if getattr(config, name)})
        command = shlex.join(["llm-codec", "evaluate", *to_arguments(shown, "tasks")])
        try:
            is_main_process = bool(run_evaluation(config, command))
        except RuntimeError as error:
            if not config.server:
                raise
            raise ValueError(str(error)) from error  # the server's answer is for the user, without a traceback
    if not is_main_process or os.environ.get(LAUNCHED):  # whoever launched it tells
        return 0
    folder = Path(config.output_dir)
    print(folder / "report.md", flush=True)
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    if not summary["failures"]:
        return 0
    note(f"{len(summary['failures'])} of {summary['episodes']} episodes failed; the report says why.")
    return FAILED


def make_config(args: argparse.Namespace):
    """
    Makes the `EvaluationConfig` of arguments, among which may be a YAML file with further ones.

    Raises:
        ValueError: If there are several such files, and as `EvaluationConfig.from_dict` does.
    """
    from llm_codec_hf.evaluation.configuration import EvaluationConfig
    from llm_codec_hf.files.run_settings import read_fields

    fields, given = {}, given_fields(args, EvaluationConfig)
    paths = [name for name in args.tasks if Path(name).suffix in (".yaml", ".yml") and Path(name).is_file()]
    runs = {path: content for path in paths if "source" not in (content := read_fields(path, EvaluationConfig))}
    if len(runs) > 1:
        raise ValueError(f"One file of options at a time, got {', '.join(runs)}. (A task's file has a `source`.)")
    for path, content in runs.items():
        fields = content
        given["tasks"] = [name for name in args.tasks if name != path]
    if not given["tasks"]:
        del given["tasks"]
    return EvaluationConfig.from_dict(fields | given)


def launch(config) -> None:
    """
    Runs an evaluation in several processes, among which accelerate divides the devices.

    Args:
        config: The `EvaluationConfig`.

    Raises:
        ValueError: If there are too few devices, or a process fails.
    """
    import torch

    devices = torch.accelerator.device_count()
    if 0 < devices < config.num_processes and not config.device:
        raise ValueError(f"--num_processes {config.num_processes}, but there are {devices} devices here.")
    environment = {**os.environ, "ACCELERATE_USE_CPU": str(not devices or config.device == "cpu").lower()}
    environment.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // config.num_processes)))
    with socket.create_server(("127.0.0.1", 0)) as free:
        environment |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    environment |= dict.fromkeys(("WORLD_SIZE", "LOCAL_WORLD_SIZE"), str(config.num_processes)) | {LAUNCHED: "1"}
    # not by `accelerate launch`, which starts several on a CPU only by MPI, and not by torchrun, which tells of Ctrl-C
    # and of a failure on dozens of lines
    command = [sys.executable, "-m", "llm_codec_cli", "evaluate", *to_arguments(config, "tasks")]
    started, before = [], signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        for rank in range(config.num_processes):
            environment |= {"RANK": str(rank), "LOCAL_RANK": str(rank)}
            # a group of its own, so that Ctrl-C comes to this process alone
            started.append(subprocess.Popen(command, env=environment, process_group=0))
        statuses: list[int | None] = [None]
        while None in statuses:
            statuses = [process.poll() for process in started]
            if failed := list(filter(None, statuses)):
                raise ValueError(
                    f"A process of the {config.num_processes} failed (status {failed[0]}); see above. {GOES_ON}."
                )
            time.sleep(0.1)
    finally:
        signal.signal(signal.SIGTERM, before)
        for process in started:
            process.terminate()
            process.wait()
