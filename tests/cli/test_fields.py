# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Runs as data: mappings, YAML, options and arguments are the same dataclass."""

import argparse
from dataclasses import dataclass, field
from typing import Literal

import pytest

from llm_codec_cli import main
from llm_codec_cli.evaluate import make_config
from llm_codec_cli.fields import add_fields, given_fields, to_arguments
from llm_codec_cli.options import underscored
from llm_codec_hf import FewShotTemplate
from llm_codec_hf.evaluation.configuration import EvaluationConfig
from llm_codec_hf.evaluation.tasks import Task
from llm_codec_hf.fields_llm_codec import from_fields
from llm_codec_hf.files.run_settings import option, read_fields
from llm_codec_hf.training.configuration import TrainingConfig


@dataclass
class Settings:
    names: list[str] = option([], "names")
    path: str = option("", "a path of 100 %")
    rate: float = option(1.0, "a rate")
    limit: int | None = option(None, "a limit")
    sizes: list[int] = option([1, 2], "sizes")
    layers: list[int] | None = option(None, "layers", commas=True)
    kind: Literal["a", "b"] = option("a", "a or b")
    fast: bool = option(False, "whether it is fast")
    more: dict = option({}, "more")


def parse(*arguments):
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*")
    add_fields(parser, Settings, skip=("names",))
    return given_fields(parser.parse_args(arguments), Settings)


ALL = {
    "names": ["x", "y"],
    "path": "a b",
    "rate": 1e-3,
    "limit": 3,
    "sizes": [4],
    "layers": [0, 2],
    "kind": "b",
    "fast": True,
    "more": {"a": [1, "ü"]},
}


def test_options_and_arguments_are_the_same():
    assert parse() == {"names": []}  # what is not given is not set
    assert parse("--fast", "no", "--limit", "3") == {"names": [], "fast": False, "limit": 3}
    settings = from_fields(Settings, ALL, "Settings")
    assert to_arguments(settings, "names")[:4] == ["x", "y", "--path", "a b"]
    assert parse(*to_arguments(settings, "names")) == ALL
    assert to_arguments(Settings(), "names") == []


@pytest.mark.parametrize(
    ("kind", "fields", "message"),
    [
        (Settings, {"rat": 1.0}, r"Settings has no field rat \(is rate meant\?\); it has names, path, rate, limit"),
        (Settings, {"rate": "fast"}, "Settings: `rate` is a number; got 'fast'"),
        (Settings, {"rate": True}, "`rate` is a number; got True"),
        (Settings, {"limit": 1.5}, "`limit` is an integer or null; got 1.5"),
        (Settings, {"names": "x"}, "`names` is a list, each item a text; got 'x'"),
        (Settings, {"sizes": [1, "2"]}, "`sizes` is a list, each item an integer"),
        (Settings, {"kind": "c"}, "`kind` is one of a, b; got 'c'"),
        (Settings, {"fast": "no"}, "`fast` is true or false; got 'no'"),
        (Settings, {"more": []}, r"`more` is a mapping; got \[\]"),
        (Settings, ["rate"], r"Settings is made of fields and their values, got \['rate'\]"),
    ],
)
def test_what_does_not_fit_is_named(kind, fields, message):
    with pytest.raises(ValueError, match=message):
        from_fields(kind, fields, kind.__name__)


def test_what_fits():
    assert from_fields(Settings, ALL, "Settings") == Settings(**ALL)
    assert from_fields(Settings, {"rate": 2, "limit": None, "sizes": (1,)}, "Settings").rate == 2

    @dataclass
    class Needy:
        name: str
        more: list = field(default_factory=list)

    with pytest.raises(ValueError, match="Needy needs name"):
        from_fields(Needy, {}, "Needy")
    assert from_fields(Needy, {"name": "a", "more": [1]}, "Needy").more == [1]


RUN = {"data": "a", "output_dir": "b"}
TASK = {"name": "t", "description": "", "source": {}}


