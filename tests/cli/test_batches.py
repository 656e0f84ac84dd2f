# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Many files: folders keep their tree, a bad file stops no other, and a killed batch goes on."""

import io
import json
import os
import shutil
import signal
import sys
import time

import processes
import pytest

from llm_codec_cli import main
from llm_codec_hf.files.encoded_clip import EncodedClip

DEAD = 2**22 + 1  # above the greatest process id of Linux


def temporary(path, process=DEAD):
    """A file that a killed process left of `path`, as `files.atomic` names it."""
    from llm_codec_hf.files import atomic

    return path.with_name(f"{atomic._prefix(path)}{atomic._machine()}.{process}.0.tmp")


def test_folders_keep_their_tree(cli, wav, tmp_path):
    for name in ("a.wav", "dog/b.wav", "dog/deep/a.wav", ".hidden/c.wav"):
        wav(f"clips/{name}", samples=2000)
    (tmp_path / "clips" / "notes.txt").write_text("no audio")
    status, out, err = cli("encode", tmp_path / "clips", "--output", tmp_path / "codes")
    names = ["a", "dog/b", "dog/deep/a"]
    assert (status, out) == (0, [f"{tmp_path}/codes/{name}.safetensors" for name in names])
    assert err == [f"llm-codec: note: {tmp_path}/clips: left out notes.txt, by the name no audio."]
    status, out, _ = cli("decode", tmp_path / "codes", "--output", tmp_path / "decoded")
    assert (status, out) == (0, [f"{tmp_path}/decoded/{name}.wav" for name in names])
    # without a folder for them, results are beside what they were made of
    assert cli("encode", tmp_path / "clips")[1] == [f"{tmp_path}/clips/{name}.safetensors" for name in names]
    _, lines, _ = cli("words", tmp_path / "codes", "--layers", "0")
    assert [line.split("\t")[0] for line in lines] == [f"{tmp_path}/codes/{name}.safetensors" for name in names]


def test_a_bad_file_stops_no_other(cli, wav, examples, language_model_dir, tmp_path):
    good, missing = [wav("a.wav"), wav("c.wav", seed=3)], tmp_path / "missing.wav"
    (text := tmp_path / "b.wav").write_text("no audio")
    files = [good[0], text, missing, good[1]]
    classify = ["--examples", examples, "--shots", 1, "--language_model", language_model_dir]
    for command, options, lines in [("encode", [], 1), ("words", [], 3), ("classify", classify, 2)]:
        status, out, err = cli(command, *files, *options)
        assert status == 1 and len(out) == 2 * lines, command
        assert [line for line in err if str(missing) in line] and len(err) == 2
        assert [line for line in err if line.startswith(f"llm-codec: error: {text}: This is not audio")]
    _, out, _ = cli("classify", *files, *classify, "--json")
    assert [json.loads(line)["audio"] for line in out] == list(map(str, good))
    text.with_suffix(".safetensors").write_text("no codes")
    status, out, err = cli("decode", *(path.with_suffix(".safetensors") for path in files))
    assert status == 1 and out == [str(path.with_suffix(".decoded.wav")) for path in good]
    assert len(err) == 2 and all(".safetensors" in line for line in err)


@pytest.mark.e2e
def test_a_query_that_the_model_cannot_take_stops_no_other(cli, wav, examples, language_model_dir):
    queries = [wav("a.wav"), wav("long.wav", samples=16000 * 140), wav("c.wav", seed=3)]  # of 1024 tokens of context
    status, out, (error,) = cli(
        "classify", *queries, "--examples", examples, "--shots", 1, "--language_model", language_model_dir
    )
    assert status == 1 and f"llm-codec: error: {queries[1]}: " in error
    assert [line.split("\t")[0] for line in out] == [str(queries[i]) for i in (0, 0, 2, 2)]


def test_two_inputs_of_one_result(cli, wav, tmp_path):
    for name in ("clips/a.wav", "clips/a.flac", "clips/b.wav"):
        wav(name, samples=2000)
    status, out, (error,) = cli("encode", tmp_path / "clips")
    assert status == 1 and out == [str(tmp_path / "clips" / "b.safetensors")]
    assert "a.flac and " in error and "a.wav would both be written to " in error


