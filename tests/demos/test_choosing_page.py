"""A visitor chooses a model in the browser, and is led to the answer on a narrow screen."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("gradio", reason="the pages need the extra 'demos'")

from demos.models import HEADS

pytestmark = [pytest.mark.browser, pytest.mark.weights]
LISTED = "told => [...document.querySelectorAll('textarea')].some(listing => listing.value.includes(told))"
IN_VIEW = """line => { const {top} = line.getBoundingClientRect(); return top > -1 && top < innerHeight / 2; }"""


def choose(page: Any, model: str) -> None:
    page.get_by_role("combobox", name="Model").click()
    page.get_by_role("option", name=re.compile(rf"{re.escape(model)} · ")).click()


def answered(page: Any, pattern: str) -> None:
    page.locator(".prose.says", has_text=re.compile(pattern)).wait_for()


def test_another_model_answers_at_once_and_the_request_elsewhere_names_it(visit: Callable[..., Any]) -> None:
    found = visit()
    page = found.open("classify")
    page.locator(".gallery-item").first.click()
    answered(page, "lion")
    page.get_by_role("button", name="Use it elsewhere").click()
    page.wait_for_function(LISTED, arg="vision.classifier()")
    choose(page, "mobilenetv2-224")
    page.get_by_text("less than half the work, a little less right").wait_for()
    page.wait_for_function(LISTED, arg="vision.classifier('mobilenetv2-224')")
    answered(page, "lion")
    found.assert_well_behaved()


def test_the_models_offered_follow_what_is_to_be_told(visit: Callable[..., Any]) -> None:
    found = visit()
    page = found.open("text")
    model = page.get_by_role("combobox", name="Model")
    choose(page, "sst2-minilm")
    page.get_by_label("Text", exact=True).fill("A warm, funny film.")
    page.get_by_role("button", name="Tell").click()
    answered(page, "positive")
    page.get_by_label("Topic", exact=True).check()
    page.wait_for_function("() => [...document.querySelectorAll('input')].some(e => e.value.startsWith('agnews'))")
    page.get_by_text("Chosen by name only: its training data is for non-commercial use").wait_for()
    model.click()
    offered = [name.split(" · ")[0].strip("✓\n ") for name in page.get_by_role("option").all_inner_texts()]
    assert offered[0] == "agnews-minilm"
    assert set(offered) <= set(HEADS["Topic"])  # one that is opt-in is offered where its files are here
    found.assert_well_behaved()


def test_on_a_narrow_screen_the_page_goes_to_the_answer_and_stays_where_a_slider_asks(
    visit: Callable[..., Any],
) -> None:
    found = visit(390, 844, fresh=True)
    page = found.open("detect")
    line = page.locator(".prose.says").first
    page.locator(".gallery-item").first.click()
    answered(page, "person")
    page.wait_for_function("() => scrollY > 300")
    page.wait_for_function(IN_VIEW, arg=line.element_handle())
    threshold = page.get_by_label(re.compile("number input for Least score"))
    threshold.scroll_into_view_if_needed()
    page.wait_for_timeout(600)  # the page comes to rest
    before = page.evaluate("scrollY")
    threshold.fill("0.9")
    threshold.press("Enter")
    page.wait_for_function("() => !document.querySelector('.prose.says').innerText.includes('tie')")
    assert abs(page.evaluate("scrollY") - before) < 5
    found.assert_well_behaved()


def test_on_a_wide_screen_it_stays(visit: Callable[..., Any]) -> None:
    page = visit().open("text")
    page.locator(".gallery-item").first.click()
    answered(page, "positive")
    assert page.evaluate("scrollY") == 0
