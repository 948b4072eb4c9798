"""The gallery: exact, forgetful, safe against kills and against other processes."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.errors import DataError, UnknownNameError, UsageError
from vision.faces.gallery import INDEX, VECTORS, Gallery, open_gallery

DIMENSION = 16


def unit(rng: np.random.Generator, n: int, dimension: int = DIMENSION) -> np.ndarray[Any, Any]:
    vectors = rng.standard_normal((n, dimension)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def begin(folder: Path, **changes: Any) -> Gallery:
    return open_gallery(folder, **({"embedder": "e", "dimension": DIMENSION} | changes))


def content(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_what_is_enrolled_is_found_again_after_reopening(tmp_path: Path) -> None:
    vectors = unit(np.random.default_rng(0), 5)
    people = ["ann", "bob", "ann", "cyd", "ann"]
    with begin(tmp_path / "g") as gallery:
        assert gallery.enroll(people, vectors) == 5
    with begin(tmp_path / "g") as gallery:
        assert gallery.people() == {"ann": 3, "bob": 1, "cyd": 1}
        assert len(gallery) == 5
        for person, vector, found in zip(people, vectors, gallery.identify(vectors, k=3)):
            assert found[0].person == person
            assert found[0].similarity == pytest.approx(1, abs=1e-6)
            assert len(found) == len({match.person for match in found}) == 3
            for match in found:
                own = [v for p, v in zip(people, vectors) if p == match.person]
                assert match.similarity == pytest.approx(max(float(vector @ v) for v in own), abs=1e-5)


def test_search_equals_brute_force_over_many(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    vectors = unit(rng, 6000)
    people = [f"p{i}" for i in rng.integers(0, 900, 6000)]
    people[:500] = ["crowd"] * 500  # one person holds most of the nearest photos
    vectors[:500] = vectors[0] + 0.05 * vectors[:500]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    queries = [*unit(rng, 20), vectors[0]]
    with begin(tmp_path / "g") as gallery:
        assert gallery.enroll(people, vectors) == 6000
        for threshold in (-1.0, 0.5):
            one_by_one = [gallery.identify(query[None], k=4, threshold=threshold)[0] for query in queries]
            together = gallery.identify(np.stack(queries), k=4, threshold=threshold)
            for query, alone, with_others in zip(queries, one_by_one, together):
                best: dict[str, float] = {}
                for person, similarity in zip(people, vectors @ query):
                    best[person] = max(best.get(person, -2.0), float(similarity))
                wanted = sorted(((s, p) for p, s in best.items() if s >= threshold), reverse=True)[:4]
                assert [match.person for match in alone] == [p for _, p in wanted]
                assert [match.similarity for match in alone] == pytest.approx([s for s, _ in wanted], abs=1e-5)
                assert [match.person for match in with_others] == [match.person for match in alone]


def test_nobody_is_an_answer(tmp_path: Path) -> None:
    vectors = unit(np.random.default_rng(0), 2)
    with begin(tmp_path / "g") as gallery:
        assert gallery.identify(vectors) == [[], []]
        assert gallery.identify(vectors[:0]) == []
        gallery.enroll(["ann"], vectors[:1])
        assert gallery.identify(-vectors[:1], threshold=0.4) == [[]]
        assert gallery.people() == {"ann": 1}


def test_the_same_photo_again_is_not_added_and_enrolling_may_be_repeated(tmp_path: Path) -> None:
    vectors = unit(np.random.default_rng(0), 3)
    with begin(tmp_path / "g") as gallery:
        assert gallery.enroll(["ann", "ann", "bob"], vectors[[0, 0, 0]]) == 2
        assert gallery.enroll(["ann", "bob", "bob"], vectors) == 2
        assert gallery.people() == {"ann": 1, "bob": 3}


def test_a_thousand_forgotten_leave_no_trace(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    count, gone = 4000, 1000
    vectors = unit(rng, count)
    people = [f"somebody-{rng.integers(1 << 60):x}" for _ in range(count)]
    order = rng.permutation(count)
    leaving = order[:gone]
    folder = tmp_path / "g"
    with begin(folder) as gallery:
        for part in np.array_split(
            np.arange(count), 40
        ):  # interleaved with forgetting, so that pages are split and merged
            gallery.enroll([people[i] for i in part], vectors[part])
            gallery.forget([people[part[0]]])
            gallery.enroll([people[part[0]]], vectors[part[:1]])
        for at in leaving[:20]:
            assert gallery.forget([people[at]]) == 1
        assert gallery.forget([people[i] for i in leaving[20:]]) == gone - 20
        inside = content(folder)
        assert len(gallery) == count - gone
        for found, at in zip(gallery.identify(vectors[order[gone:][:50]], k=1), order[gone:][:50]):
            assert found[0].person == people[at]
    for held in (inside, content(folder)):
        for at in leaving:
            assert people[at].encode() not in held
            assert vectors[at, :2].tobytes() not in held
        assert people[order[-1]].encode() in held
        assert vectors[order[-1], :2].tobytes() in held
    assert sorted(path.name for path in folder.iterdir()) == [INDEX, VECTORS]
    with begin(folder) as gallery:
        again = unit(rng, gone)
        size = (folder / VECTORS).stat().st_size
        gallery.enroll([f"new-{i}" for i in range(gone)], again)
        assert (folder / VECTORS).stat().st_size == size  # wiped slots are used again
        assert gallery.identify(again[:1], k=1)[0][0].person == "new-0"


def test_forgetting_a_stranger_changes_nothing(tmp_path: Path) -> None:
    with begin(tmp_path / "g") as gallery:
        gallery.enroll(["ann", "bob"], unit(np.random.default_rng(0), 2))
        with pytest.raises(UnknownNameError, match="no enrolled person is called 'anne'. Nearest: ann"):
            gallery.forget(["bob", "anne"])
        assert gallery.people() == {"ann": 1, "bob": 1}
        assert gallery.forget([]) == 0


def test_a_gallery_of_another_embedder_is_refused(tmp_path: Path) -> None:
    begin(tmp_path / "g").close()
    with pytest.raises(DataError, match=r"was made with embedder e, and this is embedder f\. Embeddings of two models"):
        begin(tmp_path / "g", embedder="f")
    with pytest.raises(DataError, match="made with dimension 16, and this is dimension 8"):
        begin(tmp_path / "g", dimension=8)
    with open_gallery(tmp_path / "g") as gallery:
        assert (gallery.embedder, gallery.dimension) == ("e", DIMENSION)


def test_what_is_no_gallery(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "photo.jpg").write_text("x")
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / INDEX).write_text("no database " * 100)
    for name, words in (
        ("file", "must be a folder"),
        ("full", "holds other things: name a new folder"),
        ("odd", "must be the index of a gallery"),
    ):
        with pytest.raises(DataError, match=words):
            begin(tmp_path / name)
    with pytest.raises(DataError, match="enrol somebody first"):
        open_gallery(tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_a_gallery_is_its_owners_alone(tmp_path: Path) -> None:
    with begin(tmp_path / "g") as gallery:
        gallery.enroll(["ann"], unit(np.random.default_rng(0), 1))
    assert (tmp_path / "g").stat().st_mode & 0o077 == 0
    assert all(path.stat().st_mode & 0o077 == 0 for path in (tmp_path / "g").iterdir())


def test_wrong_arguments_say_so(tmp_path: Path) -> None:
    vectors = unit(np.random.default_rng(0), 2)
    with begin(tmp_path / "g") as gallery:
        for call, words in (
            (lambda: gallery.enroll(["ann"], vectors), "for each of 2 faces"),
            (lambda: gallery.enroll(["ann", ""], vectors), "an id that is not empty"),
            (lambda: gallery.enroll(["ann"], vectors[:1] * 2), "must be of unit length. Got lengths"),
            (lambda: gallery.identify(vectors[:, :3]), r"must have shape \(n, 16\). Got \(2, 3\)"),
            (lambda: gallery.identify(vectors, k=0), "k must be at least 1"),
            (lambda: gallery.identify(vectors, threshold=1.5), "threshold must lie in"),
        ):
            with pytest.raises(UsageError, match=words):
                call()
        assert len(gallery) == 0


def test_another_open_gallery_sees_each_change(tmp_path: Path) -> None:
    vectors = unit(np.random.default_rng(0), 4)
    with begin(tmp_path / "g") as writer, begin(tmp_path / "g") as reader:
        for at, person in enumerate(["ann", "bob", "cyd"]):
            writer.enroll([person], vectors[at : at + 1])
            assert reader.identify(vectors[at : at + 1], k=1)[0][0].person == person
        writer.forget(["bob"])
        assert all(match.person != "bob" for match in reader.identify(vectors[1:2], k=9)[0])
        writer.enroll(["dee"], vectors[3:4])  # into bob's slot
        assert reader.identify(vectors[3:4], k=1)[0][0].person == "dee"


WRITER = """
import sys
import numpy as np
from vision.faces.gallery import open_gallery
name, folder, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
rng = np.random.default_rng(int(sys.argv[4]))
with open_gallery(folder, embedder="e", dimension=16) as gallery:
    for at in range(count):
        vector = rng.standard_normal((1, 16)).astype(np.float32)
        vector /= np.linalg.norm(vector)
        gallery.enroll([f"{name}-{at}"], vector)
        print(at, vector.tobytes().hex(), flush=True)
        if at % 3 == 2:
            gallery.forget([f"{name}-{at - 1}"])
            print("forgot", at - 1, flush=True)