def test_a_batch_goes_on(cli, wav, tmp_path):
    paths = [wav(f"clips/{name}.wav", samples=2000) for name in "abc"]
    output = tmp_path / "codes"
    command = ["encode", tmp_path / "clips", "--output", output]
    assert cli("encode", paths[0], "--output", f"{output}/")[0] == 0
    first = output / "a.safetensors"
    before = first.stat()
    (left := temporary(output / "b.safetensors")).write_text("half")
    (of_another := temporary(output / "z.safetensors")).write_text("half")
    (at_work := temporary(output / "y.safetensors", process=os.getpid())).write_text("half")
    status, out, err = cli(*command, "--skip_existing")
    assert (status, out) == (0, [str(output / "b.safetensors"), str(output / "c.safetensors")])
    assert err == ["llm-codec: note: skipped 1 whose result exists."]
    assert first.stat() == before and not left.exists() and not of_another.exists() and at_work.exists()
    status, out, err = cli(*command)  # neither --force nor --skip_existing
    assert (status, out) == (1, []) and len(err) == 3 and all("or --skip_existing to leave it" in line for line in err)
    assert cli(*command, "--force")[1] == [str(output / f"{name}.safetensors") for name in "abc"]
    with pytest.raises(SystemExit) as end:
        main(["encode", "a.wav", "--force", "--skip_existing"])
    assert end.value.code == 2


def test_nothing_to_do_loads_no_model(cli, codes, tmp_path):
    status, out, err = cli("encode", codes.with_suffix(".wav"), "--skip_existing", model=tmp_path / "missing")
    assert (status, out, len(err)) == (0, [], 1)


@pytest.mark.e2e
def test_a_killed_batch_goes_on(codec_dir, wav, tmp_path, cli):
    """SIGKILL in the middle, then Ctrl-C in the middle, then to the end: every clip is encoded once, and right."""
    first = wav("clips/00.wav", samples=400_000)
    clips = 20  # so many that a busy machine does not get through them before the signal
    for i in range(1, clips):
        shutil.copy(first, first.with_name(f"{i:02d}.wav"))
    output, expected = tmp_path / "codes", [f"{i:02d}.safetensors" for i in range(clips)]
    command = ["encode", str(tmp_path / "clips"), "--output", str(output), "--model", str(codec_dir), "--device", "cpu"]
    for number in (signal.SIGKILL, signal.SIGINT):
        count = len(list(output.glob("*.safetensors"))) if output.exists() else 0
        process = processes.start(
            "llm_codec_cli", *command, "--skip_existing", stderr=tmp_path / "stderr.txt", stdout=tmp_path / "stdout.txt"
        )
        deadline = time.monotonic() + 120
        while len(list(output.glob("*.safetensors"))) <= count:
            assert time.monotonic() < deadline and process.is_alive()
            time.sleep(0.01)
        os.kill(process.pid, number)
        process.join()
    assert process.exitcode == 130
    told = [line for line in (tmp_path / "stderr.txt").read_text().splitlines() if "%|" not in line]
    assert told[-1] == "llm-codec: interrupted; the same command with --skip_existing goes on."
    assert "Traceback" not in "".join(told)
    assert cli("encode", tmp_path / "clips", "--output", output, "--skip_existing")[0] == 0
    assert sorted(os.listdir(output)) == expected  # no temporary file is left
    assert len({(output / name).read_bytes() for name in expected}) == 1
    assert EncodedClip.load(output / expected[0]).length == 400_000


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_names_that_are_no_text(wav, codec_dir, examples, language_model_dir, tmp_path, monkeypatch):
    """Of files in another encoding than the system's: they go through as the bytes that they are."""
    shutil.move(wav("clips/x.wav"), os.fsencode(tmp_path) + b"/clips/caf\xe9.wav")
    model = ["--model", str(codec_dir), "--device", "cpu"]
    classify = ["--json", "--examples", str(examples), "--shots", "1", "--language_model", str(language_model_dir)]
    for command, options, expected in [
        ("encode", [], b"caf\xe9.safetensors\n"),
        ("words", [], b"caf\xe9.safetensors\t"),
        ("decode", [], b"caf\xe9.decoded.wav\n"),
        ("classify", classify, b'caf\xe9.wav"'),
    ]:
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True))
        assert main([command, str(tmp_path / "clips"), *options, *model]) == 0
        assert expected in sys.stdout.buffer.getvalue()


def test_the_name_stands_in_every_message(cli, wav, examples, language_model_dir, tmp_path):
    """Audio of every kind that is refused, in every command that reads audio."""
    (tmp_path / "empty.wav").write_bytes(b"")
    bad = {"empty.wav": "is empty", "rate.wav": "add --resample", "stereo.wav": "add --channels mean"}
    wav("rate.wav", sampling_rate=8000)
    wav("stereo.wav", channels=2)
    for name, message in bad.items():
        for command in ("encode", "words"):
            _, _, (error,) = cli(command, tmp_path / name)
            assert error.startswith(f"llm-codec: error: {tmp_path / name}: ") and message in error
            assert error.count(str(tmp_path / name)) == 1, error
    options = ["--examples", examples, "--language_model", language_model_dir]
    _, _, (error,) = cli("classify", tmp_path / "empty.wav", *options)
    assert error.startswith(f"llm-codec: error: {tmp_path / 'empty.wav'}: ")
