"""Signed records: what is added comes back, and whatever is done to the chain afterwards is seen."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from shared.errors import DataError, UsageError
from shared.lifecycle.records import NOTHING, Records

pytest.importorskip("cryptography", reason="needs the extra lifecycle")


@pytest.fixture
def records(empty_home: Path) -> Records:
    found = Records()
    for number in range(4):
        found.add({"verdict": "promote", "of": number})
    return found


def test_a_record_holds_what_was_decided_and_the_hash_of_the_one_before(records: Records) -> None:
    rows = records.all()
    assert [row.number for row in rows] == [1, 2, 3, 4]
    assert [row.body["of"] for row in rows] == [0, 1, 2, 3]
    assert [row.previous for row in rows] == [NOTHING, *(row.digest for row in rows[:-1])]
    assert records.verify().faults == ()
    assert records.verify().head == rows[-1].digest
    assert records.find(2) == rows[1]
    with pytest.raises(UsageError, match=r"number must lie in 1\.\.4. Got 5"):
        records.find(5)


def test_the_key_is_its_owners_alone_and_stays(records: Records, empty_home: Path) -> None:
    key = empty_home / "lifecycle" / "signing.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    before = key.read_bytes()
    Records().add({"more": True})
    assert key.read_bytes() == before
    key.chmod(0o640)
    with pytest.raises(UsageError, match="readable by its owner alone.*chmod 600"):
        Records().add({"more": True})


def change(path: Path) -> None:
    path.write_text(path.read_text().replace('"promote"', '"refuse"'))


def renumber(path: Path) -> None:
    path.with_name("000003.json").unlink()
    path.with_name("000004.json").rename(path.with_name("000003.json"))


TAMPERED: dict[str, tuple[Callable[[Path], object], str]] = {
    "changed": (change, "000002: its signature is not of this key and content"),
    "removed from the middle": (Path.unlink, "000002: removed"),
    "removed from the end": (lambda path: path.with_name("000004.json").unlink(), "000004 to 000004: removed from"),
    "the last two removed": (
        lambda path: [path.with_name(f"00000{n}.json").unlink() for n in (3, 4)],
        "000003 to 000004: removed from the end",
    ),
    "moved": (renumber, "000003: it does not follow"),
    "copied over another": (
        lambda path: path.write_bytes(path.with_name("000003.json").read_bytes()),
        "000002: it does not follow",
    ),
    "no JSON": (lambda path: path.write_text("{"), "000002: .*must be a signed record"),
    "the head removed": (lambda path: path.with_name("head.json").unlink(), "head.json: removed"),
    "the head changed": (
        lambda path: path.with_name("head.json").write_text(
            json.dumps(json.loads(path.with_name("head.json").read_text()) | {"number": 3})
        ),
        "head.json: its signature",
    ),
}


@pytest.mark.parametrize("how", TAMPERED)
def test_whatever_is_done_to_the_chain_is_seen(records: Records, how: str) -> None:
    tamper, fault = TAMPERED[how]
    tamper(records.folder / "000002.json")
    faults = records.verify().faults
    assert faults
    import re

    assert any(re.match(fault, one) for one in faults), faults


def test_a_chain_that_was_put_back_is_seen_by_a_head_that_was_noted(records: Records) -> None:
    early = {path.name: path.read_bytes() for path in records.folder.glob("*.json")}
    noted = records.add({"late": True}).digest
    (records.folder / "000005.json").unlink()
    for name, data in early.items():
        (records.folder / name).write_bytes(data)
    assert records.verify().faults == ()  # nothing in the folder tells
    assert "was noted" in records.verify(head=noted).faults[0]
    assert records.verify(head=records.all()[2].digest).faults == ()


def test_another_key_signs_nothing_of_this_chain(records: Records, tmp_path: Path) -> None:
    other = Records(tmp_path / "else", key=tmp_path / "else.key")
    other.add({"of": 0})
    faults = records.verify(public_key=tmp_path / "else.pub").faults
    assert sum("its signature" in fault for fault in faults) == 5  # four records and the head
    with pytest.raises(DataError, match="must be the public key"):
        records.verify(public_key=tmp_path / "none.pub")


def test_a_key_gives_the_record_that_is_there(records: Records) -> None:
    first = records.add({"gate": 1}, key="run 7")
    assert records.add({"gate": 2}, key="run 7") == first
    assert len(records.all()) == 5


def test_a_kill_between_a_record_and_its_head_is_mended(records: Records) -> None:
    head = (records.folder / "head.json").read_bytes()
    records.add({"of": 4}, key="k")
    (records.folder / "head.json").write_bytes(head)  # what a kill before the head leaves
    assert records.verify().faults == ()
    records.add({"of": 4}, key="k")
    assert len(records.all()) == 5
    (records.folder / "000005.json").unlink()
    assert records.verify().faults == ("000005 to 000005: removed from the end",)


def test_a_body_without_json_is_refused(records: Records) -> None:
    with pytest.raises(UsageError, match="without NaN"):
        records.add({"figure": float("nan")})
    assert len(records.all()) == 4


def test_an_empty_folder_verifies(empty_home: Path) -> None:
    assert Records().verify().records == 0
