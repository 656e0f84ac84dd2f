# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""
The weights of a run in half precision, from which another run begins: small enough for a repository.

    python -m llm_codec_hf.training.warm_start RUN FOLDER
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from .checkpoints import Tensors, load_checkpoint, save_checkpoint, without_prefix

if TYPE_CHECKING:
    from .trainer import CodecTrainer

WEIGHTS, AVERAGES, CHECKPOINT = "weights.safetensors", "averages.safetensors", "checkpoint.safetensors"
LARGEST = torch.finfo(torch.float16).max


def save_warm_start(run: str | Path, folder: str | Path) -> Path:
    """
    Writes what another run needs to begin where this one was last saved, in float16 and without the optimizer.

    The run may go on meanwhile. The folder gets `weights.safetensors` and `averages.safetensors`. The averages alone
    are enough: a run whose folder lacks the weights begins with the averages in their place.

    Args:
        run (`str` or `Path`): The `output_dir` of a run, which has a checkpoint.
        folder (`str` or `Path`): Is made; files in it are replaced.

    Returns:
        The folder.

    Raises:
        ValueError: If there is no checkpoint, or a weight does not fit into float16.
    """
    checkpoint, folder = Path(run) / CHECKPOINT, Path(folder)
    if not checkpoint.is_file():
        raise ValueError(f"{run} holds no {CHECKPOINT}: name the `output_dir` of a run that has been saved.")
    tensors, state = load_checkpoint(checkpoint)
    measured = {f"hearing.{name}": value for name, value in without_prefix("hearing", tensors).items()}
    state = {name: state[name] for name in ("step", "fitted", "latent_variance")}
    for file, prefix in ((WEIGHTS, "learner"), (AVERAGES, "average")):
        weights = {f"learner.{name}": half(name, value) for name, value in without_prefix(prefix, tensors).items()}
        save_checkpoint(folder / file, weights | measured, state)
    return folder


def half(name: str, value: torch.Tensor) -> torch.Tensor:
    """A weight in float16."""
    if not value.abs().max() <= LARGEST:
        raise ValueError(f"The weight {name} reaches {value.abs().max().item()}, which float16 cannot hold.")
    return value.to(torch.float16)


@torch.no_grad()
def load_warm_start(trainer: "CodecTrainer", folder: str | Path) -> None:
    """
    Begins a run with the weights and averages of another, whose codebooks are not fitted again.

    The heads of training may differ: one that the other run had not begins fresh. A run whose codes are frozen begins
    with the averages, which are what was exported.

    Args:
        trainer (`CodecTrainer`): A run that has not begun.
        folder (`str` or `Path`): What `save_warm_start` wrote, or the `output_dir` of a run, whose checkpoint is in
            full precision.

    Raises:
        ValueError: If there is no such folder, or its weights are of another model.
    """
    weights, averages, hearing, state = read_warm_start(Path(folder))
    if trainer.learner.frozen:
        weights = averages
    own = dict(trainer.learner.named_parameters())
    needed = {name: value.shape for name, value in own.items() if not name.startswith("head.")}
    found = {name: value.shape for name, value in weights.items() if not name.startswith("head.")}
    if needed != found:
        different = sorted(name for name in needed.keys() | found.keys() if needed.get(name) != found.get(name))
        raise ValueError(
            f"{folder} is of another model, which differs in {len(different)} weights such as {different[0]}: set "
            "`codec`, `semantic_channels`, the words and the guidance as in that run."
        )
    fitting = [name for name in own if name in weights and weights[name].shape == own[name].shape]
    for name in fitting:
        own[name].copy_(weights[name])
    trainer.averages.restart()
    trainer.averages.load({name: averages[name] for name in fitting})
    if trainer.hearing is not None:
        trainer.hearing.load_state_dict(hearing, strict=False)
    trainer.load_quantization(state)


def read_warm_start(folder: Path) -> tuple[Tensors, Tensors, Tensors, dict]:
    """The weights, their averages, what was measured of Whisper, and the state of quantization."""
    if (folder / AVERAGES).is_file():
        averages, state = load_checkpoint(folder / AVERAGES)
        weights = load_checkpoint(folder / WEIGHTS)[0] if (folder / WEIGHTS).is_file() else averages
        learner = without_prefix("learner", weights), without_prefix("learner", averages)
        return *learner, without_prefix("hearing", averages), state
    if (folder / CHECKPOINT).is_file():
        tensors, state = load_checkpoint(folder / CHECKPOINT)
        learner, averages = (without_prefix(prefix, tensors) for prefix in ("learner", "average"))
        return learner, averages, without_prefix("hearing", tensors), state
    raise ValueError(f"`init_from` {folder} holds neither {AVERAGES} nor {CHECKPOINT}.")


def main() -> None:
    parser = argparse.ArgumentParser(description="Write a run's weights in half precision, for `init_from`.")
    parser.add_argument("run", help="output_dir of a run")
    parser.add_argument("folder", help="folder to write")
    save_warm_start(**vars(parser.parse_args()))


if __name__ == "__main__":
    main()
