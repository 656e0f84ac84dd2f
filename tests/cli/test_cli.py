# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Tests of `llm-codec`: what it writes and prints, what it refuses and how it says so."""

import json
import math
import os
import resource
import subprocess
import sys

import numpy as np
import pytest
import soundfile
import torch
from conftest import NUM_TOKENS, NUM_WORDS, tiny_tokenizer
from original_checkpoints import command_line, conversion_inputs
from safetensors import safe_open
from safetensors.torch import save_file
from transformers import BertConfig, pipeline

from llm_codec_hf import LLMCodecFeatureExtractor, LLMCodecModel, LLMCodecProcessor, save_codec
from llm_codec_hf.audio_llm_codec import read_audio
from llm_codec_hf.cli import main
from llm_codec_hf.files import encoded_clip as codes_file
from llm_codec_hf.files.encoded_clip import EncodedClip

COMMANDS = ["encode", "decode", "words", "classify", "convert", "demo"]


def tone(samples, seed=0, channels=1):
    audio = np.random.default_rng(seed).normal(size=(samples, channels)).cumsum(axis=0)
    return 0.5 * audio / np.abs(audio).max()


@pytest.fixture
def wav(tmp_path):
    """Writes a wav and returns its path."""

    def write(name="clip.wav", samples=5000, sampling_rate=16000, **kwargs):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, tone(samples, **kwargs), sampling_rate)
        return path

    return write


@pytest.fixture
def cli(codec_dir, capsys):
    """Runs a command with the tiny codec and returns (exit status, lines of stdout, lines of stderr)."""

    def run(command, *args, model=codec_dir):
        capsys.readouterr()
        status = main([command, *map(str, args), "--model", str(model), "--device", "cpu"])
        out, err = capsys.readouterr()
        return status, out.splitlines(), [line for line in err.splitlines() if line.startswith("llm-codec")]

    return run


@pytest.fixture
def refused(cli):
    """Checks that a command fails with one line, and returns it."""

    def run(*args, **kwargs):
        status, out, err = cli(*args, **kwargs)
        assert (status, out, len(err)) == (2, [], 1)
        assert err[0].startswith("llm-codec: error: ")
        return err[0]

    return run


@pytest.fixture
def codes(cli, wav):
    assert cli("encode", path := wav())[0] == 0
    return path.with_suffix(".safetensors")


# ---- Encode and decode


@pytest.mark.parametrize("samples", [1, 3839, 3840, 3841, 20000])
def test_round_trip_has_the_original_length(cli, wav, codec, samples):
    path = wav(samples=samples)
    encoded, decoded = path.with_suffix(".safetensors"), path.with_suffix(".decoded.wav")
    assert cli("encode", path) == (0, [str(encoded)], [])
    assert cli("decode", encoded) == (0, [str(decoded)], [])
    info = soundfile.info(decoded)
    assert (info.frames, info.samplerate, info.channels, info.subtype) == (samples, 16000, 1, "PCM_16")
    audio = torch.tensor(soundfile.read(path, dtype="float32")[0])
    with torch.no_grad():
        expected = codec(audio[None, None]).audio_values[0, 0].numpy()
    assert np.abs(soundfile.read(decoded)[0] - expected).max() < 1e-4  # 16 bits
    assert sorted(path.parent.iterdir()) == sorted([path, encoded, decoded])
    assert encoded.stat().st_mode == path.stat().st_mode  # as readable as files are here


