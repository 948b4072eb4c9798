"""What the face page does without a model: the curve, who is enrolled and forgotten, and groups as they are shown."""

from __future__ import annotations

import gc
import re
import shlex
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("gradio", reason="the pages need the extra 'demos'")

import gradio as gr
from PIL import Image

from demos.faces.album import Album, gather, groups_html
from demos.faces.curve import curve, rate_at, strangers
from demos.faces.desk import people_html
from demos.faces.elsewhere import album_elsewhere, known_elsewhere, verify_elsewhere
from demos.faces.known import MOST_PEOPLE, MOST_PICTURES, Known, a_name, a_snapshot, check_room, forgotten
from demos.faces.seen import Seen, draw_faces, plain, rates, threshold_at
from demos.faces.verify import Pair, told
from demos.pictures import Chosen
from demos.sharing import to_this_application
from shared.errors import UnknownNameError
from shared.testing import fake_card
from vision import Faces

SFACE = {0.01: 0.3054, 0.001: 0.3784, 0.0001: 0.4321}
CARD = fake_card(name="looks", options={"thresholds": {str(rate): value for rate, value in SFACE.items()}})


def faces(*embeddings: list[float]) -> Faces:
    """Faces beside each other, the first in the middle and the largest, with these embeddings."""
    count = len(embeddings)
    boxes = np.array([[20, 0, 60, 40], *([10 * at, 0, 10 * at + 6, 6] for at in range(1, 3))][:count], np.float32)
    vectors = np.array(embeddings, np.float32).reshape(count, 2)
    return Faces(
        (40, 80),
        boxes.reshape(count, 4),
        np.zeros((count, 5, 2), np.float32),
        np.full(count, 0.9, np.float32),
        np.full(count, 0.8, np.float32),
        np.full((count, 3), 0.8, np.float32),
        np.zeros((count, 3), np.float32),
        vectors / np.linalg.norm(vectors, axis=1, keepdims=True) if count else np.zeros((0, 2), np.float32),
        "looks:1",
    )


def seen(name: str, *embeddings: list[float]) -> Seen:
    return Seen(Chosen(Path(f"/tmp/x/{name}"), name), faces(*embeddings))


def test_boxes_and_points_are_drawn_at_the_picture_s_scale() -> None:
    box, points = np.array([[10, 10, 30, 40]], np.float32), np.full((1, 5, 2), 20, np.float32)
    half, parts, pose = np.full(1, 0.5, np.float32), np.full((1, 3), 0.5, np.float32), np.zeros((1, 3), np.float32)
    found = Faces((60, 80), box, points, half, half, parts, pose)
    picture = Image.new("RGB", (160, 120))
    drawn = np.asarray(draw_faces(picture, found))
    assert drawn[50, 20].any()
    assert drawn[40, 40].tolist() == [255, 212, 59]
    assert not drawn[100:].any()
    assert not np.asarray(picture).any()
    named = np.asarray(draw_faces(picture, found, ["1 Ada"]))
    assert not named[40, 40].any()
    assert named[15, 22:50].max() == 255  # letters above the box


@pytest.mark.parametrize(("far", "threshold"), SFACE.items())
def test_the_curve_goes_through_what_was_measured(far: float, threshold: float) -> None:
    assert rate_at(threshold, SFACE) == pytest.approx(far, rel=1e-6)
    line = [rate_at(at / 100, SFACE) for at in range(-20, 101)]
    assert line == sorted(line, reverse=True)
    assert 0.9 < line[0] <= 1


def test_the_curve_marks_the_pair_and_the_threshold_in_use() -> None:
    assert 'class="pair"' not in curve(SFACE, 0.001)
    shown = curve(SFACE, 0.001, 0.3784)
    marks = re.findall(r'<circle (class="pair" )?cx="([\d.]+)" cy="([\d.]+)" r="([\d.]+)"', shown)
    (pair,) = [(x, y) for own, x, y, _ in marks if own]
    (used,) = [(x, y) for own, x, y, radius in marks if radius == "3.5"]
    assert pair == used
    assert "From 0.38 on two faces count as one person" in shown
    assert "alike by 0.38, above it. Between 1 in 10,000 and 1 in 1,000" in shown
    right = re.search(r'class="pair" cx="([\d.]+)"', curve(SFACE, 0.001, 0.9))
    assert right is not None
    assert float(right[1]) > float(pair[0])
    assert curve({0.001: 0.4}, 0.001, 0.5) == ""


