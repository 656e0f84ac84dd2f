# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Conversion of the original's checkpoints: equal to the golden data, and one clear error for whatever is wrong."""

import json
import os
import pickle
from pathlib import Path, PurePosixPath

import numpy as np
import processes
import pytest
import torch
import yaml
from conftest import SHARED
from original_checkpoints import GOLDEN, NUM_WORDS, command_line, conversion_inputs, make_tokenizer
from safetensors import safe_open
from safetensors.torch import load_file
from transformers import AutoModel, AutoProcessor

from conversion.convert_original_checkpoint import main
from llm_codec_hf import LLMCodecConfig
from llm_codec_hf.conversion import convert as convert_original_checkpoint
from llm_codec_hf.conversion import verification
from llm_codec_hf.conversion.convert import EMBEDDINGS_NAME, convert, make_processor
from llm_codec_hf.conversion.original_checkpoint import read_options, read_state_dict
from llm_codec_hf.conversion.tokenizer import load_sentencepiece_tokenizer

LLAMA2 = SHARED / "original" / "llama2_tokenizer.model"
needs_llama2 = pytest.mark.skipif(not LLAMA2.is_file(), reason="needs the LLaMA-2 tokenizer, which may not be shipped")
needs_original = pytest.mark.skipif(
    not (SHARED / "original").is_dir(), reason="needs the original's files, which may not be shipped"
)

LENGTHS = (1, 3839, 3840, 3841, 16000, 40000)


@pytest.fixture(scope="module", params=NUM_WORDS)
def converted(request, tmp_path_factory):
    """Name, folder, model and golden data of a converted golden checkpoint."""
    folder = convert(**conversion_inputs(request.param, tmp_path_factory.mktemp(request.param)), keep_embeddings=True)
    return request.param, folder, AutoModel.from_pretrained(folder), load_file(GOLDEN / f"{request.param}.safetensors")


@pytest.fixture
def inputs(tmp_path):
    return conversion_inputs("tiny", tmp_path)


def relative_error(result, expected):
    return ((result - expected).norm() / expected.norm()).item()


# ---- Golden data


@pytest.mark.parametrize("length", LENGTHS)
@torch.inference_mode()
def test_equals_golden_data(converted, length):
    _, _, model, golden = converted
    golden = {name.removeprefix(f"n{length}."): value for name, value in golden.items()}
    encoded = model.encode(golden["input_values"][None, None], output_latents=True)
    for layer, codes in enumerate(model.split_layers(encoded.audio_codes)):
        assert torch.equal(codes[0], golden[f"codes.{layer}"])
    assert relative_error(encoded.latents[0], golden["latents"]) < 1e-5
    assert relative_error(model.dequantize(encoded.audio_codes)[0], golden["quantized"]) < 1e-5
    audio = model.decode(encoded.audio_codes, noise=False).audio_values[0, 0]
    assert (audio - golden["audio_noise_off"]).abs().max() < 1e-5
    generator = torch.Generator().manual_seed(7)
    audio = model.decode(encoded.audio_codes, generator=generator).audio_values[0, 0]
    # 2e-5 was measured: noise multiplies activations, and with them float32's rounding
    assert (audio - golden["audio_noise_seed7"]).abs().max() < 5e-5


def test_processor(converted):
    name, folder, model, golden = converted
    processor = AutoProcessor.from_pretrained(folder)
    assert len(processor.words) == NUM_WORDS[name]
    codes = model.encode(golden["n16000.input_values"][None, None]).audio_codes[0]
    ids = processor.codes_to_ids(codes, layers=(1, 2))
    assert ids == [*golden["n16000.codes.1"].tolist(), *golden["n16000.codes.2"].tolist()]
    assert torch.equal(processor.ids_to_codes(processor.codes_to_ids(codes)), codes)
    first = processor.tokenizer(processor.words[codes[0, 0]], add_special_tokens=False)["input_ids"]
    assert processor.codes_to_ids(codes[:, :1], layers=(0,)) == first


