"""The translator over models whose every answer is known."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import tiny_translator
from click.testing import CliRunner

import nlp
from nlp.translation.checks import WORDS, Limits, faults
from nlp.translation.decode import decode
from nlp.translation.engine import Drafted, Engine, load_engine, pairs_of, tokens_at_once
from nlp.translation.evaluate import evaluate_translation
from nlp.translation.glossary import read_glossary
from nlp.translation.masking import Masked
from nlp.translation.models import open_translation
from nlp.translation.prepare import MOST_CHARACTERS, Prepared
from nlp.translation.routes import Routes
from nlp.types import Translation
from shared.catalogue import ModelCard
from shared.cli.main import triptych
from shared.errors import DataError, InputError, PredictError, UnknownNameError, UsageError
from shared.evaluation.generation import bleu_score, chrf_score
from shared.predictor import Predictor
from shared.testing import fake_card
from shared.testing.contracts import PredictorContract
from shared.types import Failure, Result
from shared.weights import read_model_folder, write_model_folder


@pytest.fixture(scope="module")
def folder() -> Path:
    return tiny_translator.english_german()


@pytest.fixture(scope="module")
def german(folder: Path) -> Predictor[str, Translation]:
    return nlp.translator(folder, source="en", target="de", threads=2)


class TestTranslator(PredictorContract):
    def build(self) -> Predictor[str, Translation]:
        return nlp.translator(tiny_translator.english_german(), source="en", target="de", threads=2)

    def good(self) -> Sequence[str]:
        return ["the cat sleeps.", "Hello world!\n\n- Why?", "1234"]

    def bad(self) -> object:
        return "lone \ud800 surrogate"


def test_words_and_spans(german: Predictor[str, Translation]) -> None:
    text = "Hello world!  Why?"
    found = german.predict([text])[0]
    assert isinstance(found, Translation)
    assert found.text == "Hallo Welt!  Warum?"
    assert (found.source, found.target, found.via, found.warnings) == ("en", "de", (), ())
    spans = [(text[one.start : one.end], found.text[one.target_start : one.target_end]) for one in found.sentences]
    assert spans == [("Hello world!", "Hallo Welt!"), ("Why?", "Warum?")]
    assert found.score > 0.9
    assert Result.from_json(json.loads(json.dumps(found.to_json()))) == found


KEPT = [
    ("the cat\n\n\n  the dog\n", "die Katze\n\n\n  die Hund\n"),
    ("- the cat\n- the dog", "- die Katze\n- die Hund"),
    ("1. the cat\n2) the dog\n   * Why?", "1. die Katze\n2) die Hund\n   * Warum?"),
    ("# Hello\n> Hello world", "# Hallo\n> Hallo Welt"),
    ("the cat\n```\nthe cat = 1\n```\nthe dog", "die Katze\n```\nthe cat = 1\n```\ndie Hund"),
    ("    the(cat);\nthe cat", "    the(cat);\ndie Katze"),
    ("\tthe cat\r\nthe dog\r\n", "\tdie Katze\r\ndie Hund\r\n"),
    ("Hello {name}", "Hallo {name}"),
    ("Hello %(name)s %s", "Hallo %(name)s %s"),
    ("Hello ${x} {{y}} %1", "Hallo ${x} {{y}} %1"),
    ("Hello <b>world</b>", "Hallo <b>Welt</b>"),
    ("Hello https://example.org/the_cat?q=1", "Hallo https://example.org/the_cat?q=1"),
    ("Hello someone@example.org", "Hallo someone@example.org"),
    ("Hello `the cat`", "Hallo `the cat`"),
    ("the cat 1,234.50 2024", "die Katze 1,234.50 2024"),
    ("Hello 👩‍👩‍👧 world", "Hallo 👩‍👩‍👧 Welt"),
    ("Hello שלום world", "Hallo שלום Welt"),
    ("Hello \0 world", "Hallo \0 Welt"),
    ("Hello <m1> X2X world", "Hallo <m1> X2X Welt"),
    ("42 + 1 = 43", "42 + 1 = 43"),
]


@pytest.mark.parametrize(("given", "wanted"), KEPT)
def test_what_must_stay_stays(german: Predictor[str, Translation], given: str, wanted: str) -> None:
    found = german.predict([given])[0]
    assert isinstance(found, Translation)
    assert found.text == wanted
    assert found.warnings == ()


def test_lines_of_a_paragraph_are_read_as_one_when_asked(folder: Path) -> None:
    wrapped = nlp.translator(folder, source="en", target="de", wrapped=True)
    found = wrapped.predict(["the cat\nsleeps.\n\n- the\n dog"])[0]
    assert found.text == "die Katze schläft.\n\n- die Hund"


BAD = [
    ("", "empty"),
    (" \n\t", "empty"),
    (b"bytes", "wrong-type"),
    (None, "wrong-type"),
    ("half \udc80", "corrupt"),
    ("x" * 10_000_000, "too-large"),
]


@pytest.mark.parametrize(("item", "kind"), BAD, ids=lambda value: str(value)[:12])
def test_items_that_cannot_be_used(german: Predictor[str, Translation], item: Any, kind: str) -> None:
    found = german.predict(["the cat", item, "the dog"], on_error="keep")
    assert isinstance(found[1], Failure)
    assert found[1].kind == kind
    assert [one.text for at, one in enumerate(found) if at != 1] == ["die Katze", "die Hund"]
    with pytest.raises(PredictError, match="1 of 1"):
        german.predict([item])


def test_a_long_line_is_cut_and_nothing_of_it_is_lost(german: Predictor[str, Translation]) -> None:
    text = " ".join(["the cat sleeps,"] * 2000)
    found = german.predict([text])[0]
    assert isinstance(found, Translation)
    assert len(text) < MOST_CHARACTERS
    assert found.text == " ".join(["die Katze schläft,"] * 2000)
    assert "".join(text[one.start : one.end] for one in found.sentences).replace(" ", "") == text.replace(" ", "")


GLOSSARY = [
    ({"cat": "Mieze"}, "the cat sleeps", "die Mieze schläft"),
    ({"the cat": "der Kater"}, "The cat sleeps", "Der Kater schläft"),
    ({"Cat": "Mieze"}, "the cat", "die Katze"),
    ({"cat": "Mieze", "cat sleeps": "MIEZE RUHT"}, "the cat sleeps.", "die MIEZE RUHT."),
    ({"at": "X"}, "the cat", "die Katze"),
]


@pytest.mark.parametrize(("terms", "given", "wanted"), GLOSSARY)
def test_glossary(folder: Path, terms: dict[str, str], given: str, wanted: str) -> None:
    assert nlp.translator(folder, source="en", target="de", glossary=terms).predict([given])[0].text == wanted


@pytest.mark.parametrize(
    ("term", "text", "found"),
    [
        ("图书馆", "我在图书馆工作。", [2]),
        ("图书馆", "图书馆的图书馆员", [0, 4]),
        ("としょ", "私はとしょかんです", [2]),
        ("도서관", "도서관에서 봅니다", [0]),
        ("ห้อง", "ในห้องสมุด", [2]),
        ("log", "打开log文件", [2]),
        ("log", "打开logs, catalog, log2", []),
        ("A组", "在A组里, AA组", [1]),
        ("(c)", "abc(c) (c)", [7]),
    ],
)
def test_where_a_term_stands(term: str, text: str, found: list[int]) -> None:
    assert [start for start, _, _ in read_glossary({term: "X"}).spans(text)] == found


def test_glossary_of_a_file(folder: Path, tmp_path: Path) -> None:
    terms = tmp_path / "terms.tsv"
    terms.write_text("# ours\ncat\tMieze\r\n\nworld\tErde\n", encoding="utf-8")
    opened = nlp.translator(folder, source="en", target="de", glossary=terms)
    assert opened.predict(["Hello world, the cat"])[0].text == "Hallo Erde, die Mieze"


@pytest.mark.parametrize("line", ["cat", "cat\tMieze\tmore"])
def test_a_glossary_of_other_lines_is_refused(folder: Path, tmp_path: Path, line: str) -> None:
    terms = tmp_path / "terms.tsv"
    terms.write_text(line, encoding="utf-8")
    with pytest.raises(DataError, match=r"line 1 must hold a term, a tab and its translation"):
        nlp.translator(folder, source="en", target="de", glossary=terms)


def test_a_glossary_must_have_words(folder: Path) -> None:
    with pytest.raises(UsageError, match="must hold terms and their translations"):
        nlp.translator(folder, source="en", target="de", glossary={"cat": " "})


def test_a_lost_mark_comes_back_part_by_part() -> None:
    opened = nlp.translator(tiny_translator.translator_folder(lost="<m1>"), source="en", target="de")
    found = opened.predict(["the cat {name} sleeps (the dog) {name}"])[0]
    assert found.text == "die Katze {name} schläft (die Hund) {name}"


class Canned:
    """A translator that answers from lists: at first ``first``, when asked again ``second``."""

    def __init__(self, first: list[str], second: list[list[str]]) -> None:
        self.first, self.second, self.asked = first, second, 0
        self.num_translators = 2
        self.at_once: list[int] = []

    def translate_batch(self, sources: list[list[str]], **options: Any) -> list[Any]:
        self.asked += 1
        self.at_once.append(options["max_batch_size"])
        answers = [[self.first]] * len(sources) if options["num_hypotheses"] == 1 else [self.second] * len(sources)
        prefix = options["target_prefix"][0]
        return [
            type("Answer", (), {"hypotheses": [[*prefix, *one] for one in many], "scores": [-0.5] * len(many)})()
            for many in answers
        ]


LOOP = ["▁die"] * 6
RETRIES = [
    (["▁die", "▁Katze"], [], "die Katze", (), 1),
    (LOOP, [["▁die", "▁Hund"]], "die Hund", (), 2),
    (LOOP, [LOOP, ["▁die", "▁Katze"]], "die Katze", (), 2),
    (LOOP, [LOOP], "die die die die die die", ("loop",), 2),
]


@pytest.mark.parametrize(("first", "second", "text", "faults", "asked"), RETRIES)
def test_faults_are_tried_again(
    folder: Path, first: list[str], second: list[list[str]], text: str, faults: tuple[str, ...], asked: int
) -> None:
    real = load_engine(open_translation(folder))
    canned = Canned(first, second)
    found = Engine(real.card, canned, real.pieces, real.limits).translate(["the cat"], "en", "de", beam=2)
    assert [(one.text, one.faults) for one in found] == [(text, faults)]
    assert canned.asked == asked


@pytest.mark.parametrize(
    ("total", "threads", "tokens"),
    [(10, 1, 128), (1_000, 1, 500), (1_000, 2, 250), (1_001, 2, 251), (1_000, 8, 128), (100_000, 2, 512)],
)
def test_every_thread_has_its_share_of_the_tokens(total: int, threads: int, tokens: int) -> None:
    assert tokens_at_once(total, threads) == tokens


def test_sentences_are_cut_into_batches_for_all_threads(folder: Path) -> None:
    real = load_engine(open_translation(folder))
    canned = Canned(["▁die"] * 3, [])
    sentences = [" ".join(["the cat"] * (1 + at % 8) + ["the"] * (at // 8)) for at in range(64)]
    Engine(real.card, canned, real.pieces, real.limits).translate(sentences, "en", "de", beam=1)
    total = sum(len(real.pieces.encode(sentence)) for sentence in dict.fromkeys(sentences))
    assert canned.at_once[0] == tokens_at_once(total, 2)
    assert 128 < canned.at_once[0] < 512


def test_what_stays_doubtful_is_said() -> None:
    prepared = Prepared("the cat. the dog.", "en", ((0, 8), (9, 17)), (Masked("the cat.", ()), Masked("the dog.", ())))
    drafts = [Drafted("die Katze.", -0.1, 3), Drafted("die die die die", -0.1, 4, ("loop", "short"))]
    found = decode(drafts, prepared, target="de", via=())
    assert found.text == "die Katze. die die die die"
    assert found.warnings == (f"sentence 2: {WORDS['loop']}", f"sentence 2: {WORDS['short']}")


def test_a_source_that_repeats_itself_may_be_translated_so(german: Predictor[str, Translation]) -> None:
    found = german.predict(["the the the the the cat"])[0]
    assert (found.text, found.warnings) == ("die die die die die Katze", ())


FAULTS = [
    ("a <m1> b", "x <m1>", ()),
    ("a <m1> b", "x", ("lost",)),
    ("a <m1>", "x <m1> <m1>", ("added",)),
    ("a <m1>", "x <m2>", ("lost", "added")),
    ("a b a b a b a b", "x y x y x y x y", ()),
    ("a b c d e f g h", "x y x y x y x y", ("loop",)),
    ("a b c d e f g h", "x y", ("short",)),
    ("a b c d e f", "b c d e f g h i j k l m n o p q r s", ("long",)),
    ("", "", ()),
]


@pytest.mark.parametrize(("source", "target", "wanted"), FAULTS)
def test_faults(source: str, target: str, wanted: tuple[str, ...]) -> None:
    assert faults(source, source.split(), target, target.split(), limits=Limits()) == wanted


def test_two_models_over_a_language_between() -> None:
    first, second = (
        load_engine(open_translation(f)) for f in (tiny_translator.english_german(), tiny_translator.german_french())
    )
    routes = Routes({("en", "de"): lambda: first, ("de", "fr"): lambda: second})
    assert routes.path("en", "fr") == (("en", "de"), ("de", "fr"))
    assert routes.path("en", "en") == ()
    assert routes.sources("fr") == ["de", "en"]
    with pytest.raises(UnknownNameError, match="no pair of languages is called 'fr-en'") as raised:
        routes.path("fr", "en")
    assert raised.value.known == ["de-fr", "en-de"]


def test_a_pivot_of_the_catalogue(empty_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = []
    for made in (tiny_translator.english_german(), tiny_translator.german_french()):
        card = (
            (made / "card.toml")
            .read_text(encoding="utf-8")
            .replace('licence = "Apache-2.0"', 'licence = "Apache-2.0"\ndefault = true')
        )
        rows.append(card)
    (empty_home / "models.toml").write_text("\n".join(rows), encoding="utf-8")
    monkeypatch.setenv("TRIPTYCH_WEIGHTS", str(_weights(empty_home)))
    opened = nlp.translator(source="en", target="fr")
    found = opened.predict(["the cat {x} sleeps. Why?"])[0]
    assert found.text == "la chatte {x} dort. Pourquoi?"
    assert found.via == ("de",)
    with pytest.raises(UnknownNameError, match="fr-en"):
        nlp.translator(source="fr", target="en")
    with pytest.raises(UsageError, match="target must be a language that a model writes: de, en, fr. Got 'xx'"):
        nlp.translator(target="xx")


def _weights(home: Path) -> Path:
    folder = home / "given"
    for made, name in (
        (tiny_translator.english_german(), "tiny-en-de"),
        (tiny_translator.german_french(), "tiny-de-fr"),
    ):
        (folder / name).mkdir(parents=True)
        for path in made.iterdir():
            (folder / name / path.name).write_bytes(path.read_bytes())
    return folder


def test_the_language_is_detected(folder: Path) -> None:
    opened = nlp.translator(folder, target="de")
    english = "Hello world! Why the cat sleeps, the dog sleeps. The weather is rather nice today, is it not?"
    assert opened.predict([english])[0].source == "en"
    there = "Das Wetter ist heute wirklich sehr schön, und wir gehen in den Park."
    found = opened.predict([there])[0]
    assert (found.text, found.warnings) == (there, ("the text is in 'de' already",))
    other = opened.predict(["Questa è una frase italiana, e nessun modello la legge."], on_error="keep")[0]
    assert isinstance(other, Failure)
    assert other.kind == "unsupported"
    assert "into 'de': en" in other.message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beam": 0}, "beam must be between 1 and 16. Got 0"),
        ({"beam": 17}, "beam must be between 1 and 16. Got 17"),
        ({"target": "fr"}, "target must be a language that a model writes: de. Got 'fr'"),
        ({"source": "fr"}, "no pair of languages is called 'fr-de'"),
        ({"device": "tpu"}, "device must be auto, cpu or gpu. Got 'tpu'"),
        ({"threads": 0}, "threads must be at least 1"),
    ],
)
def test_options_out_of_range(folder: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        nlp.translator(folder, **{"target": "de", **options})


@pytest.mark.parametrize("missing", ["model.bin", "shared_vocabulary.json", "tokenizer.json"])
def test_a_folder_without_a_file_is_refused(folder: Path, tmp_path: Path, missing: str) -> None:
    card = read_model_folder(folder)
    files = {file.name: (folder / file.name).read_bytes() for file in card.files if file.name != missing}
    write_model_folder(tmp_path / "model", card, files)
    with pytest.raises(DataError, match=missing):
        nlp.translator(tmp_path / "model", source="en", target="de")


def test_a_card_must_say_what_it_translates(folder: Path) -> None:
    card: ModelCard = fake_card(options={"pairs": ["ende"]})
    with pytest.raises(DataError, match=r"must say what it translates, as pairs = \['en-de'\]"):
        pairs_of(card)


def test_the_command(folder: Path) -> None:
    options = ["--model", str(folder), "--source", "en", "--target", "de"]
    answer = CliRunner().invoke(triptych, ["predict", "nlp.translation", "Hello world!", *options])
    assert answer.exit_code == 0, answer.output
    assert json.loads(answer.stdout)["result"]["text"] == "Hallo Welt!"


LINES = [("the cat sleeps.", "die Katze schläft."), ("Hello world!", "Hallo, Welt!"), ("the dog", "der Hund")]


def _data(tmp_path: Path, kind: str) -> Path:
    if kind == "folder":
        for side, code in enumerate(("en", "de")):
            lines = "".join(f"{pair[side]}\n" for pair in LINES)
            (tmp_path / f"test.{code}").write_text(lines, encoding="utf-8")
        return tmp_path
    path = tmp_path / f"pairs.{kind}"
    rows = [
        json.dumps({"source": left, "target": right}) if kind == "jsonl" else f"{left}\t{right}"
        for left, right in LINES
    ]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("kind", ["tsv", "jsonl", "folder"])
def test_evaluate(folder: Path, tmp_path: Path, kind: str) -> None:
    options = ["--model", str(folder), "--source", "en", "--target", "de", "--json"]
    answer = CliRunner().invoke(triptych, ["evaluate", "nlp.translation", str(_data(tmp_path, kind)), *options])
    assert answer.exit_code == 0, answer.output
    found = json.loads(answer.stdout)
    assert (found["n"], found["failed"]) == (3, 0)
    wanted = bleu_score(["die Katze schläft.", "Hallo Welt!", "die Hund"], [right for _, right in LINES])
    assert found["metrics"]["bleu"]["value"] == pytest.approx(wanted)
    assert set(found["metrics"]) == {"bleu", "chrf", "ter", "chrf_sentences"}
    assert "tok:13a" in found["notes"]["bleu signature"]


def test_slices_of_an_evaluation(folder: Path, tmp_path: Path) -> None:
    rows = [*LINES, ("the cat the cat the dog sleeps.", "die Katze die Katze der Hund schläft.")]
    path = tmp_path / "pairs.tsv"
    path.write_text("".join(f"{left}\t{right}\n" for left, right in rows), encoding="utf-8")
    found = evaluate_translation(path, model=folder, source="en", target="de")
    assert set(found.by_class) == {"0 to 5 words", "6 to 12 words"}
    long = found.by_class["6 to 12 words"]["chrf"]
    wanted = chrf_score(["die Katze die Katze die Hund schläft."], [rows[-1][1]])
    assert long.value == pytest.approx(wanted)
    assert long.low <= long.value <= long.high


@pytest.mark.parametrize(
    ("content", "message"),
    [("only\n", "line 1 must have a source, a tab and a reference"), ("", "must hold pairs of sentences")],
)
def test_pairs_that_are_none(folder: Path, tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "pairs.tsv"
    path.write_text(content, encoding="utf-8")
    answer = CliRunner().invoke(
        triptych, ["evaluate", "nlp.translation", str(path), "--model", str(folder), "--source", "en", "--target", "de"]
    )
    assert isinstance(answer.exception, DataError)
    assert message in str(answer.exception)


def test_kinds_of_input_errors_are_typed(german: Predictor[str, Translation]) -> None:
    assert issubclass(InputError, ValueError)
    found = list(german.stream(iter(["the cat", 3, "Why?"])))  # type: ignore[list-item]
    assert [type(one).__name__ for one in found] == ["Translation", "Failure", "Translation"]


def test_models_that_must_be_named_are_named_in_the_message() -> None:
    with pytest.raises(UsageError, match=r"Got 'de' instead\. To be chosen by name: .*en-xx.*\(--model en-xx\)"):
        nlp.translator(source="en", target="de")
    with pytest.raises(UnknownNameError, match=r"called 'de-en'\. .*\. To be chosen by name: xx-en \(--model xx-en\)"):
        nlp.translator(source="de", target="en")


@pytest.mark.parametrize(
    ("model", "source", "target", "text", "words"),
    [
        ("en-xx", "en", "de", "Open the file.", ("Datei",)),
        ("en-xx-captions", "en", "fr", "Two dogs run on the beach.", ("chiens", "plage")),
        ("xx-en", "de", "en", "Zwei Hunde laufen am Strand.", ("dogs", "beach")),
        ("xx-en", "fr", "en", "Deux enfants jouent dans la neige.", ("children", "snow")),
    ],
)
def test_our_own_models_translate(model: str, source: str, target: str, text: str, words: tuple[str, ...]) -> None:
    (found,) = nlp.translator(model, source=source, target=target).predict([text])
    assert isinstance(found, Translation)
    assert all(word in found.text for word in words)
    assert found.warnings == ()
