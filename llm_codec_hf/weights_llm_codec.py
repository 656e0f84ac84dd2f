# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""
Weights that are not those of the codec. A codec with a tensor drawn at random, or with NaN in one, gives codes that
look like codes: loading warns, and whoever answers with it refuses it.
"""

from safetensors import SafetensorError
from transformers.utils import logging

from .quantizer_llm_codec import inverse_norm
from .tensors_llm_codec import FLOATS

logger = logging.get_logger(__name__)


class LLMCodecWeightsMixin:
    """`from_pretrained` and `check_weights` of [`LLMCodecModel`]."""

    _loading_faults: dict[str, str] = {}  # name of a tensor → what was wrong with it in the file

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path, *args, **kwargs):
        """
        `PreTrainedModel.from_pretrained`, with all of its arguments; it warns where `check_weights` would refuse.

        Raises:
            OSError: for a folder without weights, and for a file of weights that is cut.
            ValueError: for weights of other sizes than the configuration has, unless `ignore_mismatched_sizes`.
        """
        told, ignored = kwargs.pop("output_loading_info", False), kwargs.pop("ignore_mismatched_sizes", False)
        try:
            model, info = super().from_pretrained(
                pretrained_model_name_or_path, *args, output_loading_info=True, ignore_mismatched_sizes=True, **kwargs
            )
        except SafetensorError as error:
            raise OSError(
                f"{pretrained_model_name_or_path}: the file of weights is damaged or cut: {error}."
            ) from error
        sizes = [f"{name} has {tuple(there)}, not {tuple(here)}" for name, there, here in info["mismatched_keys"]]
        if sizes and not ignored:
            raise ValueError(
                f"The weights of {pretrained_model_name_or_path} do not fit its configuration: {_listed(sizes)}. They "
                "are of another codec, or its config.json was changed."
            )
        missing = info["missing_keys"] | {name for name, *_ in info["mismatched_keys"]}
        # what is derived from another tensor was made again
        derived = {name for name in missing if name.endswith("_inverse_norm")}
        derived = {name for name in derived if name.removesuffix("_inverse_norm") not in missing}
        model._loading_faults = dict.fromkeys(missing - derived, "was not in the file, and is random")
        model._loading_faults |= dict.fromkeys(
            info["unexpected_keys"], "is in the file, but the configuration has no place for it"
        )
        if faults := model.weight_faults():
            logger.warning(
                f"The weights of {pretrained_model_name_or_path} are not those of a codec: {_listed(faults)}."
            )
        return (model, info) if told else model

    def load_state_dict(self, state_dict, *args, **kwargs):
        """`Module.load_state_dict`; tensors that were missing in a file are there when they are loaded so."""
        result = super().load_state_dict(state_dict, *args, **kwargs)
        self._loading_faults = {name: fault for name, fault in self._loading_faults.items() if name not in state_dict}
        return result

    def weight_faults(self) -> list[str]:
        """
        What is wrong with the weights, one sentence per tensor: those that were missing, or had no place, when the
        model was loaded, those that are not finite, and codebooks whose lengths are not theirs.
        """
        faults = [f"{name} {fault}" for name, fault in sorted(self._loading_faults.items())]
        for name, tensor in (*self.named_parameters(), *self.named_buffers()):
            if tensor.dtype in FLOATS and tensor.device.type != "meta" and not tensor.isfinite().all():
                faults.append(f"{name} is not finite")
        for k, layer in enumerate(self.quantizer.layers):
            if layer.codebook.device.type == "meta":
                continue
            name, lengths = f"quantizer.layers.{k}.codebook", layer.codebook.norm(dim=-1)
            if (lengths == 0).any():
                faults.append(f"{name} has entries of length 0")
            ratio = layer.codebook_inverse_norm / inverse_norm(layer.codebook)
            if ((ratio - 1).abs() > 0.01).any():
                faults.append(f"{name}_inverse_norm is not that of its codebook")
        return faults

    def check_weights(self) -> None:
        """
        Checks that the weights are those of a codec.

        Raises:
            ValueError: as `weight_faults` tells, naming the tensors.
        """
        if faults := self.weight_faults():
            raise ValueError(
                f"The codec {self.name_or_path or type(self).__name__} cannot be used, its weights are damaged or not "
                f"its own: {_listed(faults)}. Download or save it again."
            )


def _listed(faults: list[str], most: int = 5) -> str:
    more = f", and {len(faults) - most} more" if len(faults) > most else ""
    return ", ".join(faults[:most]) + more


__all__ = ["LLMCodecWeightsMixin"]