def test_another_rate_and_two_channels(cli, refused, wav, codec, processor, codec_dir, language_model):
    path = wav(samples=44101, sampling_rate=44100, channels=2)
    assert "2 channel(s) at 44100 Hz" in (message := refused("encode", path))
    assert "add --resample --channels mean." in message
    status, (encoded,), _ = cli("encode", path, "--resample", "--channels", "mean")
    clip = EncodedClip.load(encoded)
    length = math.ceil(44101 * 16000 / 44100)
    assert (clip.length, clip.sampling_rate) == (length, 16000)
    assert (clip.original_length, clip.original_sampling_rate) == (44101, 44100)
    _, (decoded,), _ = cli("decode", encoded)
    assert soundfile.info(decoded).frames == length
    # the command line reads audio as the pipeline does
    pipe = pipeline("audio-fewshot", model=codec, processor=processor, language_model=language_model)
    assert torch.equal(clip.audio_codes, pipe.encode([pipe.load_audio(path)])[0])

    soundfile.write(left := path.with_name("left.wav"), soundfile.read(path)[0][:, 0], 44100)
    cli("encode", path, "--resample", "--channels", "0", "--force")
    cli("encode", left, "--resample")
    assert torch.equal(
        EncodedClip.load(encoded).audio_codes, EncodedClip.load(left.with_suffix(".safetensors")).audio_codes
    )


def test_the_file_says_what_it_holds(codes, codec_dir):
    with safe_open(codes, framework="pt") as file:
        assert list(file.keys()) == ["audio_codes"]
        assert file.get_tensor("audio_codes").shape == (7, 4)
        assert file.metadata() == {
            "format": "llm_codec.audio_codes",
            "format_version": "1",
            "model": str(codec_dir),
            "length": "5000",
            "sampling_rate": "16000",
            "original_length": "5000",
            "original_sampling_rate": "16000",
            "hop_length": "480",
            "vq_strides": "[4, 2, 1]",
            "codebook_sizes": "[24, 32, 32]",
        }


def test_many_files_go_to_a_folder_and_a_bad_one_stops_no_other(cli, wav, tmp_path):
    paths = [wav("a.wav"), tmp_path / "b.wav", wav("c.wav", samples=100)]
    paths[1].write_text("no audio")
    status, out, (error,) = cli("encode", *paths, "--output", tmp_path / "codes")
    assert status == 2
    assert out == [str(tmp_path / "codes" / name) for name in ("a.safetensors", "c.safetensors")]
    assert error.startswith(f"llm-codec: error: {paths[1]}: This is not audio")
    assert cli("decode", *out, "--output", tmp_path / "decoded")[0] == 0
    assert [soundfile.info(path).frames for path in sorted((tmp_path / "decoded").iterdir())] == [5000, 100]
    assert not list(tmp_path.rglob("*.tmp"))


def test_outputs(cli, refused, wav, tmp_path):
    path = wav()
    assert cli("encode", path, "--output", tmp_path / "new" / "name")[1] == [str(tmp_path / "new" / "name")]
    assert cli("encode", path, "--output", f"{tmp_path}/folder/")[1] == [str(tmp_path / "folder" / "clip.safetensors")]
    target = path.with_suffix(".safetensors")
    target.write_text("precious")
    assert f"{target} exists; choose another --output, or add --force" in refused("encode", path)
    assert target.read_text() == "precious"
    assert cli("encode", path, "--force")[0] == 0
    assert EncodedClip.load(target).length == 5000
    assert "would both be written to" in refused("encode", path, wav("other/clip.wav"), "--output", tmp_path / "both")
    assert "is an input" in refused("encode", path, "--output", path, "--force")


def test_another_format_than_wav(cli, tmp_path):
    soundfile.write(tmp_path / "clip.flac", tone(4000), 16000)
    assert EncodedClip.load(cli("encode", tmp_path / "clip.flac")[1][0]).length == 4000


# ---- Long files


@pytest.fixture
def long(wav, monkeypatch):
    """Writes audio of several blocks: of one second each, rather than ten."""
    monkeypatch.setattr(codes_file, "BLOCK_S", 1)

    def write(name="long.wav", sampling_rate=16000, **kwargs):
        return wav(name, int(5.37 * sampling_rate), sampling_rate, **kwargs)

    return write


