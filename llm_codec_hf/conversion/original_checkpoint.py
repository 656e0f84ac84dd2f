# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Reading checkpoints of the original implementation: options, tensors, and their translation to `LLMCodecModel`'s."""

import json
import re
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
import yaml
from torch import nn

from llm_codec_hf.configuration_llm_codec import LLMCodecConfig
from llm_codec_hf.layers_llm_codec import LLMCodecConv, LLMCodecDownsample, LLMCodecUpsample
from llm_codec_hf.modeling_llm_codec import LLMCodecModel
from llm_codec_hf.quantizer_llm_codec import inverse_norm

StateDict = dict[str, torch.Tensor]

# The original's option -> its type, and its name in LLMCodecConfig (None: checked here, not kept).
_OPTIONS = {
    "sample_rate": (int, "sampling_rate"),
    "encoder_dim": (int, "encoder_dim"),
    "encoder_rates": (list, "encoder_rates"),
    "latent_dim": (int, "latent_dim"),
    "decoder_dim": (int, "decoder_dim"),
    "decoder_rates": (list, "decoder_rates"),
    "attn_window_size": (int | None, "attn_window_size"),
    "vq_strides": (list, "vq_strides"),
    "noise": (bool, "noise"),
    "depthwise": (bool, "depthwise"),
    "use_cblinear": (bool, None),
}
# Where the original looked for the embeddings before training; a checkpoint has them in it.
_IGNORED_OPTIONS = {"local_embedding_path", "global_embedding_path"}

_DTYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16)

# Rows of an embedding table in float64 at once: 134 MB for 4096 columns.
_BLOCK_ROWS = 4096


# ---- Files


def read_options(path: str | Path) -> dict:
    """
    Reads the original's options: its published YAML, where they are under `generator.config`, or JSON, nested or flat.

    Raises:
        ValueError: for a file that cannot be read, for missing, unknown or wrongly typed options, and for
            `use_cblinear: false`.
    """
    path = existing_file(path, "configuration")
    try:
        text = path.read_text(encoding="utf-8")
        content = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (UnicodeDecodeError, json.JSONDecodeError, yaml.YAMLError) as error:
        raise ValueError(f"The configuration {path} is neither YAML nor JSON: {one_line(error)}") from error
    options = content
    for key in ("generator", "config"):
        if isinstance(options, dict) and isinstance(options.get(key), dict):
            options = options[key]
    if not isinstance(options, dict):
        raise ValueError(f"The configuration {path} must hold options by name, got a {type(options).__name__}.")
    if missing := [name for name in _OPTIONS if name not in options]:
        raise ValueError(
            f"The configuration {path} lacks {_some(missing)}; it needs {', '.join(_OPTIONS)}, at its top or under "
            "`generator.config`."
        )
    if unknown := sorted(map(str, options.keys() - _OPTIONS.keys() - _IGNORED_OPTIONS)):
        raise ValueError(f"The configuration {path} has options that are not known: {_some(unknown)}.")
    for name, (kind, _) in _OPTIONS.items():
        value = options[name]
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise ValueError(f"The option {name} in {path} must be {getattr(kind, '__name__', kind)}, got {value!r}.")
    if not options["use_cblinear"]:
        raise ValueError(
            f"{path} has `use_cblinear: false`, with which the original cannot decode its own codes; only checkpoints "
            "with projected codebooks (`use_cblinear: true`) can be converted."
        )
    return options


