# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""The benchmark, end to end on tiny codecs: what it counts, what it writes, and what it does with failures."""

import json
from functools import partial
from statistics import median

import processes
import pytest
import torch
from torch import nn

from benchmarks.few_shot import labels as many_labels
from benchmarks.few_shot import run as few_shot
from benchmarks.speed import gpu, worker
from benchmarks.speed import run as speed
from benchmarks.speed.codecs import Dac, Encodec, Mimi, Ours, OursCompiled, OursRecomputed, Row, Snac
from benchmarks.speed.measurements import Case, Measurements
from benchmarks.speed.multiply_adds import count_flops
from benchmarks.speed.report import duration, rate, update_readme

TINY = {"encoder_dim": 4, "decoder_dim": 64, "codebook_sizes": [24, 32, 32]}
TINY_CODECS = {
    "ours": partial(Ours, **TINY),
    "recomputed": partial(OursRecomputed, embedding_dim=16, **TINY),
    "half": partial(gpu.OursHalf, **TINY),
    "dac": partial(Dac, encoder_hidden_size=4, decoder_hidden_size=32),
    "encodec": partial(Encodec, num_filters=4, hidden_size=16),
    "mimi": partial(Mimi, num_filters=4, hidden_size=64, num_hidden_layers=1, intermediate_size=64, upsample_groups=64),
    "snac": partial(Snac, encoder_dim=4, decoder_dim=32),
}


# ---- Counting


