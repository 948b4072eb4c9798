"""The named endpoints, called as a program calls them."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("gradio", reason="the pages need the extra 'demos'")

from gradio_client import handle_file
from gradio_client.exceptions import AppError
from PIL import Image

INPUTS: dict[str, list[Any]] = {
    "classify": [None],
    "detect": [0.3, False, None],
    "segment": ["Things it knows", "Colours over the picture", 0.5, None],
    "faces": [],
}
"""What the endpoints take beside the picture."""


def sample(name: str) -> Path:
    spec = find_spec("sklearn")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "datasets/images" / name


def posted(address: str, endpoint: str, *data: Any) -> str:
    """What the endpoint streams for a raw request, without what the client library does to files."""
    import httpx

    address = f"{address.rstrip('/')}/gradio_api/call/{endpoint}"
    event = httpx.post(address, json={"data": data}, timeout=60).json()["event_id"]
    return httpx.get(f"{address}/{event}", timeout=120).text


def test_the_endpoints_are_named(client: Any) -> None:
    named = client.view_api(return_format="dict")["named_endpoints"]
    plans = ("experiments_analyse", "experiments_peek", "experiments_plan")
    compared = ("compare_table", "compare_text")
    jobs = ("ask", "classify", "detect", "entities", "faces", "recommend", "segment", "text", "translate")
    assert {f"/{job}" for job in (*jobs, *compared, *plans)} <= set(named)
    assert not [name for name in named if name.startswith("/lambda")]
    documented = (Path(__file__).parents[2] / "docs" / "demos.md").read_text("utf-8")
    for name, told in named.items():
        assert f"`{name}`" in documented
        assert len(told["description"]) > 20, name


def test_recommend(client: Any) -> None:
    result, answer, _, alike = client.predict(["dracula", "carmilla"], "EASE", api_name="/recommend")
    assert result["type"] == "Recommendations"
    assert result["reason"] == "fold-in"
    assert len(result["items"]) == 10
    assert not {"dracula", "carmilla"} & set(result["items"])
    assert "castle-of-otranto" in result["items"]
    assert "Like Carmilla" in alike
    assert "Dracula and Carmilla" in answer


def test_no_picks_are_answered_with_what_is_popular(client: Any) -> None:
    result = client.predict([], "Nearest neighbours", api_name="/recommend")[0]
    assert result["reason"] == "popular: the history is empty"
    assert result["scores"] == sorted(result["scores"], reverse=True)


@pytest.mark.parametrize("picked", [["no-such-book"], ["emma"] * 21])
def test_picks_that_are_no_books_are_refused(client: Any, picked: list[str]) -> None:
    with pytest.raises(AppError):
        client.predict(picked, "EASE", api_name="/recommend")


@pytest.mark.weights
def test_classify(client: Any) -> None:
    result, answer, label = client.predict(handle_file(sample("flower.jpg")), api_name="/classify")
    assert result["type"] == "Classification"
    assert len(result["labels"]) == 5
    assert label["label"] == result["labels"][0]
    assert " ms" in answer


@pytest.mark.weights
def test_detect_filters_by_score(client: Any) -> None:
    few, many = (client.predict(handle_file(sample("china.jpg")), t, api_name="/detect")[0] for t in (0.3, 0.05))
    assert few["type"] == "Detections"
    assert few["image_size"] == [427, 640]
    assert len(many["scores"]) > len(few["scores"])
    assert min(few["scores"], default=1) >= 0.3
    assert few["scores"] == many["scores"][: len(few["scores"])]


@pytest.mark.weights
def test_segment_by_classes_and_foreground(client: Any) -> None:
    from vision.types import Segmentation

    data, answer, drawn, areas = client.predict(handle_file(sample("flower.jpg")), api_name="/segment")
    found = Segmentation.from_json(data)
    assert (found.kind, found.image_size) == ("semantic", (427, 640))
    assert Path(drawn).is_file()
    data, answer, drawn, areas = client.predict(
        handle_file(sample("flower.jpg")), "The foreground", "Cut out", api_name="/segment"
    )
    found = Segmentation.from_json(data)
    assert found.alpha is not None
    assert (found.kind, found.labels, found.alpha.shape) == ("foreground", ("foreground",), (427, 640))
    assert "of the picture" in answer
    assert "foreground" in areas
    with Image.open(drawn) as cut:
        assert (cut.mode, cut.size) == ("RGBA", (640, 427))


@pytest.mark.weights
def test_what_is_not_offered_is_refused(client: Any) -> None:
    with pytest.raises(AppError, match="must be one of"):
        client.predict(handle_file(sample("flower.jpg")), "Unicorns", api_name="/segment")


@pytest.mark.weights
@pytest.mark.parametrize("threshold", [-0.1, 1.5, "high", None])
def test_a_threshold_out_of_range_is_refused(client: Any, threshold: Any) -> None:
    with pytest.raises(AppError, match="from 0 to 1"):
        client.predict(handle_file(sample("china.jpg")), threshold, api_name="/detect")


@pytest.mark.weights
@pytest.mark.parametrize("endpoint", ["/classify", "/detect", "/segment", "/faces"])
def test_a_broken_picture_is_an_error_in_the_visitors_words(client: Any, endpoint: str, tmp_path: Path) -> None:
    path = tmp_path / "half.jpg"
    path.write_bytes(sample("china.jpg").read_bytes()[:30_000])
    with pytest.raises(AppError, match=r"cannot be decoded.*truncated"):
        client.predict(handle_file(path), api_name=endpoint)


@pytest.mark.weights
@pytest.mark.parametrize("endpoint", ["/classify", "/detect", "/segment", "/faces"])
def test_a_file_that_is_no_picture_is_named_as_the_visitor_does(client: Any, endpoint: str, tmp_path: Path) -> None:
    path = tmp_path / "letter.jpg"
    path.write_text("Dear all, this is no picture.")
    with pytest.raises(AppError, match=r" letter\.jpg begins with") as caught:
        client.predict(handle_file(path), api_name=endpoint)
    assert "triptych-demo" not in str(caught.value)


@pytest.mark.parametrize("endpoint", ["classify", "detect", "segment", "faces"])
@pytest.mark.parametrize("meta", [{}, {"meta": {"_type": "gradio.FileData"}}])
@pytest.mark.parametrize("path", ["/etc/passwd", str(sample("china.jpg"))])
def test_files_that_nobody_uploaded_are_not_read(address: str, endpoint: str, meta: dict[str, Any], path: str) -> None:
    streamed = posted(address, endpoint, {"path": path} | meta, *INPUTS[endpoint])
    assert "event: error" in streamed
    assert "identify" not in streamed


@pytest.mark.parametrize("endpoint", ["classify", "detect", "segment", "faces"])
def test_addresses_are_not_fetched(address: str, endpoint: str) -> None:
    meta = {"meta": {"_type": "gradio.FileData"}}
    streamed = posted(address, endpoint, {"path": f"{address}theme.css"} | meta, *INPUTS[endpoint])
    assert "must be an uploaded file. Got an address instead" in streamed


@pytest.mark.weights
def test_text_by_a_trained_head(client: Any) -> None:
    result, answer, _ = client.predict("A warm and funny film.", "Sentiment", "", api_name="/text")
    assert result["type"] == "TextLabels"
    assert result["labels"][0] == "positive"
    assert sum(result["scores"]) == pytest.approx(1, abs=1e-4)
    assert "positive" in answer


@pytest.mark.weights
def test_text_by_labels_of_ones_own(client: Any) -> None:
    text = "The striker scored twice in the second half."
    result = client.predict(text, "My own labels", "cooking, football, astronomy", api_name="/text")[0]
    assert result["labels"][0] == "football"
    assert set(result["labels"]) == {"cooking", "football", "astronomy"}


@pytest.mark.parametrize("labels", ["", "one", "a, a", ",".join(map(str, range(21))), "x" * 200 + ", y"])
def test_labels_that_make_no_choice_are_refused(client: Any, labels: str) -> None:
    with pytest.raises(AppError, match="labels"):
        client.predict("Some text.", "My own labels", labels, api_name="/text")


@pytest.mark.weights
@pytest.mark.parametrize("text", ["", " \n"])
def test_an_empty_text_is_an_error(client: Any, text: str) -> None:
    with pytest.raises(AppError, match="text"):
        client.predict(text, "Sentiment", "", api_name="/text")


def test_a_text_too_long_is_an_error(client: Any) -> None:
    with pytest.raises(AppError, match="20,000 characters"):
        client.predict("a" * 20_001, "Sentiment", "", api_name="/text")


def test_an_upload_too_large_is_refused(address: str) -> None:
    import httpx

    files = {"files": ("big.jpg", bytes(21_000_000), "image/jpeg")}
    assert httpx.post(f"{address}gradio_api/upload", files=files, timeout=60).status_code == 413
