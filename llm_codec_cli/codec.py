# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""The codec that a command works with: `--model` and `--device`, or the embedded one on what there is."""

from argparse import Namespace

from .errors import UsageError


def model_path(args: Namespace) -> str:
    """The codec's id or folder."""
    from llm_codec_hf.embedded import default_codec

    return args.model or str(default_codec())


def load_config(args: Namespace):
    """
    Loads the codec's configuration.

    Raises:
        UsageError: If there is no such model, or it is of another kind.
    """
    from transformers import AutoConfig

    from llm_codec_hf import LLMCodecConfig

    try:
        config = AutoConfig.from_pretrained(model_path(args))
    except (OSError, ValueError) as error:
        raise UsageError(f"--model {model_path(args)}: {error}") from error
    if not isinstance(config, LLMCodecConfig):
        raise UsageError(f"--model {model_path(args)}: this is a {config.model_type}, not an llm_codec.")
    return config


def load_model(args: Namespace):
    """Loads the codec, on its device and for inference; raises as `load_config` and `find_device`."""
    from llm_codec_hf.files.codec_folder import load_codec

    config, device = load_config(args), find_device(args.device)
    try:
        return load_codec(model_path(args), config=config).to(device)
    except (OSError, ValueError) as error:
        raise ValueError(f"--model {model_path(args)}: {error}") from error


def find_device(name: str | None):
    """
    Finds a device by its name; without one, an accelerator where there is one, else the CPU.

    Raises:
        UsageError: If there is no such device.
    """
    import torch

    if name is None:
        return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:  # an AssertionError where torch is built without CUDA
        raise UsageError(f"--device {name}: {str(error).splitlines()[0]}") from error