def conv(channels_in, channels_out, kernel, **kwargs):
    return nn.Conv1d(channels_in, channels_out, kernel, padding=kernel // 2, **kwargs)


@pytest.mark.parametrize(
    "module, shape, multiply_adds",
    [
        (conv(8, 12, 7), (2, 8, 100), 2 * 100 * 12 * 8 * 7),
        (conv(8, 8, 7, groups=8), (2, 8, 100), 2 * 100 * 8 * 7),
        (conv(8, 8, 3, groups=2), (2, 8, 100), 2 * 100 * 8 * 4 * 3),
        (nn.ConvTranspose1d(8, 4, 6, stride=3), (2, 8, 100), 2 * 100 * 8 * 4 * 6),
        (nn.ConvTranspose1d(8, 8, 6, stride=3, groups=8), (2, 8, 100), 2 * 100 * 8 * 6),
        (nn.Linear(8, 5), (2, 100, 8), 2 * 100 * 8 * 5),
        (nn.LSTM(8, 6, 2), (100, 2, 8), 2 * 100 * 4 * 6 * ((8 + 6) + (6 + 6))),
    ],
    ids=["convolution", "depthwise", "grouped", "transposed", "transposed depthwise", "linear", "lstm"],
)
@torch.inference_mode()
def test_counts_are_those_by_hand(module, shape, multiply_adds):
    assert count_flops(lambda: module(torch.randn(shape))) == 2 * multiply_adds


@torch.inference_mode()
def test_attention_is_counted():
    query = torch.randn(2, 4, 10, 16)
    attend = torch.nn.functional.scaled_dot_product_attention
    assert count_flops(lambda: attend(query, query, query)) == 2 * (2 * 2 * 4 * 10 * 10 * 16)


# ---- Codecs


@pytest.mark.parametrize("name", TINY_CODECS)
@torch.inference_mode()
def test_random_codes_are_shaped_like_those_of_audio(name):
    if name == "snac":
        pytest.importorskip("snac")
    codec = TINY_CODECS[name]()
    for seconds, batch in ((1, 1), (0.5, 2)):
        of_audio, random = codec.encode(codec.random_audio(seconds, batch)), codec.random_codes(seconds, batch)
        if torch.is_tensor(random):
            of_audio, random = [of_audio], [random]
        assert [codes.shape for codes in random] == [codes.shape for codes in of_audio]
        assert [codes.dtype for codes in random] == [codes.dtype for codes in of_audio]
        audio = codec.decode(random if name == "snac" else random[0])
        # DAC's decoder gives a few samples less than its frames
        assert audio.shape[0] == batch and audio.shape[-1] > 0.99 * seconds * codec.sampling_rate


@torch.inference_mode()
def test_recomputed_projections():
    codec = TINY_CODECS["recomputed"]()
    audio = codec.random_audio(1, 1)
    plain = count_flops(lambda: codec.model.encode(audio))
    assert codec.flops_once["decode"] == 2 * (24 + 32 + 32) * 16 * 64
    assert count_flops(lambda: codec.encode(audio)) == plain + codec.flops_once["encode"]
    for layer, table, projection in zip(codec.model.quantizer.layers, codec.tables, codec.projections):
        torch.testing.assert_close(layer.codebook, projection(table))


@torch.inference_mode()
def test_compiled_calls_are_those_of_the_model(monkeypatch):
    compiled = []
    monkeypatch.setattr(torch, "compile", lambda function, **kwargs: compiled.append(kwargs) or function)
    for mode in ("default", "reduce-overhead"):
        codec = OursCompiled(mode=mode, **TINY)
        assert codec.decode(codec.encode(codec.random_audio(1, 1))).shape == (1, 1, 19200)
    assert [kwargs["mode"] for kwargs in compiled] == ["default"] * 2 + ["reduce-overhead"] * 2


def test_differing_codes():
    result = gpu.differing_codes("cpu", seconds=1, batch=2, **TINY)
    assert result["codes"] == 2 * 7 * 10 and 0 <= result["share"] < 1


# ---- The command


@pytest.mark.e2e
@pytest.mark.parametrize("name", ["few_shot", "language_models", "reconstruction", "speed"])
def test_commands(name, tmp_path):
    done = processes.run(f"benchmarks.{name}", "--help", tmp_path=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"usage: python -m benchmarks.{name} ")


class Greedy(Ours):
    """Asks for more memory than any machine has."""

    def decode(self, codes):
        return super().decode(codes) if len(codes) == 1 else torch.empty(2**50)


def broken(device):
    raise ImportError("no such package")


ROWS = {
    "cpu": (
        Row("ours", "ours", TINY_CODECS["ours"]),
        Row("greedy", "a greedy codec", partial(Greedy, **TINY)),
        Row("broken", "a broken codec", broken),
    )
}


def case_lines(path):
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [line for line in lines if line["kind"] in ("case", "length")]


@pytest.mark.e2e
def test_command(tmp_path, monkeypatch, capsys):
    processes.serve()
    monkeypatch.setattr(worker, "START_METHOD", processes.FORKS.get_start_method())
    monkeypatch.setattr(speed, "BUDGET", 0.1)
    monkeypatch.setattr(speed, "matrix_product_rate", lambda device, dtype, quick=False: 1e9 if quick else 2e9)
    arguments = ["--devices", "cpu", "--seconds", "0.5", "--batch", "1", "2", "--output_dir", str(tmp_path)]
    arguments += ["--memory_seconds", "0.5", "1"]
    speed.main(arguments, ROWS)

    measurements = Measurements(tmp_path / "cpu.jsonl")
    assert len(measurements.cases) == len(case_lines(measurements.path)) == 3 * 2 * 2 + 2
    one, two = (measurements.case("ours", "encode", 0.5, batch) for batch in (1, 2))
    assert one["times"] and one["memory"] > 0 and one["flops"] > 0  # how many fit the budget is the machine's
    assert two["flops"] == 2 * one["flops"]
    assert measurements.length("ours", "decode", 1)["memory"] > 0
    assert measurements.lengths("ours") == [0.5, 1] and measurements.sizes() == [(0.5, 1), (0.5, 2)]
    assert "error" not in measurements.case("greedy", "decode", 0.5, 1)
    assert measurements.case("greedy", "decode", 0.5, 2)["error"] == "out of memory"

    table = (tmp_path / "cpu.md").read_text()
    assert table in capsys.readouterr().out
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines() if "|" in line]
    assert ["2 × 0.5 s", "a greedy codec", "failed", "–", "–", "–", "–"] in rows
    assert ["0.5 s", "a broken codec", "failed", "–", "–", "–", "–"] in rows
    ours = [row for row in rows if row[:2] == ["0.5 s", "ours"]]
    assert [row[3] for row in ours] == ["1.00", "1.00"]
    share = one["flops"] / median(one["times"]) / 2e9
    assert float(ours[0][6].rstrip("%")) == pytest.approx(100 * share, abs=0.5)  # the table has whole percents
    assert "- failed: a greedy codec, decode, 2 × 0.5 s: out of memory\n" in table
    assert "- failed: a broken codec, encode, 1 × 0.5 s: ImportError: no such package\n" in table
    assert (tmp_path / "cpu.png").read_bytes().startswith(b"\x89PNG")

    # cut in the middle of its last line: that case alone is measured again (and fails, so that it shows)
    lines = measurements.path.read_text().splitlines(keepends=True)
    measurements.path.write_text("".join(lines)[:-20])
    speed.main(arguments, {"cpu": (Row("ours", "ours", broken), *ROWS["cpu"][1:])})
    again = [json.loads(line) for line in measurements.path.read_text().splitlines()]
    assert again[: len(lines) - 1] == [json.loads(line) for line in lines[:-1]]
    assert [line["kind"] for line in again[len(lines) - 1 :]] == ["ceiling", "ceiling", "length"]

    assert again[-1]["error"] == "ImportError: no such package" and again[-1]["seconds"] == 1

    speed.main([*arguments, "--report"], ROWS)
    assert measurements.path.read_text().count("\n") == len(again)
    monkeypatch.setattr(speed, "describe", lambda device: {"device": "another"})
    with pytest.raises(SystemExit, match="another machine .*name another --output_dir"):
        speed.main(arguments, ROWS)
    with pytest.raises(SystemExit, match="No such row on cpu: nobody"):
        speed.main([*arguments, "--rows", "nobody"], ROWS)


