"""The index of documents: what it finds, what it keeps, what it forgets, what a kill leaves."""

from __future__ import annotations

import json
import math
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_qa

import nlp
from nlp.retrieval.adding import expand_documents
from nlp.retrieval.index import Index
from nlp.retrieval.types import Passage
from nlp.retrieval.words import telling_words
from shared.errors import DataError, InputError, UnknownNameError, UsageError
from shared.slots import INDEX, VECTORS
from shared.types import Result

TEXTS = {
    "eiger.md": "# Alps\n\n## Eiger\n\nThe Eiger is 3967 metres high. It was first climbed in 1858.\n",
    "rhine.html": "<h1>Rhine</h1><p>The river Rhine is 1233 kilometres long.</p>",
    "bern.txt": "Bern is the capital city. Ann built the old bridge in Bern.",
}


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    folder = tmp_path / "documents"
    folder.mkdir()
    for name, text in TEXTS.items():
        (folder / name).write_text(text)
    return sorted(folder.iterdir())


def begin(folder: Path, **changes: Any) -> Index:
    options: dict[str, Any] = {"encoder": tiny_qa.encoder_folder(), "chunk_tokens": 40, "chunk_overlap": 8}
    return nlp.open_index(folder, create=True, **(options | changes))


def content(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_what_is_added_is_found_after_reopening(files: list[Path], tmp_path: Path) -> None:
    with begin(tmp_path / "i") as index:
        rows = list(index.add(files))
        assert [row.to_json() for row in rows] == [
            {"input": str(file), "ok": True, "status": "added", "pages": 0, "passages": 1} for file in files
        ]
    with nlp.open_index(tmp_path / "i") as index:
        assert len(index) == 3
        for way in ("words", "meaning", "hybrid"):
            found = index.search("How long is the river Rhine?", k=2, way=way)
            assert Path(found[0].path).name == "rhine.html"
            assert found[0].text == "Rhine\n\nThe river Rhine is 1233 kilometres long."
            assert (found[0].heading, found[0].page, found[0].start) == ("Rhine", None, 0)
            assert found[0].score > found[1].score if len(found) > 1 else way == "words"
        eiger = index.search("eiger", k=1)[0]
        text = TEXTS["eiger.md"]
        assert text[eiger.start : eiger.end] == eiger.text
        assert eiger.where.endswith(f"eiger.md, Alps > Eiger, characters 0 to {len(text) - 1}")
        assert Result.from_json(json.loads(json.dumps(eiger.to_json()))) == eiger
        facts = index.documents()[str(files[2])]
        assert (facts["kind"], facts["title"], facts["encoding"]) == ("html", "", "utf-8")


def test_unchanged_changed_and_failed_files(files: list[Path], tmp_path: Path) -> None:
    with begin(tmp_path / "i") as index:
        list(index.add(files))
        files[0].write_text("Bern has an answer now. " * 30)
        files[1].write_bytes(b"\x00\x01\x02" * 50)
        rows = list(index.add([*files, tmp_path / "none.txt"]))
        assert [row.status for row in rows] == ["replaced", "failed", "unchanged", "failed"]
        assert [row.failure.kind for row in rows if row.failure] == ["binary", "not-found"]
        assert rows[0].passages > 1
        assert len(index) == rows[0].passages + 2  # what failed keeps what it had
        assert index.search("capital city Ann", way="words") == []
        assert index.search("answer now", way="words", k=1)[0].path == str(files[0])
        assert index.search("eiger", way="words", k=1)[0].path == str(files[1])
        size = (tmp_path / "i" / VECTORS).stat().st_size
        files[0].write_text("Bern is the capital city again.")
        assert [row.status for row in index.add([files[0]])] == ["replaced"]
        files[0].write_text("Bern is the capital city again and again. " * 20)
        list(index.add([files[0]]))
        assert (tmp_path / "i" / VECTORS).stat().st_size <= size + 64 * tiny_qa.DIM * 4  # freed places are used again


def test_a_file_named_twice_is_held_once(files: list[Path], tmp_path: Path) -> None:
    with begin(tmp_path / "i") as index:
        rows = list(index.add([files[0], os.path.relpath(files[0]), files[0]]))
        assert len({row.path for row in rows}) == 1
        assert len(index) == 1
        assert len(index.search("bern", way="meaning")) == 1


def test_search_by_meaning_equals_brute_force_and_by_words_bm25(tmp_path: Path) -> None:
    chance = random.Random(2)
    words = [word for word in tiny_qa.VOCABULARY[4:] if word.isalpha() and len(word) > 3]
    folder = tmp_path / "documents"
    folder.mkdir()
    texts = [" ".join(chance.choices(words, k=chance.randint(3, 30))) for _ in range(300)]
    for at, text in enumerate(texts):
        (folder / f"{at:03}.txt").write_text(text)
    with begin(tmp_path / "i") as index:
        assert all(row.status == "added" for row in index.add(sorted(folder.iterdir())))
        encoder = index.encoder
        vectors = np.stack([encoder.vectors([encoder.ids(text)])[0] for text in texts])
        for _ in range(10):
            question = " ".join(chance.choices(words, k=3))
            found = index.search(question, k=20, way="meaning")
            cosines = vectors @ encoder.vectors([encoder.ids(question)])[0]
            assert [p.score for p in found] == pytest.approx(sorted(cosines.tolist(), reverse=True)[:20], abs=1e-5)
            assert [cosines[int(Path(p.path).stem)] for p in found] == pytest.approx([p.score for p in found], abs=1e-5)
            by_words = [int(Path(p.path).stem) for p in index.search(question, k=20, way="words")]
            scores = bm25(telling_words(question), texts)
            assert [scores[at] for at in by_words] == pytest.approx(sorted(scores, reverse=True)[: len(by_words)])


def bm25(question: list[str], texts: list[str], *, k1: float = 1.2, b: float = 0.75) -> list[float]:
    """Robertson and Zaragoza's formula, with the inverse document frequency of Robertson and Spärck Jones."""
    bags = [Counter(stem(word) for word in text.split()) for text in texts]
    mean = sum(map(Counter.total, bags)) / len(bags)
    scores = [0.0] * len(texts)
    for word in dict.fromkeys(map(stem, question)):
        held = sum(word in bag for bag in bags)
        weight = max(math.log((len(bags) - held + 0.5) / (held + 0.5)), 1e-6)
        for at, bag in enumerate(bags):
            tf = bag[word]
            scores[at] += weight * tf * (k1 + 1) / (tf + k1 * (1 - b + b * bag.total() / mean))
    return scores


def stem(word: str) -> str:
    """As Porter's stemmer does with the words of this vocabulary: plurals and the few others."""
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE VIRTUAL TABLE w USING fts5 (x, tokenize='porter unicode61')")
    connection.execute("CREATE VIRTUAL TABLE v USING fts5vocab (w, 'row')")
    connection.execute("INSERT INTO w VALUES (?)", (word,))
    found: str = connection.execute("SELECT term FROM v").fetchone()[0]
    connection.close()
    return found


def test_bm25_ranks_as_bm25s_does(tmp_path: Path) -> None:
    bm25s = pytest.importorskip("bm25s", reason="the reference: pip install bm25s")
    chance = random.Random(4)
    words = ["river", "lake", "stone", "bern", "eiger", "alps", "bridge", "south", "north", "house"]
    (tmp_path / "d").mkdir()
    texts = [" ".join(chance.choices(words, k=chance.randint(3, 25))) for _ in range(80)]
    for at, text in enumerate(texts):
        (tmp_path / "d" / f"{at:02}.txt").write_text(text)
    reference = bm25s.BM25(k1=1.2, b=0.75, method="robertson")
    stems = {word: stem(word) for word in words}
    reference.index([[stems[word] for word in text.split()] for text in texts], show_progress=False)
    with begin(tmp_path / "i") as index:
        list(index.add(sorted((tmp_path / "d").iterdir())))
        for question in ("river lake", "eiger bridge north", "house"):
            wanted = reference.get_scores([stems[word] for word in question.split()])
            found = [int(Path(p.path).stem) for p in index.search(question, k=10, way="words")]
            if (wanted > 0).sum() >= 10:
                assert wanted[found].tolist() == pytest.approx(sorted(wanted.tolist(), reverse=True)[:10], rel=1e-3)


def test_hybrid_is_the_fusion_of_both(files: list[Path], tmp_path: Path) -> None:
    with begin(tmp_path / "i") as index:
        list(index.add(files))
        by_words, by_meaning = (index.search("bern bridge", k=9, way=way) for way in ("words", "meaning"))
        wanted: dict[str, float] = {}
        for ranking in (by_words, by_meaning):
            for place, passage in enumerate(ranking, 1):
                wanted[passage.path] = wanted.get(passage.path, 0) + 1 / (60 + place)
        found = {passage.path: passage.score for passage in index.search("bern bridge", k=9)}
        assert found == pytest.approx(wanted)
        only = index.search("bern bridge", k=9, weights=(1.0, 0.0))
        assert [p.path for p in only] == [p.path for p in by_words]


def test_dropping_leaves_no_trace(tmp_path: Path) -> None:
    folder = tmp_path / "documents"
    (folder / "sub").mkdir(parents=True)
    for at in range(120):
        place = folder / "sub" if at % 3 == 0 else folder
        (place / f"{at}.txt").write_text(
            f"the secret word zyx{at:03}qq stands in {'north' if at % 2 else 'south'} bern"
        )
    with begin(tmp_path / "i") as index:
        list(index.add(expand_documents([folder])))
        assert b"zyx003" in content(tmp_path / "i")
        gone = index.drop([folder / "sub", folder / "1.txt"])
        assert sum(gone.values()) == 41
        assert len(index) == 79
        left = {int(Path(path).stem) for path in index.documents()}
        for held in (content(tmp_path / "i"),):
            for at in range(120):
                assert (f"zyx{at:03}".encode() in held) == (at in left)
                assert (f"/{at}.txt".encode() in held) == (at in left)
        slots = np.frombuffer((tmp_path / "i" / VECTORS).read_bytes(), np.float32).reshape(-1, tiny_qa.DIM)
        assert slots.any(axis=1).sum() == 79
        with pytest.raises(UnknownNameError, match="no indexed document is called"):
            index.drop([folder / "2.txt", folder / "none.txt"])
        assert len(index) == 79
        assert index.search("zyx003qq", way="words") == []
        assert index.drop([]) == {}
    assert sorted(path.name for path in (tmp_path / "i").iterdir()) == [INDEX, VECTORS]


def test_folders_and_globs_stand_for_documents(files: list[Path], tmp_path: Path) -> None:
    (tmp_path / "documents" / "picture.jpg").write_text("x")
    (tmp_path / "documents" / ".hidden.txt").write_text("x")
    assert list(expand_documents([tmp_path / "documents"])) == [str(file) for file in files]
    assert list(expand_documents([str(tmp_path / "documents" / "*.t*")])) == [str(files[0])]
    assert list(expand_documents(["a[1].txt", "none.txt"][1:])) == ["none.txt"]
    with pytest.raises(UsageError, match="Nothing matches"):
        list(expand_documents([str(tmp_path / "*.pdf")]))


def test_an_index_is_bound_to_what_it_was_made_with(tmp_path: Path) -> None:
    begin(tmp_path / "i").close()
    begin(tmp_path / "i").close()
    with pytest.raises(DataError, match=r"was made with chunk_tokens 40, and this is chunk_tokens 30\. Passages"):
        begin(tmp_path / "i", chunk_tokens=30)
    with pytest.raises(DataError, match="was made with encoder"):
        begin(tmp_path / "i", encoder=tiny_qa.encoder_folder(max_tokens=50))
    with pytest.raises(DataError, match="build it first"):
        nlp.open_index(tmp_path / "none")
    assert not (tmp_path / "none").exists()
    (tmp_path / "file").write_text("x")
    with pytest.raises(DataError, match="an index must be a folder"):
        nlp.open_index(tmp_path / "file")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a.txt").write_text("x")
    with pytest.raises(DataError, match="holds other things"):
        begin(tmp_path / "full")
    with pytest.raises(UsageError, match="chunk_tokens must be at most 62"):
        begin(tmp_path / "long", chunk_tokens=200)
    index = sqlite3.connect(tmp_path / "i" / INDEX)
    index.execute("UPDATE facts SET value = 'f' WHERE name = 'encoder_sha256'")
    index.commit()
    index.close()
    with nlp.open_index(tmp_path / "i") as opened, pytest.raises(DataError, match="build it anew"):
        opened.search("bern")


def test_wrong_questions_and_options_say_so(files: list[Path], tmp_path: Path) -> None:
    with begin(tmp_path / "i") as index:
        assert index.search("bern") == []
        list(index.add(files))
        for options, error, words in (
            ({"k": 0}, UsageError, "k and candidates must be at least 1"),
            ({"weights": (-1.0, 1.0)}, UsageError, "weights at least 0"),
            ({"way": "wrods"}, UnknownNameError, "no way of search is called 'wrods'. Nearest: words"),
        ):
            with pytest.raises(error, match=words):
                index.search("bern", **options)  # type: ignore[arg-type]
        for question in ("", " \n", "\u200b", "x\ud800"):
            with pytest.raises(InputError):
                index.search(question)
        assert index.search("??? !!!")  # no word, but tokens: by meaning alone
        assert index.search('" OR NEAR( bern*') != []


ODD = (
    "\x00the\x00 river bern \x00" + " river" * 60,
    "bern 👩\u200d👩\u200d👧 e\u0301 \u202eabc",
    "bern " + "x" * 300_000,
    "ＢＥＲＮ bern",
)


@pytest.mark.parametrize("text", ODD)
def test_odd_texts_are_kept_exactly(text: str, tmp_path: Path) -> None:
    path = tmp_path / "odd.txt"
    path.write_text(text)
    with begin(tmp_path / "i") as index:
        (row,) = index.add([path])
        assert row.status == "added"
        found = index.search("bern", k=5)
        assert found
        assert all(text[p.start : p.end] == p.text for p in found)
        assert index.drop([path]) == {str(path): row.passages}
        assert len(index) == 0


def test_a_file_name_that_is_no_text(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/caf\xe9.txt"
    with open(path, "w") as file:
        file.write("bern is a city")
    name = os.fsdecode(path)
    with begin(tmp_path / "i") as index:
        (row,) = index.add([name])
        assert row.path.endswith("caf\\udce9.txt")
        assert [r.status for r in index.add([name])] == ["unchanged"]
        assert index.drop([name]) == {row.path: 1}


WRITER = """
import sys
import nlp
folder, index, start = sys.argv[1], sys.argv[2], int(sys.argv[3])
with nlp.open_index(index) as opened:
    for at in range(start, start + 10_000):
        path = f"{folder}/{at}.txt"
        with open(path, "w") as file:
            file.write(f"word{at} stands in bern")
        for row in opened.add([path]):
            print(at, row.status, flush=True)
        if at % 3 == 2:
            with open(f"{folder}/{at - 1}.txt", "w") as file:
                file.write(f"other{at - 1} stands in bern")
            for row in opened.add([f"{folder}/{at - 1}.txt"]):
                print(at - 1, row.status, flush=True)
        if at % 5 == 4:
            opened.drop([f"{folder}/{at - 3}.txt"])
            print(at - 3, "dropped", flush=True)
"""


def writer(folder: Path, index: Path, start: int = 0) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(folder), str(index), str(start)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_a_kill_at_any_moment_loses_nothing_that_was_reported(tmp_path: Path) -> None:
    chance = random.Random(0)
    for turn in range(5):
        folder, place = tmp_path / f"d{turn}", tmp_path / f"i{turn}"
        folder.mkdir()
        begin(place).close()
        process = writer(folder, place)
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(6)]
        time.sleep(chance.uniform(0, 0.3))
        os.kill(process.pid, signal.SIGKILL)
        lines += process.stdout.readlines()
        process.wait()
        process.stdout.close()
        state: dict[int, str] = {}
        for line in lines:
            if line.endswith("\n"):
                at, status = line.split()
                state[int(at)] = status
        last = max(state)
        with nlp.open_index(place) as index:
            held = {int(Path(path).stem) for path in index.documents()}
            for at, status in state.items():
                if at >= last - 4 and at not in held:
                    continue  # its dropping may have been done and not yet told
                assert (at in held) == (status != "dropped") or at >= last - 4
                if status in ("added", "replaced") and at < last - 1:
                    word = f"other{at}" if status == "replaced" else f"word{at}"
                    (found,) = index.search(word, way="words", k=3) or [None]
                    assert found is not None or at not in held
            assert len(index) == len(held)
            words = index._store.slots.execute("SELECT count(*) FROM words WHERE words MATCH 'stands'")
            assert words[0][0] == len(held)
            index._store.slots.execute("INSERT INTO words (words) VALUES ('integrity-check')")
        slots = np.frombuffer((place / VECTORS).read_bytes(), np.float32).reshape(-1, tiny_qa.DIM)
        assert slots.any(axis=1).sum() == len(held)  # nothing that was written and never named
        assert {path.name for path in place.iterdir()} == {INDEX, VECTORS}


def test_two_processes_may_add_at_once(tmp_path: Path) -> None:
    place = tmp_path / "i"
    begin(place).close()
    running = []
    for at in range(2):
        (tmp_path / str(at)).mkdir()
        running.append(writer(tmp_path / str(at), place, at * 100_000))
    told = []
    for process in running:
        assert process.stdout is not None
        told.append([process.stdout.readline().split() for _ in range(12)])
    for process in running:
        process.kill()
        process.communicate()
    with nlp.open_index(place) as index:
        held = {int(Path(path).stem) for path in index.documents()}
        for rows in told:
            gone = {int(at) for at, status in rows if status == "dropped"}
            last = max(int(at) for at, _ in rows)
            assert all(int(at) in held for at, _ in rows if int(at) not in gone and int(at) < last - 4)


def test_another_open_index_sees_each_change(files: list[Path], tmp_path: Path) -> None:
    with begin(tmp_path / "i") as one, nlp.open_index(tmp_path / "i") as other:
        for count, file in enumerate(files, 1):
            list(one.add([file]))
            assert len(other.search("the river bern eiger", k=9, way="meaning")) == count
        one.drop([files[0]])
        assert len(other.search("the river bern eiger", k=9, way="meaning")) == 2


def test_passages_check_themselves() -> None:
    with pytest.raises(UsageError, match="must bound its text of 3 characters"):
        Passage("a", None, "", "abc", 2, 4)