@needs_llama2
def test_words_and_prompts_of_llama2(tmp_path):
    """Golden word ids and prompts, through the tokenizer that conversion makes and saves."""
    make_processor(LLMCodecConfig(), SHARED / "original" / "layer1.npy", LLAMA2).save_pretrained(tmp_path)
    processor = AutoProcessor.from_pretrained(tmp_path)
    word_ids = json.loads((SHARED / "golden" / "words_llama2_ids.json").read_text())
    assert dict(zip(processor.words, processor.token_ids[0])) == word_ids

    def clip(layers):
        counts = processor.codes_per_layer
        return torch.cat([torch.tensor(codes).view(-1, count).T for codes, count in zip(layers, counts)])

    for case in json.loads((SHARED / "golden" / "prompts_llama2.json").read_text())["cases"]:
        examples = [(clip(item["codes"]), item["label"]) for item in case["demonstrations"]]
        arguments = {"labels": case["labels"], "instruction": case["task_induction"], "layers": case["layers"]}
        assert processor.few_shot_prompt(examples, clip(case["query"]), **arguments) == case["input_ids"]


@needs_llama2
def test_exact_llama2_tokenizer(tmp_path):
    sentencepiece = pytest.importorskip("sentencepiece")
    load_sentencepiece_tokenizer(LLAMA2).save_pretrained(tmp_path)
    tokenizer = convert_original_checkpoint.load_tokenizer(tmp_path)
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(LLAMA2))
    rng = np.random.default_rng(0)
    characters = list("   \n\tabcdeéz日🙂▁.,'\"<>#-019")
    texts = ["".join(rng.choice(characters, rng.integers(1, 60))) for _ in range(1000)]
    assert tokenizer(texts, add_special_tokens=False)["input_ids"] == pieces.encode(texts)
    assert tokenizer(" a")["input_ids"] == [pieces.bos_id(), *pieces.encode(" a")]
    special = (tokenizer.unk_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id)
    assert special == (0, 1, 2, None)


# ---- What is written


def test_files(converted):
    name, folder, _, _ = converted
    files = {path.name for path in folder.iterdir()}
    assert {"model.safetensors", "config.json", "processor_config.json", "audio_words.json", "README.md"} <= files
    assert {"modeling_llm_codec.py", "tokenizer.json", EMBEDDINGS_NAME} <= files
    assert not [path for path in folder.parent.iterdir() if path.suffix == ".tmp"]
    card = (folder / "README.md").read_text()
    front_matter = yaml.safe_load(card.split("---\n")[1])
    assert front_matter["license"] == "other"
    assert front_matter["library_name"] == "transformers"
    digest = convert_original_checkpoint.sha256_of(GOLDEN / f"{name}.pth")
    for expected in (f"`{name}.pth`", digest, "2406.10056", "LLAMA 2 Community License, Copyright (c) Meta Platforms"):
        assert expected in card
    for path in folder.iterdir():  # nothing of the machine where it was converted
        assert str(folder.parent).encode() not in path.read_bytes()


def test_keep_embeddings(converted):
    """The kept tables and projections give the codebooks; the table of layers 1 and 2 is there once."""
    name, folder, model, _ = converted
    kept = load_file(folder / EMBEDDINGS_NAME)
    assert {key for key in kept if key.startswith("embeddings.")} == {"embeddings.words", "embeddings.tokens"}
    with safe_open(folder / EMBEDDINGS_NAME, "pt") as file:
        tables = json.loads(file.metadata()["layers"])
    assert tables == ["words", "tokens", "tokens"]
    original = read_state_dict(GOLDEN / f"{name}.pth")
    for k, table in enumerate(tables):
        weight, bias = kept[f"projections.{k}.weight"], kept[f"projections.{k}.bias"]
        assert torch.equal(kept[f"embeddings.{table}"], original[f"quantizer.quantizers.{k}.codebook.weight"])
        codebook = (kept[f"embeddings.{table}"].double() @ weight.double().T + bias.double()).float()
        assert torch.equal(codebook, model.quantizer.layers[k].codebook)
    assert not [key for key in model.state_dict() if "embedding" in key or "projection" in key]


def test_earlier_kind(inputs, tmp_path):
    """Layer 0 with an entry for every token: no word list is needed, and its codes are tokens too."""
    content = torch.load(inputs["checkpoint_path"], weights_only=True)
    state = content["codec_model"]
    state["quantizer.quantizers.0.codebook.weight"] = state["quantizer.quantizers.1.codebook.weight"].clone()
    torch.save(content, tmp_path / "earlier.pth")
    inputs |= {"checkpoint_path": tmp_path / "earlier.pth", "words_path": None}
    folder = convert(**inputs, keep_embeddings=True)
    processor = AutoProcessor.from_pretrained(folder)
    assert processor.words == make_tokenizer().convert_ids_to_tokens(range(96))
    assert processor.token_ids[0] == processor.token_ids[1] == [[i] for i in range(96)]
    assert len([key for key in load_file(folder / EMBEDDINGS_NAME) if key.startswith("embeddings.")]) == 1


