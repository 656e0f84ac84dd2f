# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Drives the app in Chromium, as a visitor would: for the tests, and for the pictures in the documentation."""

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
PATIENCE = 60_000  # milliseconds that a language model may take on a busy machine
SIZE = {"width": 1200, "height": 1000}


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextmanager
def running_app(*options: str, folder: Path) -> Iterator[tuple[str, subprocess.Popen]]:
    """Runs `llm-codec app`, and gives its address and its process."""
    log = folder / "app.txt"
    with open(log, "w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "llm_codec_cli", "app", "--port", str(free_port()), *options],
            stdout=subprocess.PIPE,
            stderr=file,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
    try:
        address = process.stdout.readline().strip()
        assert address.startswith("http"), log.read_text()
        yield address, process
    finally:
        process.kill()
        process.communicate()


class Visitor:
    """
    A page of the app in a browser of its own.

    Attributes:
        page: The page.
        errors: What the console said, and what the page asked of other machines.
    """

    def __init__(self, browser, address: str):
        self.page: Page = browser.new_context(viewport=SIZE).new_page()
        self.page.set_default_timeout(PATIENCE)
        self.errors: list[str] = []
        host = address.split("//")[1].strip("/")
        self.page.on("console", lambda message: self._note(message) if message.type == "error" else None)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self._request(request.url, host))
        self.page.goto(address)
        self.page.locator("#listen_start").wait_for()

    def _note(self, message) -> None:
        self.errors.append(f"{message.type}: {message.text}")

    def _request(self, url: str, host: str) -> None:
        if not url.startswith(("data:", "blob:")) and url.split("//")[1].split("/")[0] != host:
            self.errors.append(f"asked of another machine: {url}")

    def tab(self, name: str) -> None:
        """Opens a tab."""
        self.page.get_by_role("tab", name=name).click()

    def ship(self, where: str, clip: str) -> None:
        """Chooses a clip that ships, and waits until it is there."""
        clear = self.page.locator(f"#{where}_audio").get_by_label("Clear")
        if clear.is_visible():  # else the clip before would be taken for this one
            clear.click()
            self.page.locator(f"#{where}_audio").get_by_label("File upload").wait_for(state="attached")
        self.page.locator(f"#{where}_shipped input").click()
        self.page.get_by_role("option", name=clip, exact=True).click()
        self.has_audio(f"{where}_audio")

    def upload(self, where: str, path: Path) -> None:
        """Uploads a file as a clip."""
        self.page.locator(f"#{where}_audio input[type=file]").set_input_files(path)
        self.page.locator(f"#{where}_audio [data-testid^=audio-player]").wait_for(state="attached")

    def has_audio(self, element: str) -> None:
        """Waits until an element holds audio."""
        self.page.locator(f"#{element} [aria-label=Play]").wait_for()

    def click(self, element: str) -> None:
        """Clicks a button."""
        self.page.locator(f"#{element}").click()

    def says(self, element: str, pattern: str) -> str:
        """Waits until an element says something, and returns all that it says."""
        found = self.page.locator(f"#{element}")
        expect(found).to_contain_text(re.compile(pattern), timeout=PATIENCE)
        return found.inner_text()

    def is_told(self, text: str) -> str:
        """Waits for an error that says something, and returns all that it says."""
        toast = self.page.get_by_test_id("toast-body")
        expect(toast).to_contain_text(text, timeout=PATIENCE)
        return toast.inner_text()

    def text_of(self, element: str) -> str:
        """What stands in a box."""
        return self.page.locator(f"#{element} textarea").input_value()

    def listen(self) -> None:
        """Listens to a clip that ships."""
        self.tab("Listen")
        self.ship("listen", "cymbal/drum_cymbal_hard")
        self.click("listen_start")
        self.says("listen_status", "bit/s by layer 0 alone")

    def classify(self) -> None:
        """Names a clip by those that ship."""
        self.tab("Classify")
        self.click("classify_ship")
        self.says("classify_examples", "tabla")
        self.ship("classify_query", "kick/bd_tek")
        self.click("classify_start")
        self.says("classify_status", "The prompt has")

    def speak(self, seconds: float = 0.96) -> None:
        """Lets a text be answered."""
        self.tab("Speak")
        self.click("speak_ship")
        self.says("speak_examples", "an audio of a tabla")
        self.page.locator("#speak_seconds input[type=number]").fill(str(seconds))
        self.click("speak_start")
        self.says("speak_status", "s of audio")
        self.has_audio("speak_whole")

    def compare(self) -> None:
        """Compares a clip that ships."""
        self.tab("Compare")
        self.ship("compare", "cymbal/drum_cymbal_hard")
        self.click("compare_start")
        self.says("compare_status", "Opus, 6 kbit/s")


@contextmanager
def visitors(address: str) -> Iterator:
    """Gives a function that opens the app in a browser of its own."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"],
        )
        yield lambda: Visitor(browser, address)
        browser.close()