@pytest.mark.parametrize(
    ("name", "sampling_rate", "channels"),
    [
        ("long.wav", 16000, 1),
        ("long.wav", 16000, 12),
        ("long.wav", 44100, 2),
        ("long.ogg", 48000, 2),
        ("long.mp3", 16000, 1),
        ("long.mp3", 22050, 2),
        ("long.wav", 8000, 1),
    ],
)
@torch.no_grad()
def test_blocks_give_what_the_whole_gives(cli, long, codec, name, sampling_rate, channels):
    path = long(name, sampling_rate, channels=channels)
    _, (encoded,), _ = cli("encode", path, "--resample", "--channels", "mean")
    clip = EncodedClip.load(encoded)
    audio = read_audio(path)
    inputs = LLMCodecFeatureExtractor()(
        audio.samples, sampling_rate, resample=True, channels="mean", return_tensors="pt"
    )
    codes = codec.encode(**inputs, chunk_length_s=1e6).audio_codes
    assert torch.equal(clip.audio_codes, codes[0])
    assert (clip.length, clip.original_length) == (inputs["input_values"].shape[-1], audio.samples.shape[-1])

    _, (decoded,), _ = cli("decode", encoded)
    expected = codec.decode(codes, length=clip.length, chunk_length_s=1e6).audio_values[0, 0] * 2**15
    samples = soundfile.read(decoded, dtype="int16")[0]
    assert samples.shape == expected.shape
    assert np.abs(samples - expected.clamp(-(2**15), 2**15 - 1).numpy()).max() < 1  # half is rounding


def test_a_long_file_that_is_bad_from_some_second_on(refused, cli, long, tmp_path):
    path = long("long.flac")
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    assert "long.flac: " in refused("encode", path)
    samples, _ = soundfile.read(long())
    samples[70000] = np.nan
    soundfile.write(tmp_path / "nan.wav", samples, 16000, subtype="FLOAT")
    assert "nan.wav: From 4.3 s on: The audio has 1 NaN or infinite samples" in refused("encode", tmp_path / "nan.wav")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["long.flac", "long.wav", "nan.wav"]


@pytest.mark.parametrize("command", ["encode", "decode"])
def test_an_interrupt_leaves_nothing_behind(cli, long, monkeypatch, command):
    path = long()
    if command == "decode":
        path = path.with_suffix(".safetensors")
        cli("encode", path.with_suffix(".wav"))
    before, blocks, stream = set(path.parent.iterdir()), [], getattr(LLMCodecModel, f"{command}_stream")

    def interrupted(*args, **kwargs):
        blocks.append(args)
        if len(blocks) == 3:
            raise KeyboardInterrupt
        return stream(*args, **kwargs)

    monkeypatch.setattr(LLMCodecModel, f"{command}_stream", interrupted)
    with pytest.raises(KeyboardInterrupt):
        cli(command, path)
    assert set(path.parent.iterdir()) == before


def test_a_full_disk(refused, codes):
    before, limits = set(codes.parent.iterdir()), resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
        assert str(codes) in refused("decode", codes)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert set(codes.parent.iterdir()) == before


@pytest.mark.parametrize("terminal", [True, False])
def test_a_long_file_has_a_bar_on_a_terminal(capsys, codec_dir, long, wav, monkeypatch, terminal):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    paths = [long(), wav("short.wav", 16000)]

    def bars(*args):
        assert main([*args, "--model", str(codec_dir), "--device", "cpu"]) == 0
        return [line for line in capsys.readouterr().err.replace("\r", "\n").splitlines() if "s/s]" in line]

    for bar in (
        bars("encode", str(paths[0])),
        bars("words", str(paths[0])),
        bars("decode", str(paths[0].with_suffix(".safetensors"))),
    ):
        assert bool(bar) == terminal
        assert all(line.startswith("long.") and "/5 [" in line for line in bar)
    assert not bars("encode", str(paths[1]))


# ---- Errors


