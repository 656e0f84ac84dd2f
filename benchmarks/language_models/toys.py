# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Every causal model of Transformers at toy size, with random weights."""

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

VOCABULARY = 320
MOST_PARAMETERS = 40_000_000

WIDTHS = (
    "hidden_size",
    "d_model",
    "n_embd",
    "embed_dim",
    "model_dim",
    "emb_dim",
    "embedding_size",
    "dim_model",
    "input_embedding_size",
    "attention_hidden_size",
    "word_embed_proj_dim",
    "hidden_dim",
    "lru_width",
)
INNER = (
    "intermediate_size",
    "moe_intermediate_size",
    "shared_expert_intermediate_size",
    "shared_intermediate_size",
    "expert_ffn_hidden_size",
    "ffn_hidden_size",
    "ffn_dim",
    "encoder_ffn_dim",
    "decoder_ffn_dim",
    "n_inner",
    "d_ff",
    "dim_ff",
    "feed_forward_size",
    "block_ff_dim",
    "d_inner",
    "mlp_dim",
)
LAYERS = (
    "num_hidden_layers",
    "n_layer",
    "n_layers",
    "num_layers",
    "encoder_layers",
    "decoder_layers",
    "num_encoder_layers",
    "num_decoder_layers",
)
HEADS = (
    "num_attention_heads",
    "n_head",
    "n_heads",
    "num_heads",
    "encoder_attention_heads",
    "decoder_attention_heads",
    "num_encoder_attention_heads",
    "num_decoder_attention_heads",
)
TOY = {
    **dict.fromkeys(WIDTHS, 64),
    **dict.fromkeys(INNER, 96),
    **dict.fromkeys(LAYERS, 4),
    **dict.fromkeys(HEADS, 4),
    "vocab_size": VOCABULARY,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "num_experts": 4,
    "num_local_experts": 4,
    "n_routed_experts": 4,
    "moe_num_experts": 4,
    "num_experts_per_tok": 2,
    "moe_k": 2,
    "moe_topk": 2,
    "n_group": 1,
    "topk_group": 1,
    "first_k_dense_replace": 1,
    "q_lora_rank": 16,
    "kv_lora_rank": 16,
    "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 8,
    "qk_head_dim": 16,
    "v_head_dim": 16,
    "max_position_embeddings": 512,
    "n_positions": 512,
    "sliding_window": 32,
    "window_size": 32,
    "attention_chunk_size": 32,
    "initializer_range": 0.2,
    "init_std": 0.2,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "attn_layer_period": 2,
    "attn_layer_offset": 1,
    "state_size": 16,
    "mamba_d_state": 16,
}
# What is tried one after the other, until a model builds and reads
VARIANTS = (
    {},
    {"head_dim": None},
    {"head_dim": None, "num_key_value_heads": 4},
    {"head_dim": 16, "num_key_value_heads": 4},
    {"head_dim": None, "num_key_value_heads": 4, "n_routed_experts": 8, "n_group": 1, "topk_group": 1},
    {"num_experts_per_tok": 1},
    {"head_dim": 16, "num_key_value_heads": 2, "hidden_size_per_layer_input": 0, "num_kv_shared_layers": 0},
    {"num_kv_shared_layers": 0, "hidden_size_per_layer_input": 8, "vocab_size_per_layer_input": VOCABULARY},
    {"layer_types": ["full_attention"] * 4},
    {"num_experts_per_token": 2, "num_experts": 8, "moe_layer_freq": 1},
)
# What a family needs besides, or instead
OWN = {
    "bamba": {"mamba_n_heads": 8, "mamba_d_head": 16, "attn_layer_indices": [1, 3]},
    "big_bird": {"attention_type": "original_full"},
    "bigbird_pegasus": {"attention_type": "original_full"},
    "codegen": {"rotary_dim": 8},
    "ctrl": {"dff": 96},
    "dbrx": {
        "attn_config": {"kv_n_heads": 2},
        "ffn_config": {"ffn_hidden_size": 96, "moe_num_experts": 4, "moe_top_k": 2},
    },
    "falcon_h1": {"mamba_n_heads": 8, "mamba_d_head": 16, "mamba_d_ssm": 128},
    "gpt_neo": {"attention_types": [[["global", "local"], 2]]},
    "gptj": {"rotary_dim": 8},
    "granitemoehybrid": {
        "mamba_n_heads": 8,
        "mamba_d_head": 16,
        "layer_types": ["mamba", "attention", "mamba", "attention"],
    },
    "mamba2": {"num_heads": 8, "head_dim": 16, "n_groups": 1},
    "opt": {"word_embed_proj_dim": 64},
    "reformer": {"is_decoder": True, "axial_pos_embds": False},
    "xlm": {"emb_dim": 64, "causal": True},
    "zamba2": {
        "mamba_ngroups": 1,
        "n_mamba_heads": 8,
        "mamba_headdim": 16,
        "layer_types": ["mamba", "hybrid", "mamba", "hybrid"],
        "hybrid_layer_ids": [1, 3],
    },
}


def families() -> dict[str, str]:
    """`model_type` → class of each causal model that this version of Transformers has."""
    return dict(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)


def build(family: str) -> PreTrainedModel:
    """
    A family's model at toy size, with random weights large enough that an error in attention shows.

    Raises:
        Exception: of any kind, where the family's config or model takes none of the sizes that are tried.
        ValueError: where the model would be too large.
    """
    first: Exception | None = None
    for changes in VARIANTS:
        try:
            config = shrunk(family, changes)
            with torch.device("meta"):
                parameters = sum(p.numel() for p in AutoModelForCausalLM.from_config(config).parameters())
            if parameters > MOST_PARAMETERS:
                raise ValueError(f"{parameters / 1e6:.0f} M parameters at the smallest that was tried")
            torch.manual_seed(0)
            model = AutoModelForCausalLM.from_config(config).float().eval()
            with torch.no_grad():
                model(torch.arange(3, 11)[None])
            return model
        except Exception as error:  # of whatever kind: configs that do not take these sizes fail in their own ways
            first = first or error
    raise first


def shrunk(family: str, changes: dict):
    """A family's config at toy size, with changes to what is usual; None leaves a number as the family has it."""
    defaults = AutoConfig.for_model(family)
    parts = {
        name: _toy_fields(value.to_dict(), changes)
        for name, value in vars(defaults).items()
        if hasattr(value, "to_dict")
    }
    fields = _toy_fields(defaults.to_dict(), changes) | parts | OWN.get(family, {})
    return AutoConfig.for_model(family, **fields)


def _toy_fields(defaults: dict, changes: dict) -> dict:
    """The sizes to set, of those that a config has; one that is None there is set only by a change."""
    fields = {name: size for name, size in TOY.items() if defaults.get(name) is not None}
    if "kv_lora_rank" in defaults:  # latent attention: as many keys as queries, whose parts have sizes of their own
        fields |= {"num_key_value_heads": 4, "head_dim": None}
    fields |= {name: size for name, size in changes.items() if name in defaults}
    return {name: size for name, size in fields.items() if size is not None}
