"""What is kept because it was asked for last."""

from __future__ import annotations

from threading import Barrier, Thread

import pytest

pytest.importorskip("gradio", reason="the pages need the extra 'demos'")

from demos.recent import Recent


def test_those_asked_for_longest_ago_go_and_are_told() -> None:
    gone: list[str] = []
    kept = Recent[int, str](2, left=gone.append)
    kept.put(1, "one")
    assert kept.made(2, lambda: "two") == "two"
    assert kept.get(1) == "one"
    kept.put(3, "three")
    assert (gone, kept.values()) == (["two"], ["one", "three"])
    assert kept.get(2) is None
    kept.put(1, "uno")
    assert kept.made(4, lambda: "four") == "four"
    assert (gone, kept.values()) == (["two", "three"], ["uno", "four"])
    kept.drop(1)
    kept.drop(1)
    assert (gone, kept.values()) == (["two", "three"], ["four"])


def test_one_thing_is_made_once_for_all_threads() -> None:
    kept, begin, made, got = Recent[str, object](1), Barrier(8), [0], []

    def make() -> object:
        made[0] += 1
        return object()

    def ask() -> None:
        begin.wait()
        got.append(kept.made("a", make))

    threads = [Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [1]
    assert len(set(map(id, got))) == 1