def test_audio_that_cannot_be_encoded(refused, wav, tmp_path):
    assert "There is no file" in refused("encode", tmp_path / "missing.wav")
    assert "There is no file" in refused("encode", tmp_path)
    (tmp_path / "text.wav").write_text("no audio")
    assert "This is not audio that libsndfile" in refused("encode", tmp_path / "text.wav")
    (tmp_path / "headerless.raw").write_bytes(bytes(100))
    assert "This is not audio that libsndfile" in refused("words", tmp_path / "headerless.raw")
    soundfile.write(tmp_path / "empty.wav", np.zeros(0), 16000)
    assert "is empty" in refused("encode", tmp_path / "empty.wav")
    soundfile.write(tmp_path / "nan.wav", np.full(100, np.nan), 16000, subtype="FLOAT")
    assert "100 NaN or infinite samples" in refused("encode", tmp_path / "nan.wav")
    soundfile.write(tmp_path / "whole.flac", tone(50000), 16000)
    (tmp_path / "cut.flac").write_bytes((tmp_path / "whole.flac").read_bytes()[:20000])
    assert "cut.flac" in refused("encode", tmp_path / "cut.flac")
    assert "a channel's number 0 … 1, got 5" in refused("encode", wav(channels=2), "--channels", 5)


def rewrite(path, codes=None, **metadata):
    """A codes file with other codes or metadata; None leaves an entry out."""
    with safe_open(path, framework="pt") as file:
        tensor, known = file.get_tensor("audio_codes"), file.metadata() | metadata
    save_file(
        {"audio_codes": tensor if codes is None else codes(tensor)},
        path,
        {name: value for name, value in known.items() if value is not None},
    )


def _truncate(path):
    path.write_bytes(path.read_bytes()[:-8])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_truncate, "no file of audio codes, or it is damaged"),
        (lambda path: path.write_bytes(b""), "no file of audio codes, or it is damaged"),
        (lambda path: path.write_text("text"), "no file of audio codes, or it is damaged"),
        (lambda path: save_file({"audio_codes": torch.zeros(7, 4)}, path), "holds no audio codes"),
        (lambda path: rewrite(path, format_version="2"), "version 2 of the file format, this program reads version 1"),
        (lambda path: rewrite(path, length=None), "metadata lacks length"),
        (lambda path: rewrite(path, length="-1"), "`length` takes positive integers, got -1"),
        (lambda path: rewrite(path, length="x"), "The file is damaged"),
        (lambda path: rewrite(path, length="7681"), "4 groups of 1920 samples do not reach the `length` of 7681"),
        (lambda path: rewrite(path, vq_strides="[4, 8, 1]"), "`vq_strides` [4, 8, 1]"),
        (
            lambda path: rewrite(path, lambda codes: codes[:6]),
            "the shape (7, groups), got torch.int64 of the shape (6, 4)",
        ),
        (lambda path: rewrite(path, lambda codes: codes.float()), "must be integers"),
        (lambda path: rewrite(path, lambda codes: codes + 31), "codes outside the `codebook_sizes` [24, 32, 32]"),
        (lambda path: rewrite(path, lambda codes: codes - 32), "codes outside the `codebook_sizes` [24, 32, 32]"),
    ],
)
def test_damaged_codes(refused, codes, damage, message):
    damage(codes)
    for command in ("decode", "words"):
        assert message in (error := refused(command, codes))
        assert str(codes) in error
    assert not list(codes.parent.glob("*.decoded.wav"))


def test_codes_of_another_codec(cli, refused, codes, codec_dir, capsys):
    rewrite(codes, codebook_sizes="[24, 32, 48]")
    for command in ("decode", "words"):
        message = refused(command, codes)
        assert f"written by '{codec_dir}', whose `codebook_sizes` is [24, 32, 48]; this codec's is" in message


def test_models_that_are_none(refused, wav, examples, tmp_path):
    BertConfig().save_pretrained(tmp_path / "bert")
    classify = ["classify", wav(), "--examples", examples, "--language_model", tmp_path]
    assert "this is a bert, not an llm_codec" in refused(*classify, model=tmp_path / "bert")
    assert "this is a bert, not an llm_codec" in refused("encode", wav(), model=tmp_path / "bert")
    assert f"--model {tmp_path / 'missing'}: " in refused("words", wav(), model=tmp_path / "missing")


def test_a_device_that_is_none(capsys, wav, codec_dir):
    assert main(["words", str(wav()), "--model", str(codec_dir), "--device", "toaster"]) == 2
    assert "llm-codec: error: --device toaster: " in capsys.readouterr().err


