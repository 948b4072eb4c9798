"""What the three domains tell of an item: known answers, and what moves when something is wrong with it."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageFilter

from nlp import monitoring as texts
from nlp.generation.types import Generated
from nlp.types import Answer, Answers, Entities, Entity, TextLabels, Translation
from recsys import monitoring as people
from recsys.collaborative.popularity import fit_popularity
from recsys.predictor import recommender
from recsys.testing import tastes
from shared.errors import InputError
from shared.tasks import find_task, task_names
from vision import monitoring as pictures
from vision.images import glance
from vision.types import Classification, Detections

CAT = Classification(("cat", "dog"), np.float32([0.75, 0.25]), np.int32([0, 1]))
RNG = np.random.default_rng(0)
PHOTO = Image.fromarray(RNG.integers(0, 255, (30, 40, 3), np.uint8)).resize((400, 300), Image.Resampling.BICUBIC)


def jpeg(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=92)
    return file.getvalue()


def test_every_task_is_watched() -> None:
    assert [name for name in task_names() if find_task(name).observe is None] == []


def test_numbers_of_pictures_whose_answer_is_known() -> None:
    grey = pictures.signals(Image.new("RGB", (10, 10), (51, 51, 51)))
    assert grey == pytest.approx(
        {"brightness": 0.2, "contrast": 0, "saturated": 0, "sharpness": 0, "colourfulness": 0}, abs=1e-5
    )
    board = np.indices((8, 8)).sum(0) % 2 * 255
    found = pictures.signals(Image.fromarray(board.astype(np.uint8)).convert("RGB"))
    assert found["saturated"] == 1
    assert found["contrast"] == pytest.approx(0.5, abs=1e-5)
    assert found["sharpness"] == pytest.approx((4 * 255) ** 2, rel=1e-4)  # each pixel against four of the other kind
    red = pictures.signals(Image.new("RGB", (4, 4), (255, 0, 0)))
    assert red["colourfulness"] == pytest.approx(0.3 * np.hypot(255, 127.5), rel=1e-5)


@pytest.mark.parametrize(
    ("change", "column", "factor"),
    [
        (lambda image: image.point(lambda value: value // 3), "brightness", 0.4),
        (lambda image: image.filter(ImageFilter.GaussianBlur(6)), "sharpness", 0.7),
        (lambda image: image.convert("L"), "colourfulness", 0.1),
        (lambda image: image.resize((100, 75)), "width", 0.5),
    ],
)
def test_a_picture_that_is_wrong_moves_its_number(change: object, column: str, factor: float) -> None:
    before = pictures.observe(jpeg(PHOTO), CAT)
    after = pictures.observe(jpeg(change(PHOTO)), CAT)  # type: ignore[operator]
    assert after.numbers[column] < factor * before.numbers[column]


def test_a_large_jpeg_is_decoded_in_part_and_looks_alike() -> None:
    large = PHOTO.resize((1601, 1203), Image.Resampling.BICUBIC)
    turned = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    large.save(turned, "JPEG", quality=95, exif=exif)
    seen, (height, width) = glance(turned.getvalue(), pictures.SIDE)
    assert (seen.size, height, width) == ((301, 401), 1601, 1203)
    part, whole = (pictures.observe(one, CAT) for one in (jpeg(large), large))
    for name, value in whole.numbers.items():
        assert part.numbers[name] == pytest.approx(value, rel=0.1, abs=0.01), name
    assert part.embedding is not None
    assert whole.embedding is not None
    assert np.linalg.norm(part.embedding - whole.embedding) < 0.15 * np.linalg.norm(whole.embedding)


def test_a_picture_has_one_observation_whatever_it_comes_as() -> None:
    pixels = np.asarray(PHOTO)
    first, second = pictures.observe(pixels, CAT), pictures.observe(PHOTO, CAT)
    assert first.numbers == second.numbers
    assert first.embedding is not None
    assert first.embedding.tolist() == second.embedding.tolist()  # type: ignore[union-attr]
    assert (first.label, first.confidence) == ("cat", 0.75)
    assert (first.numbers["width"], first.numbers["height"]) == (400, 300)
    address = pictures.observe("https://example.org/a.jpg", CAT)
    assert "width" not in address.numbers
    assert address.embedding is None
    with pytest.raises(InputError, match="begins with"):
        pictures.observe(b"no picture at all", CAT)


def test_projected_thumbnails_keep_their_distances() -> None:
    small = RNG.integers(0, 255, (12, 16, 16, 3), np.uint8)
    vectors = np.stack([pictures.thumbnail_vector(Image.fromarray(one)) for one in small])
    flat = small.reshape(12, -1).astype(np.float64) / 127.5 - 1
    pairs = np.triu_indices(12, 1)
    true = np.linalg.norm(flat[pairs[0]] - flat[pairs[1]], axis=1)
    found = np.linalg.norm(vectors[pairs[0]] - vectors[pairs[1]], axis=1)
    assert np.abs(found / true - 1).mean() < 0.15
    assert pictures.thumbnail_vector(Image.new("RGB", (5, 3))).shape == (64,)


def test_boxes_are_counted() -> None:
    boxes = Detections(("car", "man"), (100, 200), np.float32([[0, 0, 100, 50], [0, 0, 20, 50]]),
                       np.float32([0.9, 0.5]), np.int32([1, 2]))  # fmt: skip
    seen = pictures.observe(PHOTO, boxes)
    assert (seen.numbers["count"], seen.numbers["covered"]) == (2, pytest.approx(0.3))
    nothing = Detections((), (100, 200), np.zeros((0, 4), np.float32), np.float32([]), np.int32([]))
    seen = pictures.observe(PHOTO, nothing)
    assert (seen.numbers["count"], seen.label, seen.confidence) == (0, None, None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Ab 12", {"characters": 5, "words": 2, "word_length": 2, "digits": 0.4, "capitals": 0.5, "unusual": 0}),
        ("", {"characters": 0, "words": 0, "digits": 0, "foreign_letters": 0, "unusual": 0}),
        ("Äß да", {"foreign_letters": 0.5, "unusual": 0}),
        ("\ufffd\x00<>", {"unusual": 1.0}),
        ("one two " * 1000, {"characters": 8000, "words": 2000}),
    ],
)
def test_numbers_of_texts(text: str, expected: dict[str, float]) -> None:
    found = texts.signals(text)
    assert {name: found[name] for name in expected} == pytest.approx(expected)


def test_texts_of_the_same_words_lie_together() -> None:
    same, other = texts.word_vector("The cat sat. The mat!"), texts.word_vector("Quarterly revenue rose")
    assert np.linalg.norm(same) == pytest.approx(1)
    assert float(same @ texts.word_vector("mat, the cat sat the")) == pytest.approx(1)
    assert float(same @ other) < 0.5
    assert not texts.word_vector("?!").any()


@pytest.mark.parametrize(
    ("item", "result", "numbers", "label", "confidence"),
    [
        ("x y", TextLabels(("a", "b"), np.float32([0.75, 0.25])), {"margin": 0.5}, "a", 0.75),
        ("x y", TextLabels(("a", "b"), np.float32([0.75, 0.6]), True), {"held": 2}, "a", 0.75),
        ("Ada in Bern", Entities((Entity("Ada", "PER", 0, 3, 0.5), Entity("Bern", "LOC", 7, 11, 1.0))),
         {"count": 2, "entities_per_word": 2 / 3}, "PER", 0.75),
        ("Ada", Entities(()), {"count": 0}, None, None),
        ("bread", Translation("Brot", "en", "de", 0.9), {"length_ratio": 0.8, "warnings": 0}, None, 0.9),
        ({"question": "who?", "context": "Ada."}, Answers((Answer("Ada", 0, 3, 0.8),), 0.2),
         {"question_characters": 4, "no_answer": 0.2, "answer_characters": 3, "characters": 4}, "answer", 0.8),
        ('{"question": "who?", "context": "Ada."}', Answers((), 0.9), {"question_characters": 4}, "no answer", 0.9),
        ("Who?", Generated("Ada"), {"characters": 4, "answer_characters": 3}, None, None),
        ('{"messages": [{"role": "user", "content": "Who?"}]}', Generated("Ada"), {"characters": 4}, None, None),
        ('{"question": "who?", "passages": ["Ada"], "name": "a b"}', Generated(""), {"words": 3}, None, None),
    ],
)  # fmt: skip
def test_answers_about_texts(
    item: object, result: object, numbers: dict[str, float], label: str, confidence: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(texts, "_language", lambda text: ("en", 0.9))
    seen = texts.observe(item, result)  # type: ignore[arg-type]
    assert {name: seen.numbers[name] for name in numbers} == pytest.approx(numbers)
    assert (seen.label, seen.confidence) == (label, confidence if confidence is None else pytest.approx(confidence))
    assert seen.categories["language"] == "en"


def test_what_is_no_text_is_refused() -> None:
    with pytest.raises(InputError, match="must be a text. Got int"):
        texts.observe(3, Entities(()))


def test_taste_is_told_by_popularity() -> None:
    model = fit_popularity(tastes())
    opened = recommender(model, k=3)
    order = list(model.item_ids.ids)
    popular, rare = order[:2], order[-2:]
    asked = [popular, rare, [*rare, "plum"], "everything", "nobody"]
    seen = [people.observe(one, opened.predict([one])[0], predictor=opened) for one in asked]
    assert seen[0].numbers["seen_rank"] == 0.5 / 8
    assert seen[1].numbers["seen_rank"] == 6.5 / 8
    assert [one.numbers.get("unknown_items") for one in seen] == [0, 0, pytest.approx(1 / 3), None, None]
    assert [one.categories["person"] for one in seen] == ["history", "history", "history", "known", "unknown"]
    assert [one.numbers["history"] for one in seen] == [2, 2, 3, 8, 0]
    assert seen[1].label == order[0]
    assert seen[1].numbers["recommended_rank"] == pytest.approx(1 / 8)
    with pytest.raises(InputError, match="must be Recommendations"):
        people.observe("nobody", CAT)