def read_state_dict(path: str | Path) -> StateDict:
    """
    Reads the tensors under `codec_model` of a `.pth`: mapped from the disk rather than loaded, and without running any
    code that it holds.

    Raises:
        ValueError: for a missing or damaged file, one that holds anything but tensors and plain values, one without
            `codec_model`, and tensors that are not finite floating-point numbers.
    """
    path = existing_file(path, "checkpoint")
    try:
        # files from before PyTorch 1.6 are no zip files, and cannot be mapped
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except Exception as error:  # what damaged files raise is no closed list
        if found := re.search(r"Unsupported global: GLOBAL (\S+)", str(error)):
            raise ValueError(
                f"The checkpoint {path} holds a {found[1]}; only tensors and plain values are read, since loading "
                "anything else can run code. Save it again with its `codec_model` alone."
            ) from error
        raise ValueError(
            f"The checkpoint {path} is truncated, damaged or not PyTorch's; fetch it again and compare its size. "
            f"({one_line(error)})"
        ) from error
    if not isinstance(content, dict) or not isinstance(content.get("codec_model"), dict):
        found = f"the keys {_some(map(str, content))}" if isinstance(content, dict) else f"a {type(content).__name__}"
        raise ValueError(f"The checkpoint {path} must hold a state dict under `codec_model`; it has {found}.")
    state = content["codec_model"]
    for name, tensor in state.items():
        if not isinstance(name, str):
            raise ValueError(f"`codec_model` in {path} must have names for its tensors, got {name!r}.")
        if not isinstance(tensor, torch.Tensor) or tensor.dtype not in _DTYPES or tensor.is_sparse:
            kind = str(tensor.dtype) if isinstance(tensor, torch.Tensor) else type(tensor).__name__
            raise ValueError(f"{name!r} in {path} must be a dense floating-point tensor, got {kind}.")
        if tensor.numel() and not all(torch.isfinite(bound) for bound in torch.aminmax(tensor)):
            raise ValueError(f"The tensor {name!r} in {path} holds NaN or infinite values; the checkpoint is damaged.")
    return state


# ---- Names. The original is built of `nn.Sequential`s, so its names are positions in them.


def module_names(config: LLMCodecConfig) -> Iterator[tuple[str, str]]:
    """The original's name and ours of every module with weights, but for the quantizer."""

    def numbered(sequential: str, names: list[str]) -> list[tuple[str, str]]:
        return [(f"{sequential}.{i}", name) for i, name in enumerate(names)]

    encoder_blocks = [f"blocks.{i}" for i in range(len(config.encoder_rates))]
    decoder_blocks = [f"blocks.{i}" for i in range(len(config.decoder_rates))]
    units = [f"residual_units.{i}" for i in range(3)]
    attention = ["attention"] if config.attn_window_size is not None else []
    noise = ["noise"] if config.noise else []
    conv_in = ["conv_in.0", "conv_in.1"] if config.depthwise else ["conv_in"]

    in_unit = numbered("block", ["snake1", "conv1", "snake2", "conv2"])
    in_attention = [("norm", "norm"), ("to_qkv", "qkv"), ("to_out", "out")]
    children = {
        "encoder": numbered("block", ["conv_in", *encoder_blocks, *attention, "conv_out"]),
        "encoder.attention": in_attention,
        "encoder.blocks": numbered("block", [*units, "snake", "conv"]),
        "encoder.blocks.residual_units": in_unit,
        "decoder": numbered("model", [*conv_in, *attention, *decoder_blocks, "snake", "conv_out"]),
        "decoder.attention": in_attention,
        "decoder.blocks": numbered("block", ["snake", "conv", *noise, *units]),
        "decoder.blocks.noise": [("linear", "conv")],
        "decoder.blocks.residual_units": in_unit,
    }

    def walk(original: str, ours: str) -> Iterator[tuple[str, str]]:
        below = children.get(re.sub(r"\.\d+", "", ours))
        if below is None:
            yield original, ours
        else:
            for original_child, our_child in below:
                yield from walk(f"{original}.{original_child}", f"{ours}.{our_child}")

    yield from walk("encoder", "encoder")
    yield from walk("decoder", "decoder")


def quantizer_names(layer: int) -> tuple[str, str, str]:
    """The original's names of a layer's embedding table, and of its projection's weight and bias."""
    prefix = f"quantizer.quantizers.{layer}"
    return f"{prefix}.codebook.weight", f"{prefix}.cb_proj.weight", f"{prefix}.cb_proj.bias"


# ---- Checks