@pytest.mark.parametrize(
    ("similarity", "words"),
    [
        (0.1, "More than 1 in 100 pairs of strangers are at least as alike"),
        (0.31, "Between 1 in 1,000 and 1 in 100 pairs of strangers are at least as alike"),
        (0.4, "Between 1 in 10,000 and 1 in 1,000 pairs of strangers are at least as alike"),
        (0.8, "At most 1 in 10,000 pairs of strangers are as alike"),
    ],
)
def test_what_was_measured_is_said_and_no_more(similarity: float, words: str) -> None:
    assert strangers(similarity, SFACE) == words


@pytest.mark.parametrize(("far", "same"), [(0.01, True), (0.001, False), (0.0001, False)])
def test_a_pair_is_judged_anew_at_another_rate(far: float, same: bool) -> None:
    result, line, _ = told(CARD, Pair(0.32, 12.0), far)
    assert (result["same"], result["far"], result["threshold"]) == (same, far, SFACE[far])
    assert line.startswith("**One person**" if same else "**Two persons**")


@pytest.mark.parametrize("far", [0.5, 0, "0.001", None, True])
def test_a_rate_that_was_not_measured_is_refused(far: Any) -> None:
    assert list(rates(CARD)) == [0.01, 0.001, 0.0001]
    with pytest.raises(gr.Error, match=re.escape("must be one of 0.01, 0.001, 0.0001")):
        threshold_at(CARD, far)


def test_people_are_enrolled_known_and_forgotten_without_a_trace() -> None:
    known = Known()
    place = known.folder
    given = [
        seen("a.jpg", [1, 0]),
        seen("both.jpg", [1, 0.3], [0, 1]),
        seen("green.png"),
        Seen(Chosen(Path("/x"), "letter.jpg"), None, "unsupported", "letter.jpg begins with Dear"),
        seen("a again.jpg", [1, 0]),
    ]
    rows = known.enroll("Ada Lovelace", given)
    assert [row["enrolled"] for row in rows] == [True, True, False, False, False]
    assert [row.get("reason") for row in rows[2:]] == [
        "no face was found",
        "letter.jpg begins with Dear",
        "it is there already",
    ]
    assert rows[1]["faces"] == 2
    known.enroll("Carl", [seen("c.jpg", [0, 1])])
    assert known.people() == {"Ada Lovelace": 2, "Carl": 1}
    assert known.files == {"Ada Lovelace": ["a.jpg", "both.jpg"], "Carl": ["c.jpg"]}
    best = known.identify(faces([0.1, 1], [1, 0.1]))
    assert [one.person for one in best if one is not None] == ["Carl", "Ada Lovelace"]
    kept = b"".join(path.read_bytes() for path in place.rglob("*") if path.is_file())
    assert b"Ada Lovelace" in kept
    assert b"a.jpg" not in kept
    with pytest.raises(UnknownNameError, match="Karl"):
        known.forget(["Karl"])
    assert known.forget(["Ada Lovelace"]) == 2
    kept = b"".join(path.read_bytes() for path in place.rglob("*") if path.is_file())
    assert b"Ada Lovelace" not in kept
    assert b"Carl" in kept
    assert "Ada Lovelace" not in known.files
    forgotten(known)
    assert not place.exists()
    assert known.people() == {}
    assert known.identify(faces([1, 0])) == [None]
    forgotten(None)


def test_nobody_is_kept_when_a_session_is_dropped() -> None:
    known = Known()
    place = known.folder
    known.enroll("Ada", [seen("a.jpg", [1, 0])])
    assert place.is_dir()
    del known
    gc.collect()
    assert not place.exists()


@pytest.mark.parametrize(
    ("given", "name"), [("  Ada ", "Ada"), ("Zoë <b>", "Zoë <b>"), ("", None), (" ", None), ("a\nb", None), (7, None)]
)
def test_a_person_needs_a_name(given: Any, name: str | None) -> None:
    if name is not None:
        assert a_name(given) == name
    else:
        with pytest.raises(gr.Error, match="a name of 1 to 60 signs"):
            a_name(given)