@needs_original
def test_published_options():
    options = read_options(SHARED / "original" / "config.yaml")
    assert (options["encoder_dim"], options["latent_dim"], options["decoder_dim"]) == (32, 512, 1536)


@pytest.mark.parametrize("suffix", [".yaml", ".json"])
def test_nested_options(suffix, tmp_path):
    flat = json.loads((GOLDEN / "tiny.config.json").read_text())
    nested = {"generator": {"name": "MSCodecLM", "config": flat}, "optimizer": {"g": {"name": "AdamW"}}}
    path = tmp_path / f"config{suffix}"
    path.write_text(yaml.safe_dump(nested) if suffix == ".yaml" else json.dumps(nested))
    assert read_options(path) == flat


def test_legacy_file(inputs, tmp_path):
    """A file of the format from before PyTorch 1.6, which cannot be mapped from the disk."""
    content = torch.load(inputs["checkpoint_path"], weights_only=True)
    torch.save(content, tmp_path / "legacy.pth", _use_new_zipfile_serialization=False)
    state = read_state_dict(tmp_path / "legacy.pth")
    assert all(torch.equal(state[name], tensor) for name, tensor in content["codec_model"].items())


@pytest.mark.e2e
def test_command_line(inputs, tmp_path):
    result = processes.run("conversion.convert_original_checkpoint", *command_line(inputs), tmp_path=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "Verified" in result.stderr
    with pytest.raises(SystemExit, match="error: .* exists already"):
        main(command_line(inputs))


# ---- Errors: one clear message, and nothing left behind


def fails(inputs, message, error=ValueError):
    before = sorted(os.walk(inputs["output_dir"].parent))
    with pytest.raises(error, match=message):
        convert(**inputs)
    assert sorted(os.walk(inputs["output_dir"].parent)) == before


def edit_checkpoint(inputs, tmp_path, edit):
    content = torch.load(GOLDEN / "tiny.pth", weights_only=True)
    edit(content)
    torch.save(content, tmp_path / "edited.pth")
    inputs["checkpoint_path"] = tmp_path / "edited.pth"


CONV_IN = "encoder.block.0"
ATTENTION = "encoder.block.5"
TABLE = "quantizer.quantizers.1.codebook.weight"


def set_value(name, value):
    return lambda state: state[name].view(-1).__setitem__(3, value)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda state: state.pop(f"{CONV_IN}.bias"), rf"lacks {CONV_IN}\.bias\."),
        (lambda state: state.pop(TABLE), f"lacks {TABLE}"),
        (lambda state: state.update(extra=torch.ones(1)), "has the unknown extra"),
        (lambda state: state.update({f"{CONV_IN}.bias": torch.ones(9)}), r"shape \(9,\); .* it has \(8,\)"),
        (lambda state: state.update({TABLE: torch.ones(96)}), r"shape \(96,\)"),
        (lambda state: state.update({TABLE: state[TABLE][:, :40]}), r"cb_proj.weight' has the shape \(128, 48\)"),
        (set_value(f"{CONV_IN}.weight_v", torch.nan), "weight_v' in .* holds NaN or infinite values"),
        (set_value(TABLE, torch.inf), "codebook.weight' in .* holds NaN or infinite values"),
        (lambda state: state[f"{CONV_IN}.weight_v"][2].zero_(), "Weight norm of 'encoder.block.0'.* all-zero"),
        (
            lambda state: state.update({f"{CONV_IN}.bias": torch.ones(8).int()}),
            "floating-point tensor, got torch.int32",
        ),
        (lambda state: state.update({f"{CONV_IN}.bias": 3}), "floating-point tensor, got int"),
        (lambda state: state.update({3: torch.ones(1)}), "must have names for its tensors, got 3"),
        (set_value(f"{ATTENTION}.rel_pos.inv_freq", 0.5), "no rotary embedding of base 10000"),
    ],
)
def test_wrong_tensors(inputs, tmp_path, edit, message):
    edit_checkpoint(inputs, tmp_path, lambda content: edit(content["codec_model"]))
    fails(inputs, message)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"model": {}, "epoch": 1}, "under `codec_model`; it has the keys model, epoch"),
        ({"codec_model": [torch.ones(1)]}, "under `codec_model`"),
        ([torch.ones(1)], "it has a list"),
        (
            {"codec_model": {}, "args": PurePosixPath("x")},
            r"holds a pathlib\S*; only tensors and plain values are read",
        ),
    ],
)
def test_wrong_content(inputs, tmp_path, content, message):
    inputs["checkpoint_path"] = tmp_path / "wrong.pth"
    torch.save(content, inputs["checkpoint_path"])
    fails(inputs, message)