def make_config(options: dict, state: StateDict) -> LLMCodecConfig:
    """
    The configuration of a checkpoint: its options, with the sizes that only its tensors tell.

    Raises:
        ValueError: where options and tensors disagree, naming both values; for tensors that are missing, unknown or of
            another shape; for a rotary embedding that is not LLM-Codec's.
    """
    differences = [
        f"{name} is {options[name]} in the configuration, {found} in the tensors"
        for name, found in _options_in_tensors(options, state).items()
        if found != options[name]
    ]
    if differences:
        raise ValueError(f"Configuration and checkpoint do not belong together: {'; '.join(differences)}.")

    kept = {ours: options[name] for name, (_, ours) in _OPTIONS.items() if ours is not None}
    frequencies = {name: tensor for name, tensor in state.items() if name.endswith(".rel_pos.inv_freq")}
    if frequencies:
        kept["attn_head_dim"] = 2 * max(tensor.numel() for tensor in frequencies.values())
    tables = [state.get(quantizer_names(layer)[0]) for layer in range(len(options["vq_strides"]))]
    sizes = [1 if table is None or table.dim() != 2 else table.shape[0] for table in tables]
    config = LLMCodecConfig(**kept, codebook_sizes=sizes)

    expected = _expected_shapes(config, state)
    missing = [name for name in expected if name not in state]
    unknown = [name for name in state if name not in expected]
    if missing or unknown:
        parts = [f"lacks {_some(missing)}"] * bool(missing) + [f"has the unknown {_some(unknown)}"] * bool(unknown)
        raise ValueError(f"The checkpoint's tensors are not those of its configuration: it {' and '.join(parts)}.")
    for name, shape in expected.items():
        if tuple(state[name].shape) != shape:
            raise ValueError(
                f"The tensor {name!r} has the shape {tuple(state[name].shape)}; by the configuration it has {shape}."
            )
    for name, tensor in frequencies.items():
        base_10000 = 10000.0 ** -(torch.arange(0, config.attn_head_dim, 2, dtype=torch.float64) / config.attn_head_dim)
        if not torch.allclose(tensor.double(), base_10000, rtol=1e-3 if tensor.dtype.itemsize < 4 else 1e-6, atol=0):
            raise ValueError(f"{name!r} is no rotary embedding of base 10000, the one that LLM-Codec's attention has.")
    return config