def test_debug_shows_the_traceback(cli, wav, tmp_path):
    with pytest.raises(ValueError, match="There is no file"):
        cli("encode", tmp_path / "missing.wav", "--debug")
    (tmp_path / "text.wav").write_text("no audio")
    with pytest.raises(ValueError, match="not audio"):
        cli("encode", tmp_path / "text.wav", "--debug")


# ---- Words


def test_words_of_audio_and_of_codes(cli, codes, processor):
    clip = EncodedClip.load(codes)
    expected = processor.codes_to_text(clip.audio_codes).splitlines()
    assert len(expected) == 3
    for path in (codes, codes.with_suffix(".wav")):
        assert cli("words", path) == (0, expected, [])
        assert cli("words", path, "--layers", "0,2")[1] == [expected[0], expected[2]]
    assert "`layers` are some of [0, 1, 2]" in cli("words", codes, "--layers", "3")[2][0]


def test_words_keep_to_a_line_a_layer(cli, codec, wav, tmp_path):
    tokenizer = tiny_tokenizer()
    controls = [i for i in range(len(tokenizer)) if not tokenizer.decode([i]).isprintable()][:NUM_TOKENS]
    token_ids = [range(NUM_WORDS), controls, controls]
    words = tokenizer.convert_ids_to_tokens(range(NUM_WORDS))
    processor = LLMCodecProcessor(LLMCodecFeatureExtractor(), tokenizer, words, token_ids)
    save_codec(codec, processor, tmp_path / "codec")
    _, out, _ = cli("words", wav(), model=tmp_path / "codec")
    assert len(out) == 3
    assert all(line.isprintable() for line in out)
    assert "\\x" in out[2]


# ---- Classify


@pytest.fixture
def examples(wav, tmp_path):
    for i, name in enumerate(["dog/1.wav", "dog/2.wav", "cat/1.wav", "cat/2.wav", "cat/3.wav"]):
        wav(f"examples/{name}", samples=4000, seed=i)
    (tmp_path / "examples" / "cat" / ".hidden").write_text("")
    return tmp_path / "examples"


@pytest.fixture
def expected(codec, processor, language_model, examples):
    """What the pipeline answers, given examples by their names."""
    pipe = pipeline("audio-fewshot", model=codec, processor=processor, language_model=language_model)

    def answer(query, names, **kwargs):
        return pipe(str(query), examples=[(str(examples / name), name[:3]) for name in names.split()], **kwargs)

    return answer


def scores(lines):
    return [(label, float(score)) for label, score in (line.split("\t")[-2:] for line in lines)]


def as_scores(answer):
    return [(line["label"], pytest.approx(line["score"], abs=6e-5)) for line in answer]


@pytest.mark.parametrize(
    ("options", "names", "arguments"),
    [
        ([], "cat/1.wav dog/1.wav cat/2.wav dog/2.wav cat/3.wav", {}),
        (["--shots", "1"], "cat/1.wav dog/1.wav", {}),
        (["--shots", "2", "--labels", "dog,cat"], "dog/1.wav cat/1.wav dog/2.wav cat/2.wav", {}),
        (["--layers", "0,1,2", "--shots", "1"], "cat/1.wav dog/1.wav", {"layers": (0, 1, 2)}),
        (["--no-instruction", "--labels", "cat"], "cat/1.wav cat/2.wav cat/3.wav", {"instruction": False}),
    ],
)
def test_classify(cli, wav, examples, language_model_dir, expected, options, names, arguments):
    query = wav(seed=9)
    command = ["classify", query, "--examples", examples, "--language_model", language_model_dir, *options]
    status, out, _ = cli(*command)
    answer = expected(query, names, **arguments)
    assert status == 0
    assert scores(out) == as_scores(answer)
    (line,) = cli(*command, "--json")[1]
    assert json.loads(line) == {
        "audio": str(query),
        "labels": [{"label": line["label"], "score": pytest.approx(line["score"], abs=1e-6)} for line in answer],
    }


