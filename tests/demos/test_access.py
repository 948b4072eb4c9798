"""Whoever cannot see the pages, or has no mouse: axe-core's rules on every page, and every control by keyboard."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("gradio", reason="the pages need the extra 'demos'")

pytestmark = pytest.mark.browser
PAGES = (
    "",
    "classify",
    "detect",
    "segment",
    "faces",
    "text",
    "entities",
    "translate",
    "ask",
    "recommend",
    "compare",
    "experiments",
    "drift",
)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_no_serious_violation_of_accessibility(
    visit: Callable[..., Any], violations: Callable[[Any], list[str]], dark: bool
) -> None:
    found = visit()
    told: list[str] = []
    for path in PAGES:
        page = found.open(path, dark=dark)
        for accordion in page.get_by_role("button", name="Use it elsewhere").locator("visible=true").all():
            accordion.click()
            page.locator(".listing:visible").wait_for()
        told += [f"{path or 'home'}: {one}" for one in violations(page)]
    assert told == []


@pytest.mark.weights
@pytest.mark.parametrize(("path", "example"), [("text", "A warm film"), ("entities", "A life")])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_nor_any_when_an_answer_is_shown(
    visit: Callable[..., Any], violations: Callable[[Any], list[str]], path: str, example: str, dark: bool
) -> None:
    page = visit().open(path, dark=dark)
    page.get_by_role("button", name=example).click()
    page.locator(".prose.says", has_text=" ms").wait_for(timeout=60_000)
    page.get_by_role("button", name="Use it elsewhere").click()
    page.get_by_role("tab", name="JSON").click()
    page.get_by_text("TextLabels" if path == "text" else "Entities and Redacted").first.wait_for()
    assert violations(page) == []


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