def _options_in_tensors(options: dict, state: StateDict) -> dict:
    """The options that the tensors tell, as far as those are there, written as the options are."""
    found = {
        "noise": any(".linear." in name for name in state),
        "attn_window_size": None,
        "vq_strides": options["vq_strides"],
    }
    if any(".rel_pos." in name for name in state):
        found["attn_window_size"] = options["attn_window_size"] or "a number"
    layers = sum(bool(re.fullmatch(r"quantizer\.quantizers\.\d+\.codebook\.weight", name)) for name in state)
    if layers > len(options["vq_strides"]):
        found["vq_strides"] = f"{layers} numbers"
    unit = state.get("encoder.block.1.block.0.block.1.weight_v")
    if unit is not None and unit.dim() == 3:
        found["depthwise"] = unit.shape[1] == 1
    if encoder := _strided_convs(r"(encoder\.block\.(\d+)\.block)\.", 4, state):
        found["encoder_dim"] = encoder[0][1]
        found["encoder_rates"] = [kernel // 2 for *_, kernel in encoder]
        found["latent_dim"] = encoder[-1][0]
    if decoder := _strided_convs(r"(decoder\.model\.(\d+)\.block)\.", 1, state):
        found["decoder_dim"] = decoder[0][0]
        found["decoder_rates"] = [kernel // 2 for *_, kernel in decoder]
    return found


def _strided_convs(block: str, position: int, state: StateDict) -> list[tuple[int, ...]]:
    """Shapes of the convolution at a position in each block, in order; none where one of them is missing."""
    blocks = {int(match[2]): match[1] for name in state if (match := re.match(block, name))}
    weights = [state.get(f"{blocks[number]}.{position}.weight_v") for number in sorted(blocks)]
    if any(weight is None or weight.dim() != 3 for weight in weights):
        return []
    return [tuple(weight.shape) for weight in weights]


def _expected_shapes(config: LLMCodecConfig, state: StateDict) -> dict[str, tuple[int, ...]]:
    """The original's name of every tensor → its shape. Of the state, only the width of the embedding tables counts."""
    with torch.device("meta"):
        model = LLMCodecModel(config)
    shapes = {}
    for original, ours in module_names(config):
        module = model.get_submodule(ours)
        for name, parameter in module.named_parameters(recurse=False):
            if name == "weight" and (shape := conv_weight_shape(module)):
                shapes[f"{original}.weight_g"] = (shape[0], 1, 1)
                shapes[f"{original}.weight_v"] = shape
            else:
                shapes[f"{original}.{name}"] = tuple(parameter.shape)
        if ours.endswith("attention.qkv"):
            shapes[f"{original.removesuffix('to_qkv')}rel_pos.inv_freq"] = (config.attn_head_dim // 2,)
    for layer, size in enumerate(config.codebook_sizes):
        table, weight, bias = quantizer_names(layer)
        width = state[table].shape[-1] if table in state and state[table].dim() == 2 else -1
        shapes |= {table: (size, width), weight: (config.latent_dim, width), bias: (config.latent_dim,)}
    return shapes


def conv_weight_shape(module: nn.Module) -> tuple[int, ...] | None:
    """The shape of the original's weight of one of our convolutions; None for any other module."""
    if isinstance(module, LLMCodecDownsample):
        return module.weight.shape[2], module.weight.shape[1] // module.stride, 2 * module.stride
    if isinstance(module, LLMCodecUpsample):
        return module.weight.shape[1], module.weight.shape[2] // module.stride, 2 * module.stride
    return tuple(module.weight.shape) if isinstance(module, LLMCodecConv) else None


# ---- Weights


def convert_state_dict(config: LLMCodecConfig, state: StateDict) -> StateDict:
    """
    The state dict of `LLMCodecModel`: weight norm folded and codebooks projected, both computed in float64 and rounded
    once.

    Args:
        config (`LLMCodecConfig`): As `make_config` made it of the same tensors.
        state (`dict`): The original's state dict.

    Raises:
        ValueError: for weights that are not finite once computed, as where a `weight_v` is all zeros.
    """
    converted = {}
    with torch.device("meta"):
        model = LLMCodecModel(config)
    for original, ours in module_names(config):
        for name in ("alpha", "weight", "bias"):
            if f"{original}.{name}" in state:
                converted[f"{ours}.{name}"] = state[f"{original}.{name}"].float()
        if f"{original}.weight_v" in state:
            weight, module = _fold_weight_norm(original, state), model.get_submodule(ours)
            converted[f"{ours}.weight"] = module.pack(weight) if hasattr(module, "pack") else weight
    for layer in range(config.num_codebooks):
        codebook = _project(*(state[name] for name in quantizer_names(layer)))
        converted[f"quantizer.layers.{layer}.codebook"] = codebook
        converted[f"quantizer.layers.{layer}.codebook_inverse_norm"] = inverse_norm(codebook)
    return converted


def _fold_weight_norm(module: str, state: StateDict) -> torch.Tensor:
    direction, length = state[f"{module}.weight_v"].double(), state[f"{module}.weight_g"].double()
    weight = (direction * (length / direction.norm(dim=(1, 2), keepdim=True))).float()
    if not weight.isfinite().all():
        raise ValueError(
            f"Weight norm of {module!r} gives weights that are not finite: `weight_v` has all-zero channels, or "
            "`weight_g` is beyond float32; the checkpoint is damaged."
        )
    return weight


def _project(table: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """The codebook of an embedding table, in blocks: the 32000 × 4096 table would be 1 GB in float64."""
    weight, bias = weight.double(), bias.double()
    blocks = [F.linear(rows.double(), weight, bias).float() for rows in table.split(_BLOCK_ROWS)]
    return torch.cat(blocks)


# ---- Messages


def existing_file(path: str | Path, what: str) -> Path:
    """The path, if it is a file's.

    Raises:
        ValueError: if not.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"The {what} {path} is {'a folder' if path.is_dir() else 'missing'}; give the path of a file.")
    return path


def one_line(error: Exception) -> str:
    """The first line of an error that other code raised."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


def _some(names: Iterable[str], most: int = 4) -> str:
    names = list(names)
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