def test_there_is_room_for_so_many() -> None:
    full = {f"p{at}": 1 for at in range(MOST_PEOPLE)}
    check_room(full, "p3", MOST_PICTURES - 1)
    with pytest.raises(gr.Error, match="at most 20 people"):
        check_room(full, "another", 1)
    with pytest.raises(gr.Error, match="at most 10 pictures of one person. Got 10. 1 picture of p3"):
        check_room(full, "p3", MOST_PICTURES)


def test_names_are_no_markup() -> None:
    assert plain("<b>*A*") == "&lt;b&gt;\\*A\\*"
    assert "&lt;b&gt;" in people_html({"<b>": 2})
    rows = tuple({"input": f"<i>{at}.jpg", "face": 0} for at in range(3))
    album = Album(rows, ("data:,x",) * 3, np.eye(3, dtype=np.float32), (("<u>.png", "no-face", "<s>"),), 4, 5.0)
    shown = groups_html(album, [0, 0, -1])
    assert not re.search("<[bius]>", shown)
    assert shown.index("Person 1 <") < shown.index("2 faces") < shown.index("Alone <") < shown.index("&lt;u&gt;.png")
    assert 'alt="Person 1, in &lt;i&gt;0.jpg"' in shown


def test_an_album_is_gathered_from_pictures_and_zips(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    with zipfile.ZipFile(tmp_path / "upload", "w") as held:
        for name in ("b/2.png", "1.png", "__MACOSX/._1.png", "notes.txt"):
            held.write(tmp_path / "a.png", name)
    (tmp_path / "broken").write_bytes(b"no zip")
    (tmp_path / "into").mkdir()
    given = [Chosen(tmp_path / "a.png", "a.png"), Chosen(tmp_path / "upload", "my album.zip")]
    found, bad = gather([*given, Chosen(tmp_path / "broken", "broken.zip")], tmp_path / "into")
    assert [one.name for one in found] == ["a.png", "my album/1.png", "my album/b/2.png"]
    assert all(one.path.is_file() for one in found)
    assert [(name, kind) for name, kind, _ in bad] == [("broken.zip", "bad-archive")]
    assert bad[0][2].startswith("broken.zip must be a zip")


def some_known() -> Known:
    return Known(files={"It's Ada": ["a b.jpg", "snapshot-1.png"], "-Carl": ["c.jpg"]})


def test_snapshots_are_numbered() -> None:
    assert a_snapshot(None) == "snapshot-1.png"
    assert a_snapshot(some_known()) == "snapshot-2.png"


def test_what_is_shown_is_quoted_right() -> None:
    a, b = {"orig_name": "a b.jpg"}, {"orig_name": "-c's.jpg"}
    shown = [
        verify_elsewhere(a, b, 0.01),
        known_elsewhere(some_known(), b, 0.001),
        known_elsewhere(some_known(), None, 0.001),
        album_elsewhere([a, b, {"orig_name": "my album.zip"}], "hierarchical", 0.0001),
    ]
    assert verify_elsewhere(a, None, 0.01) is None
    assert known_elsewhere(None, a, 0.01) is None
    assert album_elsewhere([], "dbscan", 0.01) is None
    for wanted in shown:
        assert wanted is not None
        compile(wanted.python, "shown", "exec")
        for script in (wanted.command, to_this_application(wanted, "http://localhost:7860/")):
            subprocess.run(["sh", "-n", "-c", script], check=True)
    known = shown[1]
    assert known is not None
    first, *steps = known.command.splitlines()
    assert first == "# save what the webcam saw as snapshot-1.png first"
    assert [shlex.split(step, comments=True) for step in steps[:3]] == [
        ["triptych", "faces", "enroll", "known.gallery", "--person", "It's Ada", "--", "a b.jpg", "snapshot-1.png"],
        ["triptych", "faces", "enroll", "known.gallery", "--person", "-Carl", "--", "c.jpg"],
        ["triptych", "faces", "identify", "--far", "0.001", "--", "known.gallery", "-c's.jpg"],
    ]
    assert "forget -- known.gallery -Carl" in steps[-1]
    asked = to_this_application(known, "http://localhost:7860/")
    assert len(set(re.findall(r'"session_hash": "(\w+)"', asked))) == 1
    assert re.findall(r"call/(\w+) ", asked) == ["faces_enroll", "faces_enroll", "faces_identify"]
