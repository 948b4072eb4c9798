"""The curl that the pages show for ``triptych serve``, run by a shell against one."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("gradio", reason="the pages need the extra 'demos'")
pytest.importorskip("fastapi", reason="the service needs the extra 'serve'")

from gradio_client import handle_file

from demos import classify, entities, text
from demos.detect import page as detect
from demos.examples import CLASSIFY, pictures
from demos.models import SEGMENTERS
from demos.segment import page as segment
from demos.sharing import SERVICE, Elsewhere, to_service

pytestmark = [
    pytest.mark.weights,
    pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed"),
]
ALPS = 'Ada Lovelace saw the Eiger\'s "north face" in Grindelwald: $HOME.'
TASKS = [
    "nlp.classification=sst2-bge-lora",
    "nlp.ner",
    "vision.classification",
    "vision.detection",
    "vision.segmentation=deeplabv3",
]


@pytest.fixture(scope="module")
def service() -> Iterator[str]:
    """A service of the tasks, warmed; its address."""
    command = [sys.executable, "-c", "from shared.cli.main import main; main()", "serve", *TASKS, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            assert process.stdout is not None
            said = (re.search(r"answers at (http://\S+)", line) for line in process.stdout)
            address = next(filter(None, said), None)
            assert address is not None, "it ended"
            deadline = time.monotonic() + 300
            while not _ready(address[1]):
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.2)
            yield address[1]
        finally:
            process.terminate()
            process.communicate(timeout=60)


def _ready(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/readyz", timeout=60):
            return True
    except (urllib.error.URLError, TimeoutError):  # it does not listen yet, or says 503 until all models are warm
        return False


@pytest.fixture
def told(service: str, tmp_path: Path) -> Callable[[Elsewhere | None], dict[str, Any]]:
    """The result that the shown curl prints, run where the picture lies."""

    def run(wanted: Elsewhere | None) -> dict[str, Any]:
        assert wanted is not None
        shown = to_service(wanted)
        assert SERVICE in shown
        script = shown.replace(SERVICE, service.rstrip("/"))
        ran = subprocess.run(["sh", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
        found: dict[str, Any] = json.loads(ran.stdout)["result"]
        return found

    return run


def about(result: Any) -> Any:
    return json.loads(json.dumps(result), parse_float=lambda number: round(float(number), 3))


def test_texts_are_answered_as_on_the_page(client: Any, told: Callable[..., Any]) -> None:
    page = client.predict(ALPS, "Sentiment", "", api_name="/text")[0]
    assert about(told(text.elsewhere(ALPS, "Sentiment", "", "sst2-bge-lora"))) == about(page)
    page = client.predict(ALPS, [], "label", api_name="/entities")[0]
    assert about(told(entities.elsewhere(ALPS, [], "label"))) == about(page["entities"])


def test_pictures_are_answered_as_on_the_page(client: Any, told: Callable[..., Any], tmp_path: Path) -> None:
    name = 'it\'s a "lion", or not.jpg'
    shutil.copy(pictures(CLASSIFY)[0], tmp_path / name)
    sent, file = handle_file(tmp_path / name), {"path": str(tmp_path / name), "orig_name": name}
    page = client.predict(sent, api_name="/classify")[0]
    assert about(told(classify.elsewhere(file))) == about(page)
    page = client.predict(sent, 0.3, False, api_name="/detect")[0]
    assert about(told(detect.elsewhere(file, 0.3, False, []))) == about(page)
    kind, (model, *_) = next(iter(SEGMENTERS.items()))
    page = client.predict(sent, api_name="/segment")[0]
    found = told(segment.elsewhere(file, model, kind))
    assert found["labels"] == page["labels"]
    assert about(found["areas"]) == about(page["areas"])
