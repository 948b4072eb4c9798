"""The page that compares: its endpoints called as a program calls them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("gradio", reason="the pages need the extra 'demos'")

from gradio_client import handle_file
from gradio_client.exceptions import AppError

from demos.compare import _sample


@pytest.mark.weights
def test_two_models_on_one_text(client: Any) -> None:
    result, answer, shown = client.predict("A joy to watch.", "Sentiment", api_name="/compare_text")
    assert {found["labels"][0] for found in result.values()} == {"positive"}
    assert "Both say positive" in answer
    assert "sst2-minilm" in shown


@pytest.mark.weights
def test_two_models_on_labelled_texts(client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    result, answer, shown = client.predict(handle_file(_sample()), "Sentiment", api_name="/compare_table")
    assert result["dataset"] == "short-reviews.csv"
    assert "accuracy" in answer
    assert 'class="forest"' in shown


def test_a_table_without_labels_is_refused(client: Any, tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_text("words,kind\nA joy.,positive\n")
    with pytest.raises(AppError, match="text"):
        client.predict(handle_file(str(path)), "Sentiment", api_name="/compare_table")
