"""Answers from an index: by sentences, by a reader, by a language model behind a real server; and what is cited."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tiny_qa
from chat_server import chat_server

import nlp
from nlp.qa.ask import answerer, asker, open_finder
from nlp.qa.citations import check_claim, checked, claims
from nlp.qa.endpoint import Endpoint
from nlp.qa.generate import UNKNOWN, messages, open_generator, write
from nlp.retrieval.index import Index
from nlp.retrieval.langchain import langchain_retriever
from nlp.retrieval.llamaindex import llamaindex_retriever
from nlp.retrieval.types import CitedAnswer, CitedAnswers, Passage, WrittenAnswer
from shared.errors import OfflineError, SourceError, UsageError
from shared.predictor import Predictor
from shared.testing.contracts import PredictorContract
from shared.types import Failure, Result

EIGER = "# Alps\n\n## Eiger\n\nAnn and Bob rises. The Eiger mountain is 3967 metres high. It is very old.\n"
RHINE = "<h1>Rhine</h1><p>The river Rhine is 1233 kilometres long. The Rhine flows through another lake.</p>"
BERN = "Bern is the capital city. Ann built the old stone bridge near Bern."


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    folder = tmp_path_factory.mktemp("ask")
    for name, text in (("eiger.md", EIGER), ("rhine.html", RHINE), ("bern.txt", BERN)):
        (folder / name).write_text(text)
    options: dict[str, Any] = {"encoder": tiny_qa.encoder_folder(), "chunk_tokens": 40, "chunk_overlap": 8}
    with nlp.open_index(folder / "index", create=True, **options) as opened:
        assert [row.status for row in opened.add(sorted(folder.glob("*.*")))] == ["added"] * 3
        yield opened


def ask(index: Index, question: str, **options: Any) -> CitedAnswers:
    found = asker(index, **({"reader": "none", "reranker": tiny_qa.reranker_folder()} | options)).predict([question])[0]
    assert isinstance(found, CitedAnswers)
    return found


class TestAsker(PredictorContract):
    def build(self) -> Predictor[str, CitedAnswers]:
        import tempfile

        folder = Path(tempfile.mkdtemp(prefix="ask-"))
        (folder / "a.md").write_text(EIGER)
        options: dict[str, Any] = {"encoder": tiny_qa.encoder_folder(), "chunk_tokens": 40, "chunk_overlap": 8}
        opened = nlp.open_index(folder / "index", create=True, **options)
        list(opened.add([folder / "a.md"]))
        return asker(opened, reader=tiny_qa.reader_folder(), reranker=tiny_qa.reranker_folder())

    def good(self) -> list[str]:
        return ["How high is the Eiger mountain?", "Who built the bridge?"]

    def bad(self) -> object:
        return " "


def test_a_sentence_answers_and_cites_its_place(index: Index) -> None:
    found = ask(index, "How high is the Eiger mountain?")
    assert found.way == "sentences"
    best = found.answers[0]
    assert best.text == "The Eiger mountain is 3967 metres high."
    assert EIGER[best.start : best.end] == best.text
    assert Path(best.passage.path).name == "eiger.md"
    assert best.passage.heading == "Alps > Eiger"
    assert 0.5 < best.score <= 1
    assert Result.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_a_reader_answers_with_the_very_words(index: Index) -> None:
    found = ask(index, "How long is the river Rhine?", reader=tiny_qa.reader_folder())
    assert found.way == "reader"
    best = found.answers[0]
    assert best.text == "1233"
    text = "Rhine\n\nThe river Rhine is 1233 kilometres long. The Rhine flows through another lake."
    assert text[best.start : best.end] == "1233"
    assert best.passage.text == text


@pytest.mark.parametrize("reader", ["none", "a reader"])
def test_where_nothing_supports_an_answer_there_is_none(index: Index, reader: str) -> None:
    name: Any = tiny_qa.reader_folder() if reader == "a reader" else reader
    found = ask(index, "Who was another house?", reader=name)
    assert found.answers == ()
    assert found.passages  # what was looked at is said all the same
    assert ask(index, "Eiger", reader=name, threshold=1.0).answers == ()


def test_a_reader_that_finds_no_answer_gives_none(index: Index) -> None:
    found = ask(
        index, "Who built the old stone bridge near Bern?", reader=tiny_qa.reader_folder(no_answer_threshold=-20.0)
    )
    assert found.passages[0].score > 0.5
    assert found.answers == ()


def test_answers_are_limited_and_never_the_same_words_twice(index: Index) -> None:
    found = ask(index, "the old Bern bridge, Eiger mountain, river Rhine", threshold=0.0, answers=9)
    places = [(answer.passage.path, answer.start) for answer in found.answers]
    assert len(set(places)) == len(places) == 3
    assert len(ask(index, "the old Bern bridge, Eiger mountain", threshold=0.0, answers=1).answers) == 1


def test_wrong_arguments_say_so(index: Index) -> None:
    for options, words in (
        ({"answers": 0}, "answers must be at least 1"),
        ({"threshold": 2.0}, "threshold must lie in"),
    ):
        with pytest.raises(UsageError, match=words):
            ask(index, "x", **options)
    for name in ("model", "ftp://x", "http://example.com/v1", "https://key@example.com/v1", "https://"):
        with pytest.raises(UsageError, match="a language model must be|an endpoint must be"):
            open_generator(name)
    with pytest.raises(UsageError, match="passages must be at least 1"):
        answerer(index, lambda _: [], passages=0, reranker=tiny_qa.reranker_folder())
    long = asker(index, reader="none", reranker=tiny_qa.reranker_folder()).predict(["bern " * 100], on_error="keep")[0]
    assert isinstance(long, Failure)
    assert long.kind == "too-large"


def test_an_answer_must_stand_in_its_passage() -> None:
    passage = Passage("a", 3, "", "the river", 10, 19)
    assert CitedAnswer("river", 14, 19, 0.5, passage).text == "river"
    for start, end in ((0, 5), (13, 18), (15, 20)):
        with pytest.raises(UsageError, match="must stand in its passage"):
            CitedAnswer("river", start, end, 0.5, passage)


# --- citations

PASSAGES = [
    Passage("a.md", None, "Eiger", "The Eiger is 3,967 metres high. It was climbed in 1858.", 0, 55),
    Passage("b.md", 2, "", "Bern is the capital of Switzerland and lies on the Aare.", 0, 56),
]


@pytest.mark.parametrize(
    ("claim", "number", "supported"),
    [
        ("The Eiger is 3,967 metres high [1].", 1, True),
        ("The Eiger rises 3,967 metres high [1].", 1, True),  # most of the words
        ("The Eiger is 4,967 metres high [1].", 1, False),  # another number
        ("It was climbed in 1858, and in 1859 [1].", 1, False),
        ("The capital is Bern [1].", 1, False),
        ("The capital is Bern [2].", 2, True),
        ('"Bern is the capital" [2].', 2, True),
        ('It says "Bern was the capital of Switzerland" [2].', 2, False),  # not word for word
        ("Bananas grow in greenhouses [2].", 2, False),
        ("[2]", 2, False),
    ],
)
def test_claims_are_held_against_passages(claim: str, number: int, supported: bool) -> None:
    assert check_claim(claim, number, PASSAGES[number - 1]).supported is supported


def test_marks_belong_to_the_sentence_before_them() -> None:
    text = "The Eiger is high. [1] Bern is the capital [2]. No mark here. And both [1, 2]. [3]"
    assert [numbers for _, numbers in claims(text)] == [(1,), (2,), (), (1, 2, 3)]


def test_only_what_a_passage_supports_is_kept() -> None:
    draft = "The Eiger is 3,967 metres high [1]. It is made of cheese [1]. Bern is the capital [2]. See also [7]."
    kept, citations = checked(draft, PASSAGES)
    assert kept == ["The Eiger is 3,967 metres high [1].", "Bern is the capital [2]."]
    assert [(c.number, c.supported) for c in citations] == [(1, True), (1, False), (2, True)]


def told(draft: str, passages: list[Passage] = PASSAGES) -> WrittenAnswer:
    found = write("How high?", passages, lambda _: [draft[:5], draft[5:]])
    assert Result.from_json(json.loads(json.dumps(found.to_json()))) == found
    return found


def test_an_answer_without_support_is_i_dont_know() -> None:
    good = told("The Eiger is 3,967 metres high [1].")
    assert (good.text, good.known, good.draft) == ("The Eiger is 3,967 metres high [1].", True, "")
    for draft in (UNKNOWN, "It is 9,999 metres high [1].", "The Eiger is 3,967 metres high.", "", "[1]", "x" * 50_000):
        found = told(draft)
        assert (found.text, found.known) == (UNKNOWN, False)
    part = told("The Eiger is 3,967 metres high [1]. And made of cheese [1].")
    assert part.text == "The Eiger is 3,967 metres high [1]."
    assert part.draft.endswith("cheese [1].")
    assert told("anything", []).text == UNKNOWN
    assert len(told("x" * 50_000).draft) == 20_000


def test_the_prompt_numbers_its_passages() -> None:
    system, user = messages("How {{ high }}?", PASSAGES)
    assert (system["role"], user["role"]) == ("system", "user")
    assert UNKNOWN in system["content"]
    assert user["content"] == (
        f"[1] Eiger\n{PASSAGES[0].text}\n\n[2]\n{PASSAGES[1].text}\n\nQuestion: How {{{{ high }}}}?"
    )


# --- a language model behind a server

REPLY = "The Eiger mountain is 3967 metres high [1]. Grüße 👍."


def test_an_endpoint_streams_and_its_claims_are_checked(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    heard: list[str] = []
    with chat_server(REPLY) as server:
        model = answerer(index, server.address, reranker=tiny_qa.reranker_folder(), heard=heard.append)
        found = model.predict(["How high is the Eiger mountain?"])[0]
        assert isinstance(found, WrittenAnswer)
        assert found.text == "The Eiger mountain is 3967 metres high [1]."
        assert found.known
        assert found.draft == REPLY
        assert Path(found.citations[0].passage.path).name == "eiger.md"
        assert "".join(heard) == REPLY
        assert len(heard) > 3
        (_, listed, _, _), (_, path, asked, headers) = server.seen
        assert (listed, path) == ("/v1/models", "/v1/chat/completions")
        assert headers["Authorization"] == "Bearer sk-very-secret"
        assert (asked["model"], asked["stream"], asked["temperature"]) == ("tiny-model", True, 0.0)
        assert "3967" in asked["messages"][1]["content"]


def test_an_endpoint_that_does_not_stream_is_heard_as_well() -> None:
    with chat_server(REPLY, way="whole") as server:
        assert "".join(Endpoint(server.address, model="m")([])) == REPLY
        assert server.seen[0][2]["model"] == "m"


@pytest.mark.parametrize(
    ("way", "words"),
    [
        ("unauthorised", r"refuses the key \(HTTP 401\): set OPENAI_API_KEY"),
        ("broken", "answered HTTP 500: .*out of memory"),
        ("elsewhere", "redirects, which is refused"),
        ("breaks off", "broke off in the middle"),
        ("rubbish", "must answer as an OpenAI-compatible endpoint does"),
        ("silent", "was silent for too long"),
        ("no models", "must list its models"),
    ],
)
def test_faults_of_an_endpoint_are_said_without_the_key(way: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    with chat_server(REPLY, way=way) as server:
        seconds = 0.5 if way == "silent" else 60.0
        endpoint = Endpoint(server.address, model=None if way == "no models" else "m", read_seconds=seconds)
        with pytest.raises(SourceError, match=words) as caught:
            list(endpoint([{"role": "user", "content": "x"}]))
    assert "secret" not in str(caught.value)


def test_an_endpoint_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    with chat_server() as server:
        address = server.address
    with pytest.raises(SourceError, match=r"cannot be reached: ConnectError\. Is it running"):
        list(Endpoint(address, model="m")([]))
    with chat_server(way="nowhere") as server, pytest.raises(UsageError, match=r"ending in /v1 mostly \(HTTP 404"):
        list(Endpoint(server.address, model="m")([]))
    monkeypatch.setenv("TRIPTYCH_OFFLINE", "1")
    with chat_server(REPLY) as server:
        with pytest.raises(OfflineError, match="TRIPTYCH_OFFLINE is set"):
            list(Endpoint(server.address, model="m")([]))
        assert server.seen == []


def test_a_failing_endpoint_is_a_failure_of_its_question(index: Index) -> None:
    with chat_server(way="broken") as server:
        model = answerer(index, server.address, model="m", reranker=tiny_qa.reranker_folder())
        found = model.predict(["How high is the Eiger mountain?"], on_error="keep")[0]
        assert isinstance(found, Failure)
        assert found.kind == "SourceError"


# --- other libraries


def test_langchain_takes_the_retriever(index: Index) -> None:
    pytest.importorskip("langchain_core", reason="needs the extra 'langchain'")
    retriever = langchain_retriever(index.search, k=2)
    documents = retriever.invoke("How high is the Eiger mountain?")
    assert len(documents) == 2
    assert "3967" in documents[0].page_content
    assert documents[0].metadata["heading"] == "Alps > Eiger"
    assert retriever.batch(["Rhine", "Bern"])[1][0].metadata["source"].endswith("bern.txt")


def test_llamaindex_takes_the_retriever(index: Index) -> None:
    pytest.importorskip("llama_index.core", reason="needs the extra 'llamaindex'")
    finder = open_finder(index, reranker=tiny_qa.reranker_folder())
    nodes = llamaindex_retriever(finder.passages, k=2).retrieve("How high is the Eiger mountain?")
    assert "3967" in nodes[0].node.get_content()
    assert nodes[0].score > 0.5
    assert nodes[0].node.metadata["start"] == 0


# --- the command


def run(*given: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from shared.cli.main import main; main()", *given]
    return subprocess.run(
        command, check=False, capture_output=True, text=True, env=os.environ | environment, timeout=300
    )


def test_the_commands_from_files_to_answers(tmp_path: Path) -> None:
    (tmp_path / "eiger.md").write_text(EIGER)
    (tmp_path / "bad.pdf").write_text("no pdf")
    place, encoder = str(tmp_path / "i"), str(tiny_qa.encoder_folder())
    made = run("index", "build", place, str(tmp_path / "eiger.md"), "--encoder", encoder, "--chunk-tokens", "40")
    assert made.returncode == 2  # an overlap of 40 is too much for 40 tokens
    assert "chunk_overlap in 0..chunk_tokens/2" in made.stderr
    lengths = ("--chunk-tokens", "40", "--chunk-overlap", "8")
    made = run("index", "build", place, str(tmp_path / "*.*"), "--encoder", encoder, *lengths)
    rows = [json.loads(line) for line in made.stdout.splitlines()]
    assert made.returncode == 1
    assert [row["ok"] for row in rows] == [False, True]
    assert rows[0]["error"]["kind"] == "corrupt"
    assert "1 of 2 files failed" in made.stderr
    reranker = str(tiny_qa.reranker_folder())
    question = "How high is the Eiger mountain?"
    answered = run("ask", place, question, "Who was another house?", "--reader", "none", "--reranker", reranker)
    assert answered.returncode == 0
    assert "1. The Eiger mountain is 3967 metres high." in answered.stdout
    assert "eiger.md, Alps > Eiger, characters 37 to 76" in answered.stdout
    assert "»The Eiger mountain is 3967 metres high.«" in answered.stdout
    assert "I don't know: nothing in these documents supports an answer." in answered.stdout
    with chat_server(REPLY) as server:
        options = ("--generate", server.address, "--reranker", reranker)
        written = run("ask", place, question, *options, OPENAI_API_KEY="sk-very-secret")
    assert written.returncode == 0, written.stderr
    assert "metres high [1]." in written.stdout
    assert "[1] " in written.stdout.splitlines()[2]
    assert "secret" not in written.stdout + written.stderr
    found = json.loads(run("index", "search", place, "eiger", "-k", "1").stdout)
    assert found["path"] == str(tmp_path / "eiger.md")
    (tmp_path / "eiger.md").unlink()
    dropped = json.loads(run("index", "drop", place, "--missing").stdout)
    assert dropped == {"dropped": str(tmp_path / "eiger.md"), "passages": 1}
    assert json.loads(run("index", "info", place).stdout)["documents"] == 0
    assert run("index", "drop", place).returncode == 2
    assert "name one of them" in run("ask", place, "x", "--reader", "r", "--generate", "hf:a/b").stderr
