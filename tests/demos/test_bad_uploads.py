"""What visitors should not have uploaded: each is refused in a sentence, leaves nothing behind, and stops nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import bad_files
import pytest

pytest.importorskip("gradio", reason="the pages need the extra 'demos'")
pytest.importorskip("polars", reason="tables of experiments need the extra 'experiments'")

import httpx

from demos.archives import unpack
from demos.recommend.own_ratings import read_shelf
from demos.segment.page import OVERLAY
from shared.errors import DataError, InputError

Data = Callable[[Any], list[Any]]
ONCE = "One look, at the planned end"
GOOD = "china.jpg"
NO_PICTURE = "must be one of JPEG, MPO, PNG.*{name} begins with"
PICTURES = {
    "empty.jpg": "must have content.*empty.jpg has 0 bytes",
    "letter.png": NO_PICTURE,
    "program.png": NO_PICTURE,
    "archive.jpg": NO_PICTURE,
    "half.jpg": "cannot be decoded.*truncated",
    "half.png": "cannot be decoded.*truncated",
    "spoilt.png": "cannot be decoded.*broken",
    "bomb.png": "{name} is larger than what is safe to decode.*900000000 pixels",
    "page.webp": NO_PICTURE,
}
NO_VIDEO = "{name} must be a video that can be opened"
VIDEOS = dict.fromkeys(("letter.mp4", "picture.mp4", "program.mp4", "playlist.mp4"), NO_VIDEO) | {
    "empty.mp4": "must have content.*empty.mp4 has 0 bytes",
    "hollow.mp4": "must have a picture track.*hollow.mp4 has none",
}
NO_TEXT = "{name}: a text file must hold text"
DOCUMENTS = {
    "empty.pdf": "{name} must be a PDF",
    "broken.pdf": r"{name}: the PDF cannot be read: [^.]+\. Is it whole",
    "letter.pdf": "{name} must be a PDF",
    "half.pdf": "{name}: the PDF cannot be read",
    "locked.pdf": "{name}: the PDF is locked by a password",
    "program.txt": NO_TEXT,
    "picture.md": NO_TEXT,
    "program.exe": r"a document must end in one of \.htm, .*Got program.exe",
    "empty.txt": "must hold text. empty.txt holds none",
    "long.txt": "at most 1,000,000 characters here. Got 1,200,000",
}
NO_COLUMN = "{name}, line 1 must have a column 'text'. .*Expected here: a CSV of text, label"
NOT_UTF8 = "{name}, line .: byte 0x.. is not utf-8. Expected here: a CSV of text, label"
BINARY = ("program.csv", "picture.csv", "utf16.csv", "latin.csv", "archive.csv")
LABELLED = {name: NOT_UTF8 if name in BINARY else NO_COLUMN for name in bad_files.tables()}
PAIRS = {"empty.csv": "pairs of sentences", "program.csv": "must be UTF-8", "letter.csv": "Expected here: a TSV"}
EXPERIMENTS = dict.fromkeys((*BINARY, "zero.csv"), "{name} must be a CSV table in UTF-8") | {
    "empty.csv": "{name} must be a table. empty CSV",
    "head.csv": "must name 2 to 6 arms. Got 0",
    "ragged.csv": "must have a value in every row",
    "quoted.csv": "must be readable to its end.*malformed",
    "wide.csv": "'spend' must hold numbers",
    "letter.csv": "no column is called 'unit'",
    "twice.csv": "no column is called 'arm'",
    "high.csv": "no column is called 'arm'",
}
DRIFT = dict.fromkeys((*BINARY, "quoted.csv"), "{name} must be a CSV table in UTF-8") | {
    "empty.csv": "must have a head.*Got 0 columns and 0 rows",
    "head.csv": "must have a head.*Got 3 columns and 0 rows",
    "ragged.csv": "row 3 of {name} must have 3 values. Got 2",
    "twice.csv": "{name} must have each column once. 'unit'",
    "high.csv": "1 to 50,000 rows. Got 1 columns and more rows",
}
DRIFT_TEXTS = {name: DOCUMENTS[name] for name in ("program.txt", "picture.md", "empty.txt")} | {
    "program.exe": r"a file must end in one of \.csv, \.txt, \.md, .*\.webp. Got program.exe"
}
NO_ZIP = "{name} must be a zip that can be read. File is not a zip file. Expected here: a zip of one folder a class"
ZIPS = dict.fromkeys(("empty.zip", "letter.zip", "picture.zip", "half.zip"), NO_ZIP) | {
    "hollow.zip": "must hold 1 to 1,000 files.*Got 0",
    "climbing.zip": "must name files inside of itself. Got '../../climbed.jpg'",
    "rooted.zip": "must name files inside of itself. Got '/tmp/rooted.jpg'",
    "backwards.zip": "must name files inside of itself",
    "bomb.zip": "at most 200 MB in all. Got 1 of 3000 MB",
    "lying.zip": "must be a zip that can be read. Bad CRC",
    "spoilt.zip": "must be a zip that can be read. ",
    "locked.zip": "must not be locked by a password. 'a/1.jpg' is",
    "clash.zip": "{name} holds 'a/1.jpg', which cannot be unpacked: File exists",
    "long.zip": "{name} holds 'a/xxx.*', which cannot be unpacked: File name too long",
    "many.zip": "1 to 1,000 files.*Got 1,001",
    "letters.zip": "{name} must hold one folder of images a class",
    "pictures-that-are-none.zip": "none of the 2 items of {name} can be read",
    "bombs.zip": "none of the 2 items of {name} can be read",
}
NO_ALBUM = {name: told.removesuffix(". Expected here: a zip of one folder a class") for name, told in ZIPS.items()} | {
    "letters.zip": "{name} must hold pictures. It holds none",
    "pictures-that-are-none.zip": "none of these 2 files can be used. ",
    "bombs.zip": "none of these 2 files can be used. .*is larger than what is safe to decode",
}
LETTERS = {"letters.zip": "Expected here: a zip of images"}

CASES: dict[str, tuple[str, Mapping[str, str], Data]] = {
    "classify": ("classify", PICTURES, lambda file: [file, None]),
    "detect": ("detect", PICTURES, lambda file: [file, 0.3, False, None]),
    "detect in tiles": ("detect", PICTURES, lambda file: [file, 0.3, True, None]),
    "segment": ("segment", PICTURES, lambda file: [file, "Things it knows", OVERLAY, 0.5, None]),
    "faces": ("faces", PICTURES, lambda file: [file]),
    "verify faces": ("faces_verify", PICTURES, lambda file: [GOOD, file, 0.001]),
    "enrol faces": ("faces_enroll", PICTURES, lambda file: ["Ada", [file], None]),
    "enrol a snapshot": ("faces_enroll", {"half.png": "nobody was enrolled"}, lambda file: ["Ada", None, file]),
    "identify faces": ("faces_identify", PICTURES, lambda file: [file, 0.001]),
    "an album": ("faces_album", PICTURES | NO_ALBUM, lambda file: [[file], "dbscan", 0.001]),
    "detect a video": ("detect_video", VIDEOS, lambda file: [file, None]),
    "ask": ("ask", DOCUMENTS, lambda file: [[file], "", "How high?", "A whole sentence", None]),
    "compare pictures": ("compare_picture", PICTURES, lambda file: [file, "What it is of", None, None]),
    "compare on texts": ("compare_table", LABELLED, lambda file: [file, "Sentiment", None, None]),
    "compare on pairs": ("compare_table", PAIRS, lambda file: [file, "English to German", None, None]),
    "compare on pictures": ("compare_pictures", ZIPS, lambda file: [file, "What it is of", None, None]),
    "compare on masks": ("compare_pictures", LETTERS, lambda file: [file, "Which pixels", None, None]),
    "compare on boxes": ("compare_pictures", LETTERS, lambda file: [file, "Where things are", None, None]),
    "analyse": (
        "experiments_analyse",
        EXPERIMENTS,
        lambda file: [file, "unit", "arm", "", "spend", "mean", "", ONCE, 0],
    ),
    "drift of tables": ("drift_files", DRIFT, lambda file: [[file], [file], 1]),
    "drift of pictures": ("drift_files", PICTURES, lambda file: [[file], [file], 1]),
    "drift of texts": ("drift_files", DRIFT_TEXTS, lambda file: [[file], [file], 1]),
}


@pytest.fixture(scope="module")
def http(address: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=address, timeout=300) as found:
        yield found


@pytest.fixture(scope="module")
def uploads(http: httpx.Client) -> dict[str, dict[str, Any]]:
    """Everything bad and one good picture, uploaded once for all pages."""
    made = [bad_files.pictures(), bad_files.zips(), bad_files.tables(), bad_files.documents(), bad_files.clips()]
    whole = {name: content for some in made for name, content in some.items()} | {GOOD: bad_files.china()}
    sent = http.post("gradio_api/upload", files=[("files", (name, whole[name])) for name in whole])
    assert sent.status_code == 200, sent.text
    meta = {"_type": "gradio.FileData"}
    return {
        name: {"path": path, "orig_name": name, "size": len(whole[name]), "meta": meta}
        for name, path in zip(whole, sent.json())
    }


def told(http: httpx.Client, endpoint: str, data: list[Any]) -> tuple[str, Any]:
    """How a request ends, and what comes with it."""
    event = http.post(f"gradio_api/call/{endpoint}", json={"data": data}).json()["event_id"]
    last = http.get(f"gradio_api/call/{endpoint}/{event}").text.strip().split("\n\n")[-1]
    how, _, came = last.partition("\n")
    return how.removeprefix("event: "), json.loads(came.removeprefix("data: "))


def put(data: Any, uploads: Mapping[str, Any]) -> Any:
    """The data of a request, with uploads in the place of their names."""
    if isinstance(data, list):
        return [put(one, uploads) for one in data]
    return uploads.get(data, data) if isinstance(data, str) else data


def files(folder: Path) -> set[Path]:
    return {path for path in folder.glob("triptych-*/**/*") if path.is_file()}


@pytest.mark.weights
@pytest.mark.parametrize("case", CASES)
def test_each_is_refused_in_a_sentence_and_leaves_nothing(
    http: httpx.Client, uploads: dict[str, Any], shared_app: Any, case: str
) -> None:
    endpoint, expected, data = CASES[case]
    before, read = files(shared_app.folder), shared_app.log.stat().st_size

    def refused(name: str) -> str:
        how, came = told(http, endpoint, put(data(name), uploads))
        message = str(came["error"]) if how == "error" else f"{how}: {came}"[:200]
        fine = how == "error" and re.search(expected[name].replace("{name}", re.escape(name)), message)
        riddles = [word for word in ("Traceback", "triptych-", "PIL", "gradio", " --") if word in message]
        return "" if fine and not riddles else f"{name}: {message}"

    with ThreadPoolExecutor(4) as pool:
        assert not [wrong for wrong in pool.map(refused, expected) if wrong]
    with shared_app.log.open() as log:
        log.seek(read)
        assert "Traceback" not in log.read()
    assert files(shared_app.folder) <= before
    if GOOD in str(data(GOOD)) and endpoint in ("classify", "detect", "segment", "faces"):
        assert told(http, endpoint, put(data(GOOD), uploads))[0] == "complete"


def test_every_bad_file_is_tried() -> None:
    tried = {name for _, expected, _ in CASES.values() for name in expected}
    made = (bad_files.pictures, bad_files.zips, bad_files.tables, bad_files.documents, bad_files.clips)
    assert tried == {name for make in made for name in make()}


@pytest.mark.parametrize(
    "case", ["enrol faces", "an album", "ask", "analyse", "drift of tables", "compare on texts", "compare on pictures"]
)
def test_what_nobody_uploaded_is_not_read(http: httpx.Client, address: str, case: str) -> None:
    endpoint, _, data = CASES[case]
    meta = {"meta": {"_type": "gradio.FileData"}}
    how, came = told(http, endpoint, data({"path": f"{address}theme.css"} | meta))
    assert (how, "must be an uploaded file. Got an address instead" in came["error"]) == ("error", True)
    for more in (meta, {}):
        how, came = told(http, endpoint, data({"path": "/etc/passwd"} | more))
        assert how == "error"
        assert "root:" not in str(came)


RATINGS = dict.fromkeys(BINARY, "must be UTF-8") | {
    "empty.csv": "It is empty",
    "letter.csv": "may be a header or an interaction",
    "zero.csv": "may be a header or an interaction",
    "ml-latest.zip": "must be UTF-8",
    "words.csv": "a rating must be a finite number. Got 'good'",
    "alone.csv": "at least 2 people and 2 items",
}


@pytest.fixture(scope="module")
def ratings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of tables, and the ratings of three people, which are fine."""
    folder = tmp_path_factory.mktemp("ratings")
    head = b"userId,movieId,rating\n"
    fine = head + b"".join(b"u%d,m%d,5\n" % (user, item) for user in range(3) for item in range(user, 4))
    more = {"fine.csv": fine, "ml-latest.zip": bad_files.zipped({"ml-latest/ratings.csv": fine})}
    more |= {"words.csv": head + b"u1,m1,good\n", "alone.csv": head + b"u1,m1,5\n"}
    for name, content in (bad_files.tables() | more).items():
        (folder / name).write_bytes(content)
    return folder


