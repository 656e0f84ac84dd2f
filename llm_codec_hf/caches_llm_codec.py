# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""The keys and values of a prompt that several rows share: repeated for them, and branched where they part."""

import copy
from collections.abc import Sequence

import torch
from transformers import Cache, DynamicCache
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer


class RoomyLayer(DynamicLayer):
    """
    The keys and values that rows have in common, once for each row, with room for those to come, which are written into
    it: a layer of Transformers makes all of them anew for every step, which takes longer than the step.
    """

    def __init__(self, keys: torch.Tensor, values: torch.Tensor, length: int):
        super().__init__()
        self._room = keys, values
        self.dtype, self.device, self.is_initialized = keys.dtype, keys.device, True
        self._see(length)

    @classmethod
    def of(cls, layer: DynamicLayer, rows: Sequence[int], room: int) -> "RoomyLayer":
        """The rows of a layer that are named, each as often as it is named, with room for some steps more."""
        length, buffers, known = layer.keys.shape[-2], [], layer.keys.shape[0]
        times = len(rows) // known
        in_turn = list(rows) == [row for row in range(known) for _ in range(times)]
        for tensor in (layer.keys, layer.values):
            buffers.append(tensor.new_empty(len(rows), tensor.shape[1], length + room, tensor.shape[3]))
            if in_turn:  # spread without a copy in between
                buffers[-1].unflatten(0, (known, times))[..., :length, :] = tensor[:, None]
            else:
                buffers[-1][:, :, :length] = tensor[list(rows)]
        return cls(*buffers, length)

    def branch(self) -> "RoomyLayer":
        """A view of the current state. Branches share one buffer: continue only one at a time."""
        return RoomyLayer(*self._room, self.keys.shape[-2])

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *args, **kwargs):
        start = self.keys.shape[-2]
        stop = start + key_states.shape[-2]
        for buffer, states in zip(self._room, (key_states, value_states)):
            buffer[:, :, start:stop] = states
        self._see(stop)
        return self.keys, self.values

    def _see(self, length: int) -> None:
        self.keys, self.values = (buffer[:, :, :length] for buffer in self._room)


def repeated(past: Cache, rows: Sequence[int], room: int) -> Cache:
    """
    Keys and values for new rows, each going on from a row of others, which stay as they are.

    Args:
        past (`Cache`): What was read.
        rows (`Sequence[int]`): The row of `past` that each new row goes on from.
        room (`int`): Ids that are to come, at most.
    """
    cache, index = branch(past), torch.tensor(list(rows), dtype=torch.long)
    if type(cache) is not DynamicCache:  # which may keep more than layers
        cache.reorder_cache(index)
        return cache
    layers = []
    for layer in cache.layers:
        if type(layer) in (DynamicLayer, RoomyLayer) and layer.is_initialized:
            layers.append(RoomyLayer.of(layer, rows, room))
        else:
            layer.reorder_cache(index)
            layers.append(layer)
    cache.layers = layers
    return cache


def branch(past: Cache) -> Cache:
    """Keys and values that go on from others, which stay as they are."""
    if type(past) is not DynamicCache:
        return copy.deepcopy(past)
    cache = copy.copy(past)
    cache.layers = []
    for layer in past.layers:
        if isinstance(layer, RoomyLayer):
            cache.layers.append(layer.branch())
        elif type(layer) in (DynamicLayer, DynamicSlidingWindowLayer):  # which put new tensors in place of theirs
            cache.layers.append(copy.copy(layer))
        else:  # which may write into theirs
            cache.layers.append(copy.deepcopy(layer))
    return cache


__all__ = ["RoomyLayer", "branch", "repeated"]
