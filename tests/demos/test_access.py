"""Whoever cannot see the pages, or has no mouse: axe-core's rules on every page, and every control by keyboard."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("gradio", reason="the pages need the extra 'demos'")

pytestmark = pytest.mark.browser
PAGES = ("", "classify", "detect", "segment", "faces", "text", "entities", "translate", "ask", "recommend")

BAD_ONES = """async () => {
  const found = await axe.run(document, {resultTypes: ["violations"]});
  return found.violations.filter(one => ["serious", "critical"].includes(one.impact)).flatMap(
    one => one.nodes.map(node => `${one.id}: ${node.html.slice(0, 160)} ${node.any.map(c => c.message).join("; ")}`));
}"""


@pytest.fixture(scope="session")
def axe() -> str:
    """The script of axe-core, which a package carries."""
    package = pytest.importorskip("axe_playwright_python.base", reason="axe-core comes with axe-playwright-python")
    return str(package.AXE_SCRIPT)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_no_serious_violation_of_accessibility(visit: Callable[..., Any], axe: str, dark: bool) -> None:
    found = visit()
    told = {}
    for path in PAGES:
        page = found.open(path, dark=dark)
        page.wait_for_timeout(300)  # for a fade that would be read as a lack of contrast
        for accordion in page.get_by_role("button", name="Use it elsewhere").all():
            accordion.click()
        page.evaluate(axe)
        told[path] = page.evaluate(BAD_ONES)
    assert told == dict.fromkeys(PAGES, [])