@pytest.mark.parametrize("name", RATINGS)
def test_ratings_that_are_none(ratings: Path, name: str) -> None:
    with pytest.raises(DataError, match=f"{re.escape(name)}.*{RATINGS[name]}|{RATINGS[name]}"):
        read_shelf(ratings / name)


@pytest.mark.parametrize("name", [*RATINGS, "latin.csv", "fine.csv"])
def test_titles_that_are_none(ratings: Path, name: str) -> None:
    with pytest.raises(DataError, match=re.escape(name)):
        read_shelf(ratings / "fine.csv", ratings / name)


def test_no_zip_writes_outside_of_its_folder(tmp_path: Path) -> None:
    for name, content in bad_files.zips().items():
        (tmp_path / name).write_bytes(content)
        (tmp_path / "in" / name).mkdir(parents=True)
        if name in ("letters.zip", "pictures-that-are-none.zip", "bombs.zip"):
            unpack(tmp_path / name, tmp_path / "in" / name)
            continue
        with pytest.raises(InputError, match=re.escape(name)) as caught:
            unpack(tmp_path / name, tmp_path / "in" / name)
        assert str(tmp_path) not in str(caught.value)
    assert {path.name for path in tmp_path.iterdir()} == {*bad_files.zips(), "in"}
    assert not Path("/tmp/rooted.jpg").exists()
    assert sum(path.stat().st_size for path in (tmp_path / "in").rglob("*") if path.is_file()) < 1_000_000
