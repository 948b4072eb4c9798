"""Models share one room: those asked longest ago go when it is full, and come back when they are asked."""

from __future__ import annotations

import gc
import threading
import weakref
from functools import partial
from typing import Any

import gradio as gr
import numpy as np
import pytest

from demos.choosing import Choice, about, at_hand, of_kind, titled
from demos.models import LOWEST_SCORE, OWN_LABELS_KEPT, ZERO_SHOT, OwnLabels, Pool, declare
from demos.opening import Model, Room, resident
from shared.catalogue import ModelFile, cards, default, find
from shared.testing import fake_card

ABSENT = ModelFile("model.onnx", 10, "0" * 64, ("https://example.org/model.onnx",))


def three(room: Room, held: list[str]) -> list[Model[str]]:
    def opened(name: str) -> str:
        held.append(name)
        return name

    return [Model("Test", fake_card(name=name), partial(opened, name), room=room) for name in "abc"]


def test_those_asked_longest_ago_are_let_go_until_the_process_fits() -> None:
    held: list[str] = []
    models: list[Model[str]] = []
    room = Room(25, taken=lambda: 1000 + 10 * sum(model.opened for model in models))
    models += three(room, held)
    a, b, c = models
    for model in (a, b, a, c):  # 30 of 25 with the third: b was asked longest ago
        assert model.get(lambda _: None) == model.card.name
    assert [model.opened for model in models] == [True, False, True]
    assert b.get(lambda _: None) == "b"
    assert [model.opened for model in models] == [False, True, True]
    assert held == ["a", "b", "c", "b"]


def test_the_one_that_was_asked_stays_even_where_it_alone_is_too_much() -> None:
    models: list[Model[str]] = []
    room = Room(5, taken=lambda: 10 * sum(model.opened for model in models))
    models += three(room, [])
    for model in models:
        assert model.get(lambda _: None) == model.card.name
        assert [one for one in models if one.opened] == [model]


def test_what_else_grows_costs_models_when_the_server_tidies() -> None:
    models: list[Model[str]] = []
    others = [0]
    room = Room(35, taken=lambda: others[0] + 10 * sum(model.opened for model in models))
    models += three(room, [])
    for model in models:
        model.get(lambda _: None)
    room.tidy()
    assert all(model.opened for model in models)
    others[0] = 10
    room.tidy()
    assert [model.opened for model in models] == [False, True, True]
    others[0] = 100
    room.tidy()
    assert not any(model.opened for model in models)


def test_nothing_is_let_go_where_nobody_knows_what_is_taken() -> None:
    models = three(Room(0, taken=lambda: None), [])
    for model in models:
        model.get(lambda _: None)
    assert all(model.opened for model in models)


def test_what_many_threads_ask_is_answered_though_it_is_let_go_meanwhile() -> None:
    models: list[Model[str]] = []
    room = Room(15, taken=lambda: 10 * sum(model.opened for model in models))
    models += three(room, [])
    answers: list[bool] = []

    def ask(seed: int) -> None:
        for at in np.random.default_rng(seed).integers(0, 3, 12).tolist():
            answers.append(models[at].get(lambda _: None) == models[at].card.name)

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 36
    assert all(answers)


def test_real_memory_comes_back() -> None:
    if resident() is None:
        pytest.skip("this system does not tell what a process takes")
    room = Room(150 << 20)
    models: list[Model[Any]] = [
        Model("Test", fake_card(name=name), lambda: np.ones(100 << 17), room=room)  # 100 MiB each
        for name in "abcd"
    ]
    begun = resident() or 0
    for model in models:
        model.get(lambda _: None)
    assert models[-1].opened
    assert sum(model.opened for model in models) <= 2  # a second one where the rest of the process shrank meanwhile
    assert (resident() or 0) - begun < 250 << 20  # all four are 400


@pytest.mark.weights
def test_a_classifier_for_labels_that_nobody_asks_for_any_more_is_gone() -> None:
    own = OwnLabels(find(ZERO_SHOT), Room())
    first = own.model(("a film", "food"))
    assert first.get(lambda _: None).predict(["The soup was hot."])[0].labels[0] == "food"
    assert own.opened
    for number in range(OWN_LABELS_KEPT):
        own.model(("a", str(number)))
    assert not own.opened
    there = weakref.ref(first)
    del first
    gc.collect()
    assert there() is None


def test_pages_share_what_is_opened_alike() -> None:
    pool = Pool(Room())
    card = find("sst2-minilm")
    assert pool.model("Text", card) is pool.model("Compare", card)
    assert pool.model("Text", card) is not pool.model("Text", card, labels=("a", "b"))
    assert pool.model("Text", card).job == "Text"


def test_what_a_visitor_may_choose() -> None:
    plain, chosen = fake_card(name="plain", files=(ABSENT,)), fake_card(name="asked", files=(ABSENT,), opt_in="AGPL")
    here = fake_card(name="here", opt_in="weak")
    assert at_hand([plain, chosen, here]) == [plain, here]
    assert about(plain).endswith("It is fetched at its first use.")
    assert "Chosen by name only: weak." in about(here)


def test_offline_only_what_is_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIPTYCH_OFFLINE", "1")
    plain, here = fake_card(name="plain", files=(ABSENT,)), fake_card(name="here")
    first = fake_card(name="first", files=(ABSENT,), default=True)
    assert at_hand([plain, here, first]) == [here, first]


def test_a_family_whose_library_is_not_here_is_not_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("demos.choosing.find_spec", lambda _: None)
    assert not at_hand([fake_card(name="pipeline", family="spacy")])


def test_choices_begin_with_the_tasks_own_model_and_say_licence_and_size() -> None:
    models = declare()
    assert models.classifiers.first.card == default("vision.classification")
    assert models.detectors.first.card == default("vision.detection")
    assert models.recognisers.first.card == default("nlp.ner")
    assert models.heads["Sentiment"].first.card == default("nlp.classification")
    assert next(iter(models.translators.values())).first.card == default("nlp.translation")
    assert titled(default("vision.classification")) == "mobilenetv2 · Apache-2.0 · 14.2 MB"
    offered = {card.name for choice in models.heads.values() for card in choice.cards}
    assert "minilm-zero-shot" not in offered
    assert {"sst2-minilm", "trec-minilm"} <= offered
    assert not any(model.opened for model in models.all())
    assert models.detectors.first is models.pool.model(
        "Detect", default("vision.detection"), score_threshold=LOWEST_SCORE
    )


def test_a_model_of_another_kind_gives_way_and_an_unknown_one_is_refused() -> None:
    pool = Pool(Room())
    here = {card.name: card for card in cards("nlp.classification")}
    kinds: dict[str, Choice[Any]] = {
        "Sentiment": pool.choice("Text", [here["sst2-bge-lora"], here["sst2-minilm"]]),
        "Spam": pool.choice("Text", [here["sms-spam-minilm"]]),
    }
    assert of_kind(kinds, "Sentiment", "sst2-minilm").card.name == "sst2-minilm"
    for name in (None, "sst2-minilm"):
        assert of_kind(kinds, "Spam", name).card.name == "sms-spam-minilm"
    with pytest.raises(gr.Error, match="must be one of sms-spam-minilm. Got 'bert'"):
        of_kind(kinds, "Spam", "bert")
    with pytest.raises(gr.Error, match="must be one of Sentiment, Spam. Got 'Mood'"):
        of_kind(kinds, "Mood", None)
    assert kinds["Sentiment"].told("sst2-bge-lora") is None
    assert kinds["Sentiment"].told("sst2-minilm") == "sst2-minilm"
