# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
r"""
What depends on what: the layers of every encoder and decoder as rows of numbers, and the spans that follow from
them.

Strided and transposed convolutions, spectrograms and their inverse, and windows of attention are all one kind of row.
To find which inputs some outputs depend on, walk the rows backwards, and let the span grow at each:

    convolution of kernel 3, stride 2, padding 1             transposed convolution of kernel 4, stride 2, padding 1

    outputs             [2   3]                              outputs           [4 5 6 7]
                       /  \ /  \                                              /| | | |\
    inputs   0  1  2 [3  4 5 6  7 ] 8                        inputs     0 [1   2   3   4 ] 5

    2 · 2 − 1 = 3  …  3 · 2 − 1 + 3 − 1 = 7                  ⌈(4 + 1 − 3) / 2⌉ = 1  …  ⌊(7 + 1) / 2⌋ = 4

    windows of 4             [5]     one step of a window depends on all of it
    inputs   0 1 2 3 | [4 5 6 7] | 8

Chunks and streams give exactly what the whole gives because they ask here how much of the input they need.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from .arguments_llm_codec import whole_number


class Layer(NamedTuple):
    """
    One layer that looks sideways, or changes the rate.

    Attributes:
        kernel: Steps that one output sees (of a transposed layer: that one input reaches).
        stride: Factor by which the rate falls (of a transposed layer: rises).
        dilation: Steps between two taps of the kernel; 1 for transposed layers.
        padding: Steps of zeros before the input (of a transposed layer: outputs dropped at the start).
        transposed: Whether the rate rises.
        window: Steps per window that sees all of itself and nothing else, as of local attention.
    """

    kernel: int = 1
    stride: int = 1
    dilation: int = 1
    padding: int = 0
    transposed: bool = False
    window: int = 1


def span(layers: Sequence[Layer], start: int, stop: int) -> tuple[int, int]:
    """The inputs, from the first to before the last, that the outputs `start … stop - 1` of the layers depend on.

    A span may reach before the input's start and past its end, into the zeros there.
    """
    for layer in reversed(layers):
        if layer.transposed:
            # output t is made of the inputs i with 0 ≤ t + padding - i · stride < kernel
            start = -(-(start + layer.padding + 1 - layer.kernel) // layer.stride)
            stop = (stop - 1 + layer.padding) // layer.stride + 1
        else:
            start = start * layer.stride - layer.padding
            stop = (stop - 1) * layer.stride - layer.padding + layer.dilation * (layer.kernel - 1) + 1
        start, stop = start // layer.window * layer.window, -(-stop // layer.window) * layer.window
    return start, stop


def rate(layers: Sequence[Layer]) -> int:
    """Inputs per output of an encoder's layers, outputs per input of a decoder's."""
    steps = 1
    for layer in layers:
        steps *= layer.stride
    return steps


# ---- The original's: Snake convolutions

KERNEL_SIZE = 7  # of every convolution that keeps its rate, but for the pointwise ones
DILATIONS = (1, 3, 9)  # of a block's residual units

CONV_REACH = KERNEL_SIZE // 2  # steps that such a convolution sees on either side
BLOCK_REACH = CONV_REACH * sum(DILATIONS)  # and that a block's residual units see together

CONV = Layer(KERNEL_SIZE, padding=CONV_REACH)
RESIDUAL_UNITS = [Layer(KERNEL_SIZE, dilation=dilation, padding=CONV_REACH * dilation) for dilation in DILATIONS]


def conv_encoder_layers(config) -> list[Layer]:
    """Rows of `"conv"`, samples → latent frames."""
    layers = [CONV]
    for stride in config.encoder_rates:
        layers += [*RESIDUAL_UNITS, Layer(2 * stride, stride, padding=math.ceil(stride / 2))]
    return [*layers, Layer(window=config.attn_window_size or 1), CONV]


def conv_decoder_layers(config) -> list[Layer]:
    """Rows of `"conv"`, latent frames → samples."""
    layers = [CONV, Layer(window=config.attn_window_size or 1)]
    for stride in config.decoder_rates:
        layers += [Layer(2 * stride, stride, padding=math.ceil(stride / 2), transposed=True), *RESIDUAL_UNITS]
    return [*layers, CONV]


def conv_weights(config, dim: int, rates: Sequence[int]) -> int:
    """About how many weights a `"conv"` encoder or decoder has whose widest layer has `dim` channels."""
    kernel = 1 if config.depthwise else KERNEL_SIZE
    weights = (kernel + 1) * max(dim, config.latent_dim) ** 2  # the layers at the rate of the latents
    if config.attn_window_size is not None:
        weights += 4 * dim**2
    for i, stride in enumerate(rates):
        width = dim // 2 ** (i + 1)
        weights += 2 * stride * 2 * width * width + len(DILATIONS) * (kernel + 1) * width**2
    return weights


def conv_encoder_weights(config) -> int:
    """About how many weights a `"conv"` encoder has."""
    return conv_weights(config, config.latent_dim, config.encoder_rates[::-1])


def conv_decoder_weights(config) -> int:
    """About how many weights a `"conv"` decoder has."""
    return conv_weights(config, config.decoder_dim, config.decoder_rates)


# ---- Ours: spectrograms and ConvNeXt blocks

SPECTRAL_ENCODER_OPTIONS: dict[str, Any] = {
    "fft_size": 640,  # samples per spectrum
    "fft_hop_length": 160,  # samples between two spectra
    "num_mels": 80,  # mel bands
    "stride": 3,  # spectra per latent frame
    "hidden_size": 256,  # channels of the blocks
    "num_layers": 6,  # blocks, at the rate of the latent frames
    "kernel_size": 7,  # frames that a block sees
    "lookahead": 2,  # of them, those after the frame itself
    "expansion": 3,  # channels inside a block per channel of it
    "semantic_channels": 0,  # the first latent channels, which come from a branch of its own; 0: no such branch
    "semantic_hidden_size": 128,  # channels of the branch's blocks
    "semantic_num_layers": 6,  # its blocks
}

SPECTRAL_DECODER_OPTIONS: dict[str, Any] = {
    "hidden_size": 256,  # channels of the blocks at the rate of the latent frames
    "num_layers": 4,  # such blocks
    "stride": 3,  # spectra per latent frame
    "fine_hidden_size": 192,  # channels of the blocks at the rate of the spectra
    "fine_num_layers": 6,  # such blocks
    "fft_size": 640,  # samples per spectrum
    "fft_hop_length": 160,  # samples between two spectra
    "kernel_size": 7,  # frames, or spectra, that a block sees
    "lookahead": 2,  # of them, those after the one itself
    "expansion": 3,  # channels inside a block per channel of it
}


def spectrum_layer(options: Mapping[str, Any], transposed: bool = False) -> Layer:
    """Spectra whose hops tile the audio: the window's surplus over a hop lies half before it, half after."""
    size, hop = options["fft_size"], options["fft_hop_length"]
    return Layer(size, hop, padding=(size - hop) // 2, transposed=transposed)


def block_layer(options: Mapping[str, Any]) -> Layer:
    """A ConvNeXt block, which sees `lookahead` steps ahead and the rest of its kernel behind."""
    return Layer(options["kernel_size"], padding=options["kernel_size"] - 1 - options["lookahead"])


def spectral_encoder_layers(config) -> list[Layer]:
    """Rows of `"spectral"`, samples → latent frames."""
    options = config.encoder_options
    branches = [options["num_layers"], options["semantic_num_layers"] if options["semantic_channels"] else 0]
    stride = options["stride"]
    down = Layer(3 * stride, stride, padding=stride)  # a latent frame's own spectra, and as many before and after
    return [spectrum_layer(options), down, *[block_layer(options)] * max(branches)]


def spectral_decoder_layers(config) -> list[Layer]:
    """Rows of `"spectral"`, latent frames → samples."""
    options = config.decoder_options
    block, stride = block_layer(options), options["stride"]
    up = Layer(stride, stride, transposed=True)
    layers = [block] * (1 + options["num_layers"]) + [up] + [block] * options["fine_num_layers"]
    return [*layers, spectrum_layer(options, transposed=True)]


def block_weights(channels: int, layers: int, options: Mapping[str, Any]) -> int:
    """About how many weights some ConvNeXt blocks have."""
    return layers * channels * (2 * options["expansion"] * channels + options["kernel_size"])


def spectral_encoder_weights(config) -> int:
    """About how many weights, and numbers of fixed bases, a `"spectral"` encoder has."""
    options = config.encoder_options
    weights = options["fft_size"] * (options["fft_size"] + options["num_mels"])
    for part in ("", "semantic_")[: 1 + bool(options["semantic_channels"])]:
        hidden = options[f"{part}hidden_size"]
        weights += block_weights(hidden, options[f"{part}num_layers"], options)
        weights += hidden * (3 * options["stride"] * options["num_mels"] + config.latent_dim)
    return weights


def spectral_decoder_weights(config) -> int:
    """About how many weights, and numbers of fixed bases, a `"spectral"` decoder has."""
    options = config.decoder_options
    hidden, fine, size = options["hidden_size"], options["fine_hidden_size"], options["fft_size"]
    weights = hidden * (options["kernel_size"] * config.latent_dim + options["stride"] * fine)
    weights += block_weights(hidden, options["num_layers"], options)
    weights += block_weights(fine, options["fine_num_layers"], options)
    return weights + size * (size + fine)


# Larger than any that makes sense; what they take together is bounded by the number of weights.
SPECTRAL_LIMITS = {
    "num_layers": 256,
    "semantic_num_layers": 256,
    "fine_num_layers": 256,
    "kernel_size": 255,
    "stride": 64,
}
SPECTRAL_LIMIT = 2**14


def check_spectral_options(name: str, options: Mapping[str, Any]) -> None:
    """
    Checks the options of a spectral encoder or decoder.

    Raises:
        ValueError: naming the option, what came and what was expected.
    """
    for key, value in options.items():
        least = 0 if key in ("semantic_channels", "lookahead", "num_layers", "fine_num_layers") else 1
        whole_number(f"{name}[{key!r}]", value, least, SPECTRAL_LIMITS.get(key, SPECTRAL_LIMIT))
    size, hop = options["fft_size"], options["fft_hop_length"]
    if size < 4 or size % hop or (size - hop) % 2:
        raise ValueError(
            f"`{name}`: `fft_size` ({size}) must be 4 or more, and a multiple of `fft_hop_length` ({hop}) that "
            "exceeds it by an even number, so that the spectra tile the audio."
        )
    if not options.get("num_mels", 0) <= size // 4:
        raise ValueError(f"`{name}`: `num_mels` ({options['num_mels']}) is more than a quarter of `fft_size` ({size}).")
    if options["lookahead"] >= options["kernel_size"]:
        raise ValueError(
            f"`{name}`: `lookahead` ({options['lookahead']}) must be below `kernel_size` ({options['kernel_size']})."
        )


class Variant(NamedTuple):
    """
    What the configuration knows about a type of encoder or decoder.

    Attributes:
        layers: Configuration → rows.
        weights: Configuration → about how many weights.
        options: Names and defaults of the type's own options.
        check: Checks them, given the name of the field and all options.
    """

    layers: Callable[[Any], list[Layer]]
    weights: Callable[[Any], int]
    options: Mapping[str, Any] = {}
    check: Callable[[str, Mapping[str, Any]], None] = lambda name, options: None


ENCODER_VARIANTS = {
    "conv": Variant(conv_encoder_layers, conv_encoder_weights),
    "spectral": Variant(
        spectral_encoder_layers, spectral_encoder_weights, SPECTRAL_ENCODER_OPTIONS, check_spectral_options
    ),
}
DECODER_VARIANTS = {
    "conv": Variant(conv_decoder_layers, conv_decoder_weights),
    "spectral": Variant(
        spectral_decoder_layers, spectral_decoder_weights, SPECTRAL_DECODER_OPTIONS, check_spectral_options
    ),
}
