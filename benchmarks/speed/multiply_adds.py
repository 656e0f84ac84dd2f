# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Multiply-adds of a call, counted while it runs."""

from collections.abc import Callable
from math import prod

import torch
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count


def lstm_flops(input_shape, *args, out_shape=None, **kwargs) -> int:
    """Every weight matrix (a 2-D shape among the arguments) meets every step of every item once."""
    steps, batch = input_shape[:2]
    shapes = [shape for arg in args for shape in (arg if isinstance(arg, list) else [arg])]
    return 2 * steps * batch * sum(prod(shape) for shape in shapes if isinstance(shape, tuple) and len(shape) == 2)


def attention_flops(query_shape, key_shape, value_shape, *args, out_shape=None, **kwargs) -> int:
    return sdpa_flop_count(query_shape, key_shape, value_shape)


UNKNOWN_TO_TORCH = {
    torch.ops.aten.mkldnn_rnn_layer: lstm_flops,
    torch.ops.aten._cudnn_rnn: lstm_flops,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: attention_flops,
}


def count_flops(call: Callable[[], object]) -> int:
    """Floating-point operations, two a multiply-add, of convolutions, matrix products, attention and LSTMs."""
    with FlopCounterMode(display=False, custom_mapping=UNKNOWN_TO_TORCH) as counter:
        call()
    return counter.get_total_flops()
