# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""The app: its tabs, and the server that shows them."""

import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Gradio tells nobody that it runs, and asks nobody for a newer version
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"

import gradio as gr

from .classify_tab import classify_tab
from .clips import Limits
from .compare_tab import compare_tab
from .listen_tab import listen_tab
from .models import Models
from .speak_tab import PLAYER, speak_tab
from .widgets import choose_models

TITLE = "LLM-Codec: audio in words of a language model"
FONTS = ("system-ui", "sans-serif")  # of the visitor's machine: nothing is fetched from the net
MONOSPACED = ("ui-monospace", "monospace")
DAY = 86400  # seconds after which what visitors uploaded is deleted; it is looked for as often
MAX_FILE_SIZE = "32mb"
VISITORS = 200  # whose examples are kept, up to 46 MB each; beyond, who was away longest loses them
WAITING = 64  # requests in the queue; beyond, visitors are told that it is full


def build(models: Models | None = None, limits: Limits | None = None) -> gr.Blocks:
    """
    Makes the app.

    Args:
        models: What visitors choose from; by default the embedded codec and its language model.
        limits: Of what visitors bring.
    """
    models, limits = models or Models(), limits or Limits()
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(DAY, DAY)) as app:
        gr.Markdown(f"# {TITLE}")
        choice = choose_models(models)
        with gr.Tab("Listen"):
            listen_tab(models, choice, limits)
        with gr.Tab("Classify"):
            classify_tab(models, choice, limits)
        with gr.Tab("Speak"):
            speak_tab(models, choice, limits)
        with gr.Tab("Compare"):
            compare_tab(models, choice, limits)
    return app


@contextmanager
def serve(
    models: Models | None = None,
    limits: Limits | None = None,
    host: str = "127.0.0.1",
    port: int | None = None,
    share: bool = False,
    max_file_size: str = MAX_FILE_SIZE,
    open_browser: bool = False,
) -> Iterator[list[str]]:
    """
    Serves the app as long as the block runs.

    What visitors upload lies in a folder of this app alone, which goes with it. Nothing else of the machine's files is
    served.

    Args:
        models: As of [`build`].
        limits: As of [`build`].
        host: Where it listens; "0.0.0.0" lets other machines in.
        port: Its port; by default the first that is free from 7860 on.
        share: Whether Gradio makes a public address by a server of its makers.
        max_file_size: Of an upload, such as "32mb".
        open_browser: Whether to open the address in a browser.

    Yields:
        The addresses: here, and the public one if there is one.

    Raises:
        OSError: where it cannot listen there, such as at a port that is taken.
    """
    before = os.environ.get("GRADIO_TEMP_DIR")
    with tempfile.TemporaryDirectory(prefix="llm_codec_app_") as folder:
        os.environ["GRADIO_TEMP_DIR"] = str(Path(folder).resolve())
        app = build(models, limits).queue(max_size=WAITING)
        try:
            _check_port(host, port)
            _, local, public = app.launch(
                server_name=host,
                server_port=port,
                share=share,
                max_file_size=max_file_size,
                inbrowser=open_browser,
                state_session_capacity=VISITORS,
                prevent_thread_lock=True,
                quiet=True,
                ssr_mode=False,
                enable_monitoring=False,
                run_history=False,
                footer_links=[],
                head=PLAYER,
                theme=gr.themes.Default(font=FONTS, font_mono=MONOSPACED),
            )
            yield [address for address in (local, public) if address]
        finally:
            app.close()
            if before is None:
                os.environ.pop("GRADIO_TEMP_DIR", None)
            else:
                os.environ["GRADIO_TEMP_DIR"] = before


def _check_port(host: str, port: int | None) -> None:
    """Says what is wrong with an address, before Gradio says what is wrong with its own arguments."""
    if port is None:
        return
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, OverflowError) as error:
            raise OSError(f"The app cannot listen at {host}:{port} ({error}): choose another port.") from error


__all__ = ["MAX_FILE_SIZE", "build", "serve"]
