# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""
Transformers' own common tests, run on the codec: `transformers_common` is their code, unchanged.

Those that cannot apply are in `DOES_NOT_APPLY`, with the reason. Any other must pass: one that skips itself and is not
listed fails. What wants hardware or a package that is not here (an accelerator, `kernels`) skips by its decorator.
"""

import contextlib
import fnmatch
import inspect
import unittest
from unittest import mock

import pytest
import torch
import transformers
from conftest import tiny_config
from transformers.testing_utils import torch_device

from llm_codec_hf import LLMCodecConfig, LLMCodecModel

if transformers.__version__.split(".")[:2] != ["5", "23"]:
    pytest.skip("tests/transformers_common is that of Transformers 5.23", allow_module_level=True)

from transformers_common import test_modeling_common
from transformers_common.test_configuration_common import ConfigTester
from transformers_common.test_modeling_common import ModelTesterMixin, seeded_weight_init

pytestmark = pytest.mark.e2e

# reason → the tests that it excludes
DOES_NOT_APPLY = {
    "audio enters through a convolution: the codec has no token embeddings to get, set, resize, tie or bypass": [
        "test_model_get_set_embeddings",
        "test_inputs_embeds",
        "test_inputs_embeds_matches_input_ids",
        "test_enable_input_require_grads_with_gradient_checkpointing",
        "test_resize_tokens_embeddings",
        "test_resize_tokens_embeddings_with_deepspeed",
        "test_resize_tokens_embeddings_with_deepspeed_multi_gpu",
        "test_resize_embeddings_untied",
        "test_resize_embeddings_untied_with_deepspeed",
        "test_resize_embeddings_untied_with_deepspeed_multi_gpu",
        "test_resize_embeddings_untied_no_reinit_on_post_init",
        "test_tied_weights_keys",
    ],
    "the codec has no position embeddings": ["test_resize_position_vector_embeddings"],
    "the outputs are audio, codes and losses: the codec returns no hidden states and no attentions": [
        "test_hidden_states_output",
        "test_attention_outputs",
        "test_retain_grad_hidden_states_attentions",
        "test_capture_outputs_decorator",
        "test_can_capture_specific_layers_hidden_states",
        "test_format_of_can_record_outputs",
        "test_eager_matches_sdpa_inference_24_fp32_pad_left_output_attentions",
    ],
    "the codec is no multimodal model: it has no `get_…_features`": [
        "test_get_text_features_*",
        "test_get_image_features_*",
        "test_get_audio_features_*",
        "test_get_video_features_*",
    ],
    "the codec has no head that classifies or models language, and takes no labels": [
        "test_problem_types",
        "test_load_with_mismatched_shapes",
        "test_can_load_ignoring_mismatched_shapes",
        "test_causal_lm_loss_honors_shift_labels",
        "test_encoder_decoder_loss_no_double_shift",
    ],
    "compares a head with the base model under it; the codec is one class": [
        "test_model_base_model_prefix",
        "test_base_model_prefix_loads_base_weights",
        "test_correct_missing_keys",
        "test_torch_save_load",
    ],
    "the configuration has no sub-configurations": [
        "test_internal_model_config_and_subconfig_are_same",
        "test_attn_implementation_composite_models",
        "test_can_set_attention_dynamically_composite_model",
        "test_sdpa_can_dispatch_composite_models",
        "test_flash_attn_*_can_dispatch_composite_models",
    ],
    "a padded window needs a mask of single frames, a tensor that FlashAttention and FlexAttention do not take": [
        "test_flash_attn_*_inference_equivalence*",
        "test_flash_attn_*_from_config",
        "test_flash_attn_2_fp32_ln",
        "test_flash_attn_2_can_compile_with_attention_mask_None_without_graph_break",
        "test_flex_attention_with_grads",
    ],
    "attention windows of the codec do not slide": ["test_sliding_window_mask"],
    "the rotary embedding numbers the frames of one window, is never scaled and has no configuration": [
        "test_model_rope_scaling_from_config_*",
        "test_model_rope_scaling_frequencies",
        "test_model_rope_with_partial_rotation",
        "test_vision_axial_rope",
    ],
    "the codec has no experts": [
        "test_moe_models_record_router_logits",
        "test_output_router_logits_from_config",
        "test_eager_matches_batched_and_grouped_inference_*",
    ],
    "the codec has no plan for tensor parallelism": [
        "test_tp_plan_matches_params",
        "test_tied_head_has_a_tp_plan_entry",
    ],
    "checkpoints are loaded as they stand: Transformers converts no weights of this model type": [
        "test_reverse_loading_mapping",
        "test_can_load_from_already_mapped_keys",
    ],
    "every tensor of the codec is saved": ["test_save_load_keys_to_ignore_on_save"],
    "the depth of the codec is the length of its lists of strides; there is no `num_hidden_layers`": [
        "test_num_layers_is_small"
    ],
    "feeds `input_ids` to a language model": ["test_torch_compile_for_training"],
}


class LLMCodecModelTester:
    image_size = patch_size = 1  # their test of SDPA takes a parameter called `noise` for that of a masked image

    def __init__(self, parent):
        self.parent = parent
        self.is_training = True
        # a part of a window, all of the batch, one sample, whole groups, a whole window, one sample more, a whole group
        self.lengths = [5000, 9000, 1, 3840, 7680, 7681, 1920]
        self.batch_size = len(self.lengths)
        self.padded = True
        self.padding_side = "right"

    def get_config(self) -> LLMCodecConfig:
        return tiny_config()

    def prepare_config_and_inputs(self):
        samples = max(self.lengths)
        inputs = {"input_values": 0.1 * torch.randn(self.batch_size, 1, samples, device=torch_device)}
        if self.padded:
            mask = torch.arange(samples) < torch.tensor(self.lengths)[:, None]
            mask = mask if self.padding_side == "right" else mask.flip(-1)
            inputs["padding_mask"] = mask.long().to(torch_device)  # the padding itself is noise, and must not matter
        return self.get_config(), inputs

    def prepare_config_and_inputs_for_common(self):
        return self.prepare_config_and_inputs()


class WithLoss(LLMCodecModel):
    """What a training loop adds: their tests of training want a `loss`."""

    def forward(self, input_values, padding_mask=None):
        output = super().forward(input_values, padding_mask)
        output.loss = (output.audio_values - input_values).abs().mean() + output.commitment_loss.mean()
        return output


class WithoutHiddenStates(LLMCodecModel):
    """Takes, and ignores, the requests for outputs that the codec does not have."""

    def forward(self, *args, output_hidden_states=None, output_attentions=None, **kwargs):
        return super().forward(*args, **kwargs)


class WithoutPadding(LLMCodecModel):
    """Takes the padding off an item that comes alone."""

    def forward(self, input_values, padding_mask):
        if len(input_values) == 1:
            input_values, padding_mask = input_values[:, :, padding_mask[0].bool()], None
        return super().forward(input_values, padding_mask)


class LLMCodecModelTest(ModelTesterMixin, unittest.TestCase):
    all_model_classes = (LLMCodecModel,)
    additional_model_inputs = ["padding_mask"]

    def setUp(self):
        transformers.set_seed(0)
        self.model_tester = LLMCodecModelTester(self)
        self.config_tester = ConfigTester(
            self,
            config_class=LLMCodecConfig,
            has_text_modality=False,
            common_properties=["sampling_rate", "hop_length", "num_codebooks", "codebook_sizes"],
            encoder_dim=4,
            decoder_dim=64,
            codebook_sizes=[24, 32, 32],
        )

    def skipTest(self, reason):
        self.fail(f"{self.id()} skips itself, and DOES_NOT_APPLY does not list it: {reason}")

    def _prepare_for_class(self, inputs_dict, model_class, return_labels=False):
        inputs = super()._prepare_for_class(inputs_dict, model_class, return_labels)
        for name in ("output_hidden_states", "output_attentions"):
            inputs.pop(name, None)
        if isinstance(inputs.get("noise"), torch.Tensor):
            del inputs["noise"]
        return inputs

    # ---- What each model's own test adds to the common ones

    def test_config(self):
        self.config_tester.run_common_tests()

    def test_model_forward(self):
        config, inputs = self.model_tester.prepare_config_and_inputs()
        with torch.no_grad():
            output = LLMCodecModel(config).to(torch_device).eval()(**inputs)
        self.assertEqual(output.audio_values.shape, inputs["input_values"].shape)
        self.assertEqual(output.audio_codes.shape, (self.model_tester.batch_size, config.codes_per_group, 6))

    def test_forward_signature(self):
        names = list(inspect.signature(LLMCodecModel.forward).parameters)
        self.assertEqual(names[:3], ["self", "input_values", "padding_mask"])

    def test_torch_compile(self):
        """Theirs want an accelerator, or a language model."""
        model, inputs = self.prepare_one_block()
        compiled = torch.compile(model, backend="eager", fullgraph=True, dynamic=False)
        with torch.no_grad():
            self.assert_same_outputs(compiled(**inputs), model(**inputs))

    def test_torch_export(self):
        """Theirs are not in the distribution."""
        model, inputs = self.prepare_one_block()
        with torch.no_grad():
            exported = torch.export.export(model, (), inputs, strict=False).module()
            self.assert_same_outputs(exported(**inputs), model(**inputs))

    def prepare_one_block(self):
        _, inputs = self.model_tester.prepare_config_and_inputs()
        config = tiny_config(encoder_dim=32, encoder_rates=[8], decoder_rates=[8])
        return LLMCodecModel(config).to(torch_device).eval(), inputs

    def assert_same_outputs(self, actual, expected):
        self.assertEqual(actual.keys(), expected.keys())
        for name in expected:
            torch.testing.assert_close(actual[name], expected[name], atol=1e-5, rtol=1e-5, msg=name)

    # ---- Theirs, which would see less of the codec as they stand

    def test_batching_equivalence(self):
        """
        Theirs compares the first item of a batch with the same item alone, padded as it was. Here every item is the
        first once, padded at either end, and alone it is not padded.
        """
        self.all_model_classes = (WithoutPadding,)
        for self.model_tester.padding_side in ("right", "left"):
            for _ in range(self.model_tester.batch_size):
                self.model_tester.lengths.append(self.model_tester.lengths.pop(0))
                with self.subTest(side=self.model_tester.padding_side, length=self.model_tester.lengths[0]):
                    super().test_batching_equivalence()

    def test_init_weights_can_init_buffers(self):
        """Theirs compares with the buffers of `__init__`; those of a codebook are drawn later: so both are seeded."""
        with seeded_weight_init(), mock.patch.object(test_modeling_common, "skip_weight_init", contextlib.nullcontext):
            super().test_init_weights_can_init_buffers()

    def test_model_outputs_equivalence(self):
        self.all_model_classes = (WithoutHiddenStates,)
        super().test_model_outputs_equivalence()

    def test_model_forward_default_config_values(self):
        """Theirs runs on the models of Transformers' own list."""
        names = {"llm_codec": "LLMCodecModel"}
        with mock.patch.dict(test_modeling_common.MODEL_MAPPING_NAMES, names):
            super().test_model_forward_default_config_values()

    def test_training(self):
        self.all_model_classes = (WithLoss,)
        super().test_training()

    def check_training_gradient_checkpointing(self, gradient_checkpointing_kwargs=None):
        self.all_model_classes = (WithLoss,)
        super().check_training_gradient_checkpointing(gradient_checkpointing_kwargs)

    def test_sdpa_can_dispatch_on_flash(self):
        """PyTorch's flash kernel takes no mask: theirs drops one called `attention_mask`."""
        self.model_tester.padded = False
        super().test_sdpa_can_dispatch_on_flash()


for reason, patterns in DOES_NOT_APPLY.items():
    for pattern in patterns:
        names = [name for name in fnmatch.filter(dir(ModelTesterMixin), pattern) if getattr(ModelTesterMixin, name)]
        assert names, f"Transformers has no test {pattern}"
        for name in names:
            setattr(LLMCodecModelTest, name, unittest.skip(reason)(getattr(LLMCodecModelTest, name)))