def test_nothing_in_a_pickle_is_run(inputs, tmp_path):
    class Touch:
        def __reduce__(self):
            return Path.touch, (tmp_path / "was_run",)

    for path, save in ((tmp_path / "zip.pth", torch.save), (tmp_path / "plain.pth", save_pickle)):
        save({"codec_model": Touch()}, path)
        inputs["checkpoint_path"] = path
        fails(inputs, "only tensors and plain values|not PyTorch's")
        assert not (tmp_path / "was_run").exists()


def save_pickle(content, path):
    path.write_bytes(pickle.dumps(content, protocol=2))


@pytest.mark.parametrize("kept", [0, 1000, 0.5, 0.999])
def test_truncated_file(inputs, tmp_path, kept):
    content = (GOLDEN / "tiny.pth").read_bytes()
    inputs["checkpoint_path"] = tmp_path / "truncated.pth"
    inputs["checkpoint_path"].write_bytes(content[: kept if isinstance(kept, int) else int(kept * len(content))])
    fails(inputs, "is truncated, damaged or not PyTorch's; fetch it again")


@pytest.mark.parametrize("name", ["checkpoint_path", "config_path", "words_path"])
def test_missing_file(inputs, name, tmp_path):
    inputs[name] = tmp_path / "nowhere"
    fails(inputs, "nowhere is missing; give the path of a file")
    inputs[name] = tmp_path
    fails(inputs, "is a folder; give the path of a file")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"encoder_dim": 16}, "encoder_dim is 16 in the configuration, 8 in the tensors"),
        ({"latent_dim": 256}, "latent_dim is 256 in the configuration, 128 in the tensors"),
        ({"decoder_dim": 256}, "decoder_dim is 256 in the configuration, 128 in the tensors"),
        ({"encoder_rates": [3, 4, 5, 4]}, r"encoder_rates is \[3, 4, 5, 4\] .*, \[3, 4, 5, 8\] in the tensors"),
        ({"decoder_rates": [8, 5, 12]}, r"decoder_rates is \[8, 5, 12\] .*, \[8, 5, 4, 3\] in the tensors"),
        ({"noise": False}, "noise is False in the configuration, True in the tensors"),
        ({"depthwise": False}, "depthwise is False in the configuration, True in the tensors"),
        ({"attn_window_size": None}, "attn_window_size is None in the configuration, a number in the tensors"),
        ({"vq_strides": [2, 1]}, r"vq_strides is \[2, 1\] in the configuration, 3 numbers in the tensors"),
        ({"vq_strides": [8, 4, 2, 1]}, "lacks quantizer.quantizers.3.codebook.weight"),
        ({"vq_strides": [4, 3, 1]}, "`vq_strides`"),
        ({"encoder_dim": "8"}, "encoder_dim in .* must be int, got '8'"),
        ({"sample_rate": True}, "sample_rate in .* must be int, got True"),
        ({"causal": True}, "options that are not known: causal"),
        ({"use_cblinear": False}, "`use_cblinear: false`, with which the original cannot decode"),
    ],
)
def test_wrong_options(inputs, tmp_path, change, message):
    options = json.loads(inputs["config_path"].read_text()) | change
    inputs["config_path"] = tmp_path / "config.json"
    inputs["config_path"].write_text(json.dumps(options))
    fails(inputs, message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("encoder_dim: [8", "is neither YAML nor JSON"),
        ("- 8", "must hold options by name, got a list"),
        ("encoder_dim: 8", "lacks sample_rate, encoder_rates, latent_dim, decoder_dim and 6 more"),
    ],
)
def test_wrong_configuration_file(inputs, tmp_path, text, message):
    inputs["config_path"] = tmp_path / "config.yaml"
    inputs["config_path"].write_text(text)
    fails(inputs, message)


def many(count):
    return [f"word{i}" for i in range(count)]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (np.array(many(39)), "has 39 words, but layer 0's codebook has 40 entries"),
        (np.array(many(39) + ["word7"]), "has 'word7' more than once"),
        (np.array(many(39) + [" "]), "Word 39 of .* is blank"),
        (np.arange(40), r"one-dimensional array of strings, got int64 of shape \(40,\)"),
        (np.array([many(40)]), r"one-dimensional array of strings, got <U6 of shape \(1, 40\)"),
        (np.array(many(40), dtype=object), "no .npy file that loads without pickle"),
    ],
)
def test_wrong_words(inputs, words, message):
    np.save(inputs["words_path"], words)
    fails(inputs, message)