def test_a_later_line_takes_an_earlier_ones_place(tmp_path):
    measurements = Measurements(tmp_path / "results" / "cpu.jsonl")
    fields = {"row": "ours", "operation": "encode", "seconds": 1, "batch": 1}
    measurements.add("case", **fields, error="out of memory")
    measurements.add("case", **fields, times=[2.0, 1.0, 4.0])
    assert speed.speed(Measurements(measurements.path).case("ours", "encode", 1.0, 1)) == 0.5
    assert Case("case", "encode", 60, 8).much and not Case("case", "encode", 60, 1).much


def test_readme_markers(tmp_path):
    path = tmp_path / "README.md"
    path.write_text("before\n<!-- cpu -->\nold\n<!-- end of cpu -->\nafter\n")
    update_readme(path, "cpu", "new\n")
    assert path.read_text() == "before\n<!-- cpu -->\nnew\n<!-- end of cpu -->\nafter\n"
    with pytest.raises(ValueError, match="no <!-- cuda -->"):
        update_readme(path, "cuda", "new\n")
    real = speed.README.read_text()
    assert all(f"<!-- {mark}{device} -->" in real for device in ("cpu", "cuda") for mark in ("", "end of "))


def test_numbers():
    assert [rate(value) for value in (0.12345, 12.345, 123.45, 4321)] == ["0.123", "12.3", "123", "4,321"]
    assert [duration(seconds) for seconds in (0.5, 1, 60, 90, 600, 3600)] == [
        "0.5 s",
        "1 s",
        "60 s",
        "90 s",
        "10 min",
        "1 h",
    ]


def test_few_shot(codec_dir, language_model_dir, tmp_path, capsys):
    arguments = ["--model", str(codec_dir), "--language_model", str(language_model_dir), "--device", "cpu"]
    text = few_shot.main([*arguments, "--queries", "7", "--passes", "3", "--output_dir", str(tmp_path)])
    assert (tmp_path / "few_shot.md").read_text() == text and text in capsys.readouterr().out
    assert "the same answers" in text and "7 queries over one 5-way 3-shot support" in text
    error = float(text.partition("scores within ")[2].split()[0])
    assert error < 1e-4


def test_many_labels(codec_dir, language_model_dir, processor, tmp_path, capsys):
    lengths = [len(ids) - 1 for ids in many_labels.some_labels(processor, many_labels.MANY)]
    assert len(lengths) == 50 and set(lengths) == {1, 2, 3}
    arguments = ["--model", str(codec_dir), "--language_model", str(language_model_dir), "--turns", "1"]
    text = many_labels.main([*arguments, "--output_dir", str(tmp_path)])
    assert (tmp_path / "labels.md").read_text() == text and text in capsys.readouterr().out
    for row in ("raw, packed", "raw, rows", "support_shuffled, packed", "support_shuffled, rows"):
        few, many, ratio = (float(cell) for cell in text.partition(f"| {row}")[2].split("\n")[0].split("|")[1:4])
        assert few > 0 and many > 0 and ratio == pytest.approx(many / few, rel=0.5)
