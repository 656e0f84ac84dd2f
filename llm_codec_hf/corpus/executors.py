# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Where the tasks of a run are done: on this machine, or by datatrove on Slurm, Ray or Hugging Face Jobs."""

from typing import Any

import torch
from datatrove.executor.base import PipelineExecutor
from datatrove.pipeline.base import PipelineStep

from .configuration import TokenizeConfig
from .plan import STATE
from .store import Store
from .supervisor import SupervisedExecutor


def make_executor(config: TokenizeConfig, steps: list[PipelineStep], tasks: int, store: Store) -> PipelineExecutor:
    """
    The executor of a run.

    Args:
        config: Names it, its options and the workers.
        steps: The pipeline of a task.
        tasks: How many there are.
        store: The folder of the run.

    Raises:
        ValueError: For options that the executor does not have, or that it lacks.
        ImportError: If Ray is to be used and is not installed.
    """
    common = {"pipeline": steps, "tasks": tasks, "workers": config.workers, "logging_dir": store.url(STATE)}
    if config.executor == "local":
        if config.executor_options:
            raise ValueError("`executor_options` are of the executors slurm, ray and jobs.")
        return SupervisedExecutor(**common, store=store, devices=_devices(config))
    try:
        return _kind(config.executor)(**common | config.executor_options)
    except TypeError as error:  # an option too many, or too few
        raise ValueError(f"`executor_options` {config.executor_options} of {config.executor}: {error}.") from error


def _kind(name: str) -> Any:
    if name == "slurm":
        from datatrove.executor.slurm import SlurmPipelineExecutor

        return SlurmPipelineExecutor
    if name == "jobs":
        from datatrove.executor.jobs import JobsPipelineExecutor

        return JobsPipelineExecutor
    try:
        import ray
    except ImportError as error:
        raise ImportError("The executor ray needs Ray: run `pip install ray`.") from error
    from datatrove.executor.ray import RayPipelineExecutor

    if not ray.is_initialized():
        ray.init(log_to_driver=False)  # a cluster that RAY_ADDRESS names, or one of this machine alone
    return RayPipelineExecutor


def _devices(config: TokenizeConfig) -> list[str]:
    """The accelerators of this machine, for the workers in turn; none where a device is named, or none is there."""
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    if config.device or accelerator is None:
        return []
    return [f"{accelerator.type}:{number}" for number in range(torch.accelerator.device_count())]


__all__ = ["make_executor"]