def test_missing_words(inputs):
    inputs["words_path"] = None
    fails(inputs, r"A word list is needed .*40 entries.*\[96, 96\]")


def test_wrong_tokenizer(inputs, tmp_path):
    make_tokenizer(95).save_pretrained(tmp_path / "small")
    inputs["tokenizer"] = tmp_path / "small"
    fails(inputs, r"has 95 tokens, but the codebooks of layers 1 and on have \[96, 96\] entries")
    inputs["tokenizer"] = tmp_path / "nowhere"
    fails(inputs, "No tokenizer could be loaded from .*nowhere")
    inputs["tokenizer"] = tmp_path / "tokenizer.model"
    fails(inputs, "SentencePiece model .* is missing")
    pytest.importorskip("sentencepiece")
    inputs["tokenizer"].write_bytes(b"none")
    fails(inputs, "is no SentencePiece model")


def test_other_kind_of_sentencepiece_model(tmp_path):
    sentencepiece = pytest.importorskip("sentencepiece")
    (tmp_path / "corpus.txt").write_text("\n".join(many(500)))
    for options, works in (
        ({"model_type": "bpe", "normalization_rule_name": "identity", "remove_extra_whitespaces": False}, True),
        ({"model_type": "bpe"}, False),  # with Unicode normalisation
        ({"model_type": "unigram", "normalization_rule_name": "identity", "remove_extra_whitespaces": False}, False),
    ):
        sentencepiece.SentencePieceTrainer.train(
            input=str(tmp_path / "corpus.txt"),
            model_prefix=str(tmp_path / "small"),
            vocab_size=290,
            byte_fallback=True,
            minloglevel=2,
            hard_vocab_limit=False,
            **options,
        )
        if works:
            assert load_sentencepiece_tokenizer(tmp_path / "small.model", many(20))
        else:
            with pytest.raises(ValueError, match="of a kind that is not supported"):
                load_sentencepiece_tokenizer(tmp_path / "small.model", many(20))


def test_nothing_is_overwritten(inputs):
    inputs["output_dir"].mkdir()
    (inputs["output_dir"] / "file").touch()
    fails(inputs, "exists already; nothing is overwritten")
    (inputs["output_dir"] / "file").unlink()
    assert (convert(**inputs) / "config.json").is_file()  # an empty folder may be there


def test_wrong_repository_id(inputs):
    fails(inputs | {"push_to_hub": "no/such/id"}, "Repo id must be in the form")


@pytest.mark.parametrize("function", ["save_embeddings", "make_model_card", "verify"])
def test_interruption_leaves_nothing(inputs, monkeypatch, function):
    def interrupt(*args, **kwargs):
        unfinished = [path for path in inputs["output_dir"].parent.iterdir() if path.suffix == ".tmp"]
        assert (unfinished[0] / "model.safetensors").is_file()
        raise KeyboardInterrupt

    monkeypatch.setattr(convert_original_checkpoint, function, interrupt)
    fails(inputs | {"keep_embeddings": True}, None, KeyboardInterrupt)


@pytest.mark.parametrize(
    "name",
    [
        "encoder.conv_in.weight",
        "encoder.blocks.2.residual_units.1.conv1.weight",
        "quantizer.layers.0.codebook",
        "quantizer.layers.2.codebook",
        "decoder.blocks.1.noise.conv.weight",
        "decoder.conv_out.bias",
    ],
)
def test_verification_finds_a_wrong_weight(converted, name, monkeypatch):
    """A thousandth of one weight is enough."""
    checkpoint, folder, model, _ = converted
    if name not in model.state_dict():
        pytest.skip("this codec has no noise")
    weight = model.state_dict()[name]
    loader = type("Loader", (), {"from_pretrained": lambda _: model})
    monkeypatch.setattr(verification, "AutoModel", loader)
    options, state = read_options(GOLDEN / f"{checkpoint}.config.json"), read_state_dict(GOLDEN / f"{checkpoint}.pth")
    words = AutoProcessor.from_pretrained(folder).words
    kept = weight.clone()
    weight *= 1 + 1e-3
    try:
        with pytest.raises(RuntimeError, match="differs from the original's tensors in (audio|latents|cosine)"):
            verification.verify(folder, options, state, words)
    finally:
        weight.copy_(kept)
    with pytest.raises(RuntimeError, match="in words"):  # and in nothing else any more
        verification.verify(folder, options, state, words[:-1])