"""


def writer(name: str, folder: Path, count: int, seed: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, name, str(folder), str(count), str(seed)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_two_processes_may_write_at_once(tmp_path: Path) -> None:
    running = [writer(name, tmp_path / "g", 30, seed) for seed, name in enumerate(("a", "b"))]
    outputs = [process.communicate(timeout=120)[0] for process in running]
    assert [process.returncode for process in running] == [0, 0]
    with begin(tmp_path / "g") as gallery:
        assert len(gallery) == 2 * (30 - 10)
        for name, output in zip(("a", "b"), outputs):
            for line in output.splitlines():
                at, told = line.split()
                if at != "forgot" and int(at) % 3 != 1:
                    vector = np.frombuffer(bytes.fromhex(told), np.float32)[None]
                    assert gallery.identify(vector, k=1)[0][0].person == f"{name}-{at}"


def test_a_kill_at_any_moment_loses_nothing_that_was_said_and_leaves_no_trace_of_what_was_not(tmp_path: Path) -> None:
    chance = random.Random(0)
    for turn in range(6):
        folder = tmp_path / str(turn)
        process = writer("p", folder, 10_000, turn)
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(3)]
        time.sleep(chance.uniform(0, 0.15))
        os.kill(process.pid, signal.SIGKILL)
        lines += process.stdout.readlines()
        process.wait()
        process.stdout.close()
        told = [line.split() for line in lines if line.endswith("\n")]  # a kill may come in the middle of a line
        said = {int(at): bytes.fromhex(word) for at, word in told if at != "forgot"}
        forgotten = {int(word) for at, word in told if at == "forgot"}
        with begin(folder) as gallery:
            people = gallery.people()
            for at, vector in said.items():
                if at in forgotten:
                    assert f"p-{at}" not in people
                elif f"p-{at}" in people:  # else its forgetting was committed, and the kill came before the word of it
                    found = gallery.identify(np.frombuffer(vector, np.float32)[None], k=1)[0][0]
                    assert (found.person, found.similarity) == (f"p-{at}", pytest.approx(1, abs=1e-5))
                else:
                    assert at % 3 == 1
            assert len(people) >= len(said) - len(forgotten) - 1
            held = {int(person[2:]) for person in people}
        everything = content(folder)
        for at, vector in said.items():
            assert (vector in everything) == (at in held)
        slots = np.frombuffer((folder / VECTORS).read_bytes(), np.float32).reshape(-1, DIMENSION)
        assert (slots.any(axis=1)).sum() == len(held)  # nothing that was written and never named
        assert {path.name for path in folder.iterdir()} == {INDEX, VECTORS}


def test_work_that_a_kill_left_undone_is_done_at_the_next_opening(tmp_path: Path) -> None:
    folder = tmp_path / "g"
    vectors = unit(np.random.default_rng(0), 3)
    with begin(folder) as gallery:
        gallery.enroll(["ann", "bob"], vectors[:2])
    index = sqlite3.connect(folder / INDEX)  # as a kill leaves it after the first commit of forgetting bob
    index.execute("DELETE FROM faces WHERE person = 'bob'")
    index.execute("INSERT INTO spare VALUES (1, 0)")
    index.commit()
    index.close()
    with (folder / VECTORS).open("ab") as file:  # and as one leaves it before the commit of enrolling somebody
        file.write(vectors[2].tobytes())
    with open_gallery(folder) as gallery:
        assert gallery.people() == {"ann": 1}
    held = content(folder)
    assert b"bob" not in held
    assert vectors[1].tobytes() not in held
    assert vectors[2].tobytes() not in held
    assert vectors[0].tobytes() in held
