# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""The app as Gradio serves it, without a browser."""

import numpy as np
import pytest
import soundfile

pytest.importorskip("gradio", reason="the extra `app` is not installed")

import gradio
import httpx

from llm_codec_hf.app.clips import Limits
from llm_codec_hf.app.interface import serve
from llm_codec_hf.app.models import Models
from llm_codec_hf.app.widgets import ExamplesEditor, choose_models, one_at_a_time, sentence, told

pytestmark = pytest.mark.e2e  # Gradio takes seconds to import


@pytest.fixture(scope="module")
def models(codec_dir, language_model_dir) -> Models:
    return Models([str(codec_dir)], [str(language_model_dir)], ["cpu"])


@pytest.fixture(scope="module")
def served(models):
    with serve(models, Limits(), max_file_size="1kb") as addresses:
        yield addresses[0]


@pytest.fixture
def editor(models):
    with gradio.Blocks():
        return ExamplesEditor(models, choose_models(models), Limits(examples=10), "Label", "{label}", "test")


def choice(models) -> tuple[str, str, str]:
    return models.first.codec, models.first.language_model, models.first.device


def test_each_visitor_has_examples_of_their_own(editor, models, tmp_path):
    soundfile.write(tmp_path / "a|b.wav", np.zeros(8000), 16000)
    one, table = editor.add([], "<b>boom</b>", str(tmp_path / "a|b.wav"), *choice(models))
    assert "&lt;b&gt;boom&lt;/b&gt;" in table
    assert r"a\|b.wav | 0.50 s" in table
    other, _ = editor.add_shipped([], *choice(models))
    assert len(one) == 1
    assert len(other) == 9
    assert editor.state.value == []
    with pytest.raises(ValueError, match="These would be 18 examples, and up to 10 are taken here"):
        editor.add_shipped(other, *choice(models))
    with pytest.raises(ValueError, match="The example has no label yet"):
        editor.add([], " ", str(tmp_path / "a|b.wav"), *choice(models))
    with pytest.raises(ValueError, match="There is no audio yet"):
        editor.add([], "boom", None, *choice(models))


def test_errors_are_sentences_without_the_place_of_an_upload(monkeypatch, tmp_path):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    upload = tmp_path / ("a" * 64) / "letter.wav"
    error = ValueError(f"{upload}: This is\nno audio.")
    assert sentence(error) == "letter.wav: This is no audio."

    def fails():
        raise error

    def fails_later():
        yield 1
        raise error

    with pytest.raises(gradio.Error, match="letter.wav: This is no audio"):
        told(fails)()
    steps = told(fails_later)()
    assert next(steps) == 1
    with pytest.raises(gradio.Error, match="letter.wav"):
        next(steps)


def test_whoever_stops_leaves_the_models_free(models):
    steps = one_at_a_time(models, iter(range(3)))
    assert next(steps) == 0
    assert not models.computing.locked()
    assert list(one_at_a_time(models, iter(range(3)))) == [0, 1, 2]


def test_files_of_others_are_not_served(served, tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("of another visitor")
    with _client(served) as client:
        for path in (secret, "/etc/hostname", tmp_path / ".." / "secret.txt"):
            assert client.get(f"gradio_api/file={path}").status_code in (403, 404)
        assert client.get("").status_code == 200


def test_uploads_have_a_limit(served):
    with _client(served) as client:
        small = client.post("gradio_api/upload", files={"files": ("a.wav", b"0" * 500)})
        large = client.post("gradio_api/upload", files={"files": ("a.wav", b"0" * 5000)})
    assert small.status_code == 200
    assert large.status_code == 413


def test_a_port_that_is_taken(served, models):
    port = int(served.rstrip("/").rsplit(":")[-1])
    with (
        pytest.raises(OSError, match=f"cannot listen at 127.0.0.1:{port} .*: choose another port"),
        serve(models, port=port),
    ):
        pass


def _client(address: str):
    return httpx.Client(base_url=address, trust_env=False)
