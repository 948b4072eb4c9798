"""The entities page: what it marks, what its endpoint answers, and what a visitor sees."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("gradio", reason="the pages need the extra 'demos'")

from hypothesis import given, settings
from hypothesis import strategies as st

from demos.entities import MOST_CHARACTERS, highlighted, marks
from nlp.types import Entities, Entity

TICKET = "Dear team, Ada Lovelace here (ada@example.org), card 4539 5787 6362 1486."


@settings(deadline=None)
@given(st.text("ab é👍🏽", max_size=20), st.lists(st.integers(0, 20), max_size=6, unique=True))
def test_parts_join_to_the_text(text: str, cuts: list[int]) -> None:
    edges = sorted(cut for cut in cuts if cut <= len(text))
    parts = highlighted(text, [(a, b, "X") for a, b in zip(edges[::2], edges[1::2])])
    assert "".join(part for part, _ in parts) == text
    assert all(part for part, _ in parts)


def test_an_address_is_marked_whole_though_a_name_stands_in_it() -> None:
    found = Entities((Entity("Ada", "PER", 0, 3, 0.9), Entity("ada", "PER", 6, 9, 0.6)))
    assert marks("Ada, (ada@example.org)", found) == [(0, 3, "PER"), (6, 21, "email")]


@pytest.mark.weights
def test_entities_and_the_text_without_them(client: Any) -> None:
    result, answer, marked, plain, listed = client.predict(
        TICKET, ["person", "email", "card"], "label", api_name="/entities"
    )
    assert result["entities"]["type"] == "Entities"
    assert result["redacted"]["text"] == plain
    assert "[EMAIL]" in plain
    assert "[CARD]" in plain
    assert "Lovelace" not in plain
    assert re.search(r"\d+ entit|1 entity", answer)
    assert "Ada Lovelace" in listed
    assert marked


@pytest.mark.weights
def test_nothing_to_take_out_leaves_the_text(client: Any) -> None:
    result, _, _, plain, _ = client.predict(TICKET, [], "label", api_name="/entities")
    assert plain == TICKET
    assert result["redacted"] is None


@pytest.mark.parametrize(
    ("text", "message"), [("", "at least one word"), ("x" * (MOST_CHARACTERS + 1), "at most 20,000 characters")]
)
def test_a_text_that_cannot_be_used_is_refused_in_words(client: Any, text: str, message: str) -> None:
    with pytest.raises(Exception, match=message):
        client.predict(text, ["email"], "label", api_name="/entities")


@pytest.mark.weights
@pytest.mark.browser
def test_an_example_is_one_click(visit: Callable[..., Any], look: Callable[[Any, str], None]) -> None:
    found = visit()
    page = found.open("entities")
    page.get_by_role("button", name="A support ticket").click()
    page.wait_for_function("document.querySelector('textarea')?.value.startsWith('Dear team')", timeout=120_000)
    page.locator(".prose.says", has_text="1 entity").wait_for(timeout=120_000)
    assert "[EMAIL:" in page.locator("textarea").nth(1).input_value()
    look(page, "entities")
    found.assert_well_behaved()


@pytest.mark.weights
@pytest.mark.browser
def test_on_a_telephone_and_in_the_dark(visit: Callable[..., Any], look: Callable[[Any, str], None]) -> None:
    found = visit(width=390, height=844)
    page = found.open("entities", dark=True)
    page.get_by_label("Text", exact=True).fill("Ada Lovelace lived in London.")
    page.get_by_role("button", name="Find").click()
    page.locator(".facts table").first.wait_for(timeout=120_000)
    look(page, "entities-telephone")
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= 390
    found.assert_well_behaved()
