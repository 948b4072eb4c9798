"""What a start leaves out, and what opens beside it."""

from __future__ import annotations

import asyncio
import importlib.util
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

pytest.importorskip("gradio", reason="the pages need the extra 'demos'")

import gradio as gr
from gradio.blocks import Blocks
from gradio.routes import App

from demos.app import JOBS, build
from demos.lean import _Finder, many_pages
from demos.opening import Model
from shared.catalogue import ModelFile
from shared.errors import WeightsError
from shared.testing import fake_card


def test_gradio_writes_no_stubs_of_its_components() -> None:
    name = "gradio.component_meta"
    spec = _Finder().find_spec(name, gr.__path__)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.create_or_modify_pyi(gr.Textbox, "Textbox", []) is None
    assert module.create_or_modify_pyi.__name__ == "<lambda>"
    assert _Finder().find_spec("gradio.blocks", gr.__path__) is None


def test_pages_are_whole_though_their_applications_are_made_once() -> None:
    before = vars(App)["create_app"], vars(Blocks)["get_config_file"]

    async def made() -> Any:  # inside a loop, since Gradio would make one and leave it open
        return build()

    with ThreadPoolExecutor(1) as thread:
        app = thread.submit(lambda: asyncio.run(made())).result()
    assert (vars(App)["create_app"], vars(Blocks)["get_config_file"]) == before
    assert isinstance(app.app, App)
    assert {path for path, *_ in app.get_config_file()["pages"]} == {"", *(job.PAGE.path for job in JOBS)}


def test_what_is_left_out_comes_back_though_a_page_fails() -> None:
    before = vars(App)["create_app"]

    def fails() -> None:
        with many_pages():
            assert vars(App)["create_app"] is not before
            raise WeightsError("a page")

    with pytest.raises(WeightsError, match="a page"):
        fails()
    assert vars(App)["create_app"] is before


def test_a_model_is_opened_beside_once_and_whoever_asks_meanwhile_waits_for_it() -> None:
    go, opened = threading.Event(), []

    def slow() -> str:
        go.wait(60)
        opened.append(1)
        return "open"

    model = Model("Greet", fake_card(name="hello"), slow)
    model.warm()
    model.warm()
    assert not model.opened
    with ThreadPoolExecutor(1) as thread:
        asked = thread.submit(model.get, str)
        go.set()
        assert asked.result(60) == "open"
    assert len(opened) == 1


def test_nothing_is_fetched_to_open_a_model_beside(empty_home: Any) -> None:
    def fails() -> str:
        raise WeightsError("not here")

    absent = ModelFile("weights.bin", 3, "0" * 64, ("https://example.org/weights.bin",))
    with_file, without = (Model("Greet", fake_card(name="hello", files=files), fails) for files in ((absent,), ()))
    before = threading.active_count()
    with_file.warm()
    assert threading.active_count() == before
    without.warm()  # fails beside, quietly: whoever asks is told
    with pytest.raises(WeightsError, match="not here"):
        without.get(str)