@pytest.mark.parametrize(
    ("make", "fields", "message"),
    [
        (TrainingConfig.from_dict, RUN | {"lr": 1}, "A training run has no field lr"),
        (TrainingConfig.from_dict, RUN | {"max_steps": "9"}, "A training run: `max_steps` is an integer; got '9'"),
        (EvaluationConfig.from_dict, {"task": "a"}, r"An evaluation has no field task \(is tasks meant\?\)"),
        (FewShotTemplate.make, {"pairs": ""}, r"A few-shot template has no field pairs \(is pair meant\?\)"),
        (FewShotTemplate.make, {"label_end": 1}, "`label_end` is a text or null; got 1"),
        (Task.from_dict, TASK | {"shot": 1}, r"Task 't' has no field shot \(is shots meant\?\)"),
        (Task.from_dict, TASK | {"trim": "no"}, "Task 't': `trim` is true or false; got 'no'"),
        (Task.from_dict, {"name": "t"}, "Task 't' needs description, source"),
        (Task.from_dict, TASK | {"source": {"folders": ""}}, "The source of task 't' has no field folders"),
    ],
)
def test_all_of_its_users_say_it_alike(make, fields, message):
    with pytest.raises(ValueError, match=message):
        make(fields)


def test_yaml_numbers_without_a_point(tmp_path):
    (tmp_path / "a.yaml").write_text("rate: 1e-3\nlimit: 2\n")
    assert read_fields(tmp_path / "a.yaml", Settings) == {"rate": 1e-3, "limit": 2}
    (tmp_path / "a.yaml").write_text("rate: fast\n")
    assert read_fields(tmp_path / "a.yaml", Settings) == {"rate": "fast"}


def test_dashes_in_options_are_an_old_spelling(recwarn):
    with pytest.warns(DeprecationWarning, match="The option --no-instruction is now written --no_instruction"):
        assert underscored(["--no-instruction", "a-b"]) == ["--no_instruction", "a-b"]
    with pytest.warns(DeprecationWarning, match="--output_dir"):
        assert underscored(["--output-dir=a-b", "--", "--c-d"]) == ["--output_dir=a-b", "--", "--c-d"]
    recwarn.clear()
    assert underscored(["--no_instruction", "-h"]) == ["--no_instruction", "-h"] and not recwarn.list


# ---- The file of an evaluation


def config_of(*tasks, **given) -> EvaluationConfig:
    return make_config(argparse.Namespace(tasks=[str(task) for task in tasks], **given))


def test_an_evaluation_of_a_file(tmp_path):
    (run := tmp_path / "run.yaml").write_text("tasks: [percussion]\nshots: [1, 3]\nseconds: 1e0\noutput_dir: out\n")
    (task := tmp_path / "task.yaml").write_text("description: d\nsource: {folder: x}\n")
    config = config_of(run)
    assert (config.tasks, config.shots, config.seconds, config.output_dir) == (["percussion"], [1, 3], 1.0, "out")
    config = config_of(run, task, "instruments", shots=[5])
    assert (config.tasks, config.shots) == ([str(task), "instruments"], [5])
    with pytest.raises(ValueError, match="One file of options at a time, got .*run.yaml, .*run2.yaml"):
        (tmp_path / "run2.yaml").write_text("shots: [1]\n")
        config_of(run, tmp_path / "run2.yaml")
    run.write_text("tasks: percussion\noutput_dir: out\n")
    with pytest.raises(ValueError, match="An evaluation: `tasks` is a list, each item a text; got 'percussion'"):
        config_of(run)


def test_what_an_evaluation_needs():
    for fields, message in [
        ({}, "Name tasks, folders of clips, or an --scp"),
        ({"tasks": ["a"]}, "Name a folder for the results"),
        ({"scp": "a", "audio_root": "b"}, "Name a folder for the results"),
        ({"tasks": ["a"], "output_dir": "b", "model": "c"}, "--model needs --language_model"),
        ({"tasks": ["a"], "output_dir": "b", "shots": [0]}, "`shots` are integers, at least one, of 1 or more"),
        ({"tasks": ["a"], "output_dir": "b", "batch_size": 0}, "`batch_size` is 1 or more, got 0"),
    ]:
        with pytest.raises(ValueError, match=message):
            EvaluationConfig.from_dict(fields)
    assert not EvaluationConfig(scp="a").asks


def test_a_bad_file_is_one_line(tmp_path, capsys):
    (tmp_path / "run.yaml").write_text("tasks: [percussion]\noutput_dir: out\nshot: 1\n")
    assert main(["evaluate", str(tmp_path / "run.yaml")]) == 2
    assert "llm-codec: error: An evaluation has no field shot (is shots meant?)" in capsys.readouterr().err
