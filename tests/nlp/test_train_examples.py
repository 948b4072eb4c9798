"""Examples and their batches: what is learnt from, cut and drawn right. No torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_encoder import WORDS, encoder_folder_path

from nlp.pairs import PairTemplate
from nlp.qa.data import Question
from nlp.tokenize import TextTokenizer, load_tokenizer
from nlp.training.calibrate import fit_temperature, log_loss
from nlp.training.examples import IGNORED, orders
from nlp.training.reading import Asked, answer_places, example, held_out, judge, read
from nlp.training.tagging import Sentence, cut, in_scheme, read_sentence, tag_names, window

TEMPLATE = PairTemplate(np.array([2]), np.array([3]), np.array([3]), (0, 0, 0, 1, 1))


@pytest.fixture(scope="module")
def tokenizer() -> TextTokenizer:
    return load_tokenizer(Path(encoder_folder_path()) / "tokenizer.json")


@given(
    st.lists(st.integers(1, 90), min_size=1, max_size=200),
    st.integers(16, 400),
    st.integers(1, 40),
    st.integers(0, 5),
)
def test_every_example_is_in_one_batch_that_fits(lengths: list[int], budget: int, most: int, epoch: int) -> None:
    made = orders(lengths, budget=budget, most=most, seed=1, epoch=epoch)
    assert sorted(at for batch in made for at in batch) == list(range(len(lengths)))
    for batch in made:
        assert len(batch) <= most
        assert len(batch) == 1 or len(batch) * max(lengths[at] for at in batch) <= budget
    assert made == orders(lengths, budget=budget, most=most, seed=1, epoch=epoch)


class TestTagging:
    def sentence(self, tokenizer: TextTokenizer, words: str, tags: str) -> Sentence:
        return read_sentence(tokenizer, words.split(), tags.split(), WORDS.index("[UNK]"))

    def test_a_window_has_a_tag_at_each_first_token(self, tokenizer: TextTokenizer) -> None:
        first = self.sentence(tokenizer, "Good films", "S-PER O")
        second = self.sentence(tokenizer, "the \x00 BAD", "O O S-LOC")
        tags = {tag: at for at, tag in enumerate(tag_names([[first, second]]))}
        made = window(tokenizer, [first, second], tags, told=True)
        good, film, s, the, unk, bad = (WORDS.index(word) for word in ("good", "film", "##s", "the", "[UNK]", "bad"))
        assert made.ids.tolist() == [2, good, film, s, the, unk, bad, 3]
        assert made.target.tolist() == [IGNORED, 2, 0, IGNORED, 0, 0, 1, IGNORED]
        assert made.features is not None
        assert made.features.tolist() == [0, 10 + 13, 7, 7 + 26, 7 + 13, 1, 9, 0]

    def test_guessed_beginnings_are_those_of_running_text(self, tokenizer: TextTokenizer) -> None:
        first, second = (self.sentence(tokenizer, "good", "O") for _ in range(2))
        told, guessed = (window(tokenizer, [first, second], {"O": 0}, told=told).features for told in (True, False))
        assert told is not None
        assert guessed is not None
        assert (told[2] - guessed[2], told[1] - guessed[1]) == (13, 0)

    @pytest.mark.parametrize("seed", [None, 1, 2])
    def test_cuts_keep_every_word_and_their_room(self, tokenizer: TextTokenizer, seed: int | None) -> None:
        documents = [
            [self.sentence(tokenizer, "good films " * n, "O O " * n) for n in (1, 4, 30, 2)],
            [self.sentence(tokenizer, "bad", "O")],
        ]
        rng = None if seed is None else np.random.default_rng(seed)
        made = cut(documents, room=20, rng=rng)
        assert all(sum(part.size for part in group) <= 20 for group in made)
        found = [word for group in made for part in group for word in part.words]
        assert found == [word for document in documents for row in document for word in row.words]

    def test_tags_of_any_scheme_become_one(self) -> None:
        assert in_scheme(["I-PER", "B-PER", "I-PER", "I-LOC", "O"]) == ["S-PER", "B-PER", "E-PER", "S-LOC", "O"]


class TestReading:
    def asked(
        self, answers: tuple[str, ...], starts: tuple[int, ...] = (), context: str = "fine film , fine"
    ) -> Question:
        return Question("1", "good ?", context, answers, "a", starts)

    def test_answers_stand_where_the_file_says(self) -> None:
        assert answer_places(self.asked(("fine",), (12,))) == [(12, 16)]
        assert answer_places(self.asked(("fine",))) == [(0, 4)]
        assert answer_places(self.asked(("fine",), (3,))) == []
        assert answer_places(self.asked(("awful",))) == []

    def test_tokens_of_answers(self, tokenizer: TextTokenizer) -> None:
        rows = [self.asked(("fine",), (12,)), self.asked(()), self.asked(("none",)), self.asked(("film ,", "ilm"))]
        found, kept, skipped = read(rows, tokenizer)
        assert [one.spans for one in found] == [((3, 3),), (), ((1, 1), (1, 2))]
        assert kept == [0, 1, 3]
        assert [row["kind"] for row in skipped] == ["no-answer"]

    def test_a_window_mostly_holds_the_answer(self) -> None:
        asked = Asked(np.array([4]), np.arange(100), ((60, 62),))
        inside = 0
        for seed in range(200):
            made = example(asked, TEMPLATE, 24, np.random.default_rng(seed))
            assert len(made.ids) == 24
            if made.target[0]:
                inside += 1
                assert made.ids[made.target[0] : made.target[1] + 1].tolist() == [60, 61, 62]
        assert 160 < inside < 200

    def test_a_question_without_an_answer_points_at_the_first_token(self) -> None:
        made = example(Asked(np.array([4]), np.arange(5), ()), TEMPLATE, 24, np.random.default_rng(0))
        assert made.target.tolist() == [0, 0]
        assert made.types is not None
        assert made.types.tolist() == [0, 0, 0, 1, 1, 1, 1, 1, 1]

    def test_the_best_stretch_of_all_windows_is_judged(self) -> None:
        asked = [Asked(np.array([4]), np.arange(30), ((25, 26),)), Asked(np.array([4]), np.arange(5), ())]
        examples, owners, places = held_out(asked, TEMPLATE, 20)
        logits = [np.zeros((len(one.ids), 2), dtype=np.float32) for one in examples]
        assert owners == [0] * (len(owners) - 1) + [1]
        at, place = len(owners) - 2, places[-2]
        logits[at][3 + 25 - place.start, 0] = 5
        logits[at][3 + 25 - place.start, 1] = 4
        logits[-1][0] = 2
        found = judge(asked, TEMPLATE, logits, owners, places, longest=8)
        assert found.scores.tolist() == [pytest.approx(2 / 3), 0]
        assert found.margins.tolist() == [-9, 4]


class TestTemperature:
    def test_it_is_where_the_loss_is_least(self) -> None:
        rng = np.random.default_rng(0)
        logits = rng.normal(size=(400, 3)).astype(np.float32) * 6
        powers = np.exp(logits / 2.5)
        truth = np.array([rng.choice(3, p=row) for row in powers / powers.sum(axis=1, keepdims=True)])
        found = fit_temperature(logits, truth)
        assert found == pytest.approx(2.5, rel=0.2)
        assert log_loss(logits, truth, found) <= min(log_loss(logits, truth, found * k) for k in (0.9, 1.1))

    def test_no_text_changes_nothing(self) -> None:
        assert fit_temperature(np.zeros((0, 2), np.float32), np.zeros(0, np.int64)) == 1
