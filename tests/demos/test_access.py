"""Whoever cannot see the pages, or has no mouse: axe-core's rules on every page, and every control by keyboard."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("gradio", reason="the pages need the extra 'demos'")

from demos.app import JOBS

pytestmark = pytest.mark.browser
PAGES = ("", *(job.PAGE.path for job in JOBS))


def test_no_serious_violation_of_accessibility(visit: Callable[..., Any], in_both: Callable[[Any], list[str]]) -> None:
    """Every page, and each of its tabs."""
    found = visit()
    told: list[str] = []
    for path in PAGES:
        page = found.open(path)
        names = page.get_by_role("tab").locator("visible=true").all_inner_texts() or [""]
        for name in names:
            if name:
                page.get_by_role("tab", name=name, exact=True).first.click()
            for accordion in page.get_by_role("button", name="Use it elsewhere").locator("visible=true").all():
                if accordion.get_attribute("aria-expanded") != "true":
                    accordion.click()
                page.locator(".listing:visible").wait_for()
            told += [f"{path or 'home'} {name}, {one}" for one in in_both(found)]
        found.settled()
    assert told == []


@pytest.mark.weights
@pytest.mark.parametrize(
    ("path", "example"), [("text", "A warm film"), ("entities", "A life"), ("compare", "A double no")]
)
def test_nor_any_when_an_answer_is_shown(
    visit: Callable[..., Any], in_both: Callable[[Any], list[str]], path: str, example: str
) -> None:
    found = visit()
    page = found.open(path)
    page.get_by_role("button", name=example).click()
    page.locator(".prose.says:visible", has_text=" ms").wait_for(timeout=120_000)
    page.get_by_role("button", name="Use it elsewhere").locator("visible=true").click()
    page.get_by_role("tab", name="JSON").locator("visible=true").click()
    told = {"text": "TextLabels", "entities": "Entities and Redacted", "compare": "Comparison"}[path]
    page.get_by_text(told).locator("visible=true").first.wait_for()
    assert in_both(found) == []


FOCUSED = """() => {
  const at = document.activeElement;
  if (!at || at === document.body) return null;
  const seen = [at, ...[1, 2, 3].map(n => { let up = at; while (n-- && up) up = up.parentElement; return up; })];
  const shown = seen.filter(Boolean).some(one => {
    const style = getComputedStyle(one);
    return (style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0) || style.boxShadow !== "none";
  });
  return [at.tagName + ":" + (at.ariaLabel || at.labels?.[0]?.innerText || at.innerText || at.type || "").slice(0, 40),
          shown];
}"""


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("text", ["Text", "Sentiment", "Tell", "A warm film", "Use it elsewhere"]),
        ("classify", ["Drop an image file here to upload", "Use it elsewhere"]),
    ],
)
def test_every_control_is_reached_by_keyboard_and_seen(visit: Callable[..., Any], path: str, wanted: list[str]) -> None:
    page = visit().open(path)
    reached: list[str] = []
    unseen: list[str] = []
    for _ in range(40):
        page.keyboard.press("Tab")
        at = page.evaluate(FOCUSED)
        if at is None:
            break
        reached.append(at[0])
        if not at[1]:
            unseen.append(at[0])
    missing = [name for name in wanted if not any(name in one for one in reached)]
    assert missing == [], f"reached: {', '.join(reached)}"
    assert unseen == []