def test_classify_several_queries(cli, wav, examples, language_model_dir, expected):
    queries = [wav("a.wav", seed=9), wav("b.wav", samples=9000, sampling_rate=22050, channels=2)]
    command = ["classify", *queries, "--examples", examples, "--shots", 1, "--language_model", language_model_dir]
    _, out, _ = cli(*command)
    assert [line.split("\t")[0] for line in out] == [str(query) for query in queries for _ in range(2)]
    assert scores(out) == [pair for query in queries for pair in as_scores(expected(query, "cat/1.wav dog/1.wav"))]
    assert [json.loads(line)["audio"] for line in cli(*command, "--json")[1]] == [str(query) for query in queries]


def test_classify_errors(refused, wav, examples, language_model_dir, tmp_path):
    def classify(query, folder, *options, lm=("--language_model", language_model_dir)):
        return refused("classify", query, "--examples", folder, *lm, *options)

    query = wav()
    assert "There is no folder" in classify(query, tmp_path / "missing")
    assert "has no subfolders" in classify(query, examples / "dog")
    assert "There is no label 'cow'" in classify(query, examples, "--labels", "dog,cow")
    assert "The label 'dog' has 2 clips, 3 wanted." in classify(query, examples, "--shots", 3)
    assert "--model needs --language_model too" in classify(query, examples, lm=())
    assert "missing.wav" in classify(tmp_path / "missing.wav", examples)
    (examples / "dog" / "notes.txt").write_text("no audio")
    assert "notes.txt: " in classify(query, examples)
    (examples / "empty").mkdir()
    assert "The label 'empty' has 0 clips, 1 wanted." in classify(query, examples)


# ---- Conversion, help, the process


def test_convert_passes_its_arguments_on(capsys, tmp_path, wav, cli):
    inputs = conversion_inputs("tiny", tmp_path)
    assert main(["convert", *command_line(inputs)]) == 0
    assert cli("words", wav(), model=inputs["output_dir"])[0] == 0
    capsys.readouterr()
    assert main(["convert", *command_line(inputs)]) == 2  # the folder is not empty
    assert capsys.readouterr().err.splitlines()[-1].startswith("llm-codec: error: ")
    with pytest.raises(SystemExit):
        main(["convert", "--no_such_option"])


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(capsys, command):
    with pytest.raises(SystemExit) as end:
        main([command, "--help"])
    assert end.value.code == 0
    assert f"examples:\n  llm-codec {command}" in capsys.readouterr().out


def test_help_lists_the_commands(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    out = capsys.readouterr().out
    assert all(f"    {command} " in out for command in COMMANDS)
    assert "examples:\n  llm-codec demo\n" in out


@pytest.mark.parametrize(
    "args",
    [
        [],
        ["paint"],
        ["encode"],
        ["encode", "a.wav", "--colour"],
        ["encode", "a.wav", "--channels", "left"],
        ["words", "a.wav", "--layers", "first"],
        ["classify", "a.wav", "--examples", "b", "--shots", "0"],
    ],
)
def test_usage_errors(capsys, args):
    with pytest.raises(SystemExit) as end:
        main(args)
    assert end.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("llm-codec")


def test_as_a_process(codes, codec_dir, tmp_path):
    (damaged := tmp_path / "damaged.safetensors").write_text("no codes")
    command = ["decode", str(codes), str(damaged), "--output", str(tmp_path / "out"), "--model", str(codec_dir)]
    result = subprocess.run([sys.executable, "-m", "llm_codec_hf.cli", *command], capture_output=True, text=True)
    assert result.returncode == 2
    assert result.stdout == f"{tmp_path / 'out' / 'clip.wav'}\n"
    assert "Traceback" not in result.stderr
    assert result.stderr.splitlines()[-1].startswith(f"llm-codec: error: {damaged}: This is no file of audio codes")


def test_a_reader_that_has_gone(codes, codec_dir, monkeypatch, capsys):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        assert main(["words", str(codes), "--model", str(codec_dir)]) == 0
    assert "error" not in capsys.readouterr().err
