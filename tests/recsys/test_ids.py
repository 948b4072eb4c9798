from __future__ import annotations

import enum
import math
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import recsys
from recsys import direct
from recsys.data import from_frame, from_records
from recsys.ids import IdTable, Vocabulary, as_id, sort_ids
from recsys.tagged import dump_ids, load_ids
from shared.errors import DataError, UnknownNameError


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


class Size(enum.IntEnum):
    SMALL = 1


ANN, BOB = UUID(int=1), UUID(int=2)
KINDS = [
    (ANN, BOB),
    (b"a\xff", b"b"),
    (date(2020, 1, 1), date(2021, 1, 1)),
    (datetime(2020, 1, 1, tzinfo=UTC), datetime(2021, 1, 1, tzinfo=UTC)),
    ((1, "shop"), (2, "shop")),
    ((ANN, (b"x", date(2020, 1, 1))), (BOB, (b"x", date(2020, 1, 1)))),
]


@pytest.mark.parametrize("ids", KINDS)
def test_hashable_ids_work_and_survive_saving(ids: tuple[object, object], tmp_path: Path) -> None:
    records = [(ids[1], "tea"), (ids[0], "tea"), (ids[0], "rice")]
    found = from_records(records)
    assert found.user_ids.ids == ids
    model = recsys.fit_popularity(found)
    answer = model.recommend([ids[1]])[0]  # type: ignore[list-item]
    assert (answer.user, answer.items, answer.kind) == (ids[1], ("rice",), "personal")
    if type(ids[0]) is not tuple:  # in a list of people a tuple is a history
        assert recsys.recommender(model).predict([ids[1]])[0] == answer  # type: ignore[list-item]
    model.save(tmp_path / "model")
    again = recsys.load(tmp_path / "model")
    assert again.user_ids.ids == ids
    assert list(map(type, again.user_ids.ids)) == list(map(type, ids))
    assert again.recommend([ids[1]])[0].items == ("rice",)  # type: ignore[list-item]


def test_ids_that_cannot_be_saved_say_so_at_saving() -> None:
    found = from_records([(Colour.RED, "x"), (Colour.BLUE, "x")])
    assert found.user_ids.ids == (Colour.BLUE, Colour.RED)  # by their repr, for they have no order
    with pytest.raises(
        DataError, match=r"user ids can be saved when they are str, int, UUID.* Got Colour <Colour.BLUE"
    ):
        found.user_ids.to_arrays()
    with pytest.raises(DataError, match="Got Colour"):
        dump_ids("user", [(1, Colour.RED)])


@pytest.mark.parametrize(
    "bad",
    [
        *(
            None,
            True,
            np.True_,
            1.0,
            np.float32(1),
            math.nan,
            Decimal(1),
            1j,
            [1],
            {},
            (),
            (1, 2.0),
            ((True,),),
            ("a", None),
        ),
        np.datetime64("NaT"),
    ],
)
def test_what_is_no_id(bad: object) -> None:
    assert as_id(bad) is None
    with pytest.raises(
        DataError, match=r"record 2: a user id must be a non-empty str or an int. Got .* instead \(also"
    ):
        from_records([("a", "x"), (bad, "x")])


@pytest.mark.parametrize("other", [1, ANN, b"a", ("a",), Size.SMALL])
def test_one_column_has_one_type(other: object) -> None:
    with pytest.raises(DataError, match="item ids must be all str or all int. Got .* instead"):
        from_records([("a", "x"), ("a", other)])


def test_equal_ids_of_two_types_never_become_one() -> None:
    with pytest.raises(DataError, match="Got Size, int instead"):
        from_records([(1, "x"), (Size.SMALL, "y")])
    numbers = Vocabulary("user", (1, 2))
    assert numbers.find(Size.SMALL) is numbers.find(True) is numbers.find(1.0) is None
    pairs = Vocabulary("user", ((1, "a"),))  # type: ignore[arg-type]
    assert pairs.find((1, "a")) == 0
    assert pairs.find((True, "a")) is pairs.find((1.0, "a")) is None


def test_vocabularies_of_other_kinds_explain_themselves() -> None:
    people = Vocabulary("user", (ANN, BOB))  # type: ignore[arg-type]
    assert (people.id_type, people.kind) == ("UUID", UUID)
    assert people.read(str(BOB)) == BOB
    assert people.read("no uuid") == "no uuid"
    assert people.explain("x") == "unknown user: ids are UUID here, 'x' is str"
    with pytest.raises(UnknownNameError, match=r"no user \(UUID id\) is called"):
        people.code(UUID(int=3))
    with pytest.raises(DataError, match="Got float 1.5 instead"):
        Vocabulary("user", (1.5,))  # type: ignore[arg-type]


def test_order_does_not_depend_on_the_rows() -> None:
    mixed = [(1, "b"), ("a", 2), (1, "a")]
    there, _ = sort_ids("user", mixed)  # type: ignore[arg-type]
    back, moved = sort_ids("user", mixed[::-1])  # type: ignore[arg-type]
    assert there.ids == back.ids
    assert [back.ids[to] for to in moved] == mixed[::-1]


def test_a_table_gives_codes_in_order_of_appearance() -> None:
    table = IdTable("user")
    assert table.encode(["b", "a", "b"], str).tolist() == [0, 1, 0]
    assert table.encode(["c", "a"], str).tolist() == [2, 1]
    with pytest.raises(DataError, match="row 1: a user id must be a non-empty str"):
        table.encode(["d", ""], "row {}".format)
    assert table.take()[:3] == ["b", "a", "c"]
    assert not table


@pytest.mark.parametrize(
    "data",
    [b"{}", b"[null]", b'[{"uuid":"x"}]', b'[{"pickle":"x"}]', b'[{"bytes":"*"}]', b"\xff", b'[{"uuid":1,"date":2}]'],
)
def test_malformed_saved_ids_are_refused(data: bytes) -> None:
    with pytest.raises(DataError, match=r"user.json must hold saved ids"):
        load_ids("user", data)


CHUNKS = st.lists(st.lists(st.integers(-60, 60), min_size=1, max_size=8), min_size=1, max_size=6)


@settings(deadline=None)
@given(chunks=CHUNKS, widest=st.sampled_from([1, 8, 40, 1000]), by_hand=st.integers(0, 6))
def test_numbers_get_the_codes_that_the_dictionary_gives(chunks: list[list[int]], widest: int, by_hand: int) -> None:
    """However narrow the array is, and whichever chunk goes through the dictionary alone."""
    table = IdTable("item")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(direct, "WIDEST", widest)
        for at, chunk in enumerate(chunks):
            codes = None if at == by_hand else table.encode_numbers(np.array(chunk, dtype=np.int64))
            if codes is None:
                codes = table.encode(chunk, str)
            assert codes.dtype == np.int32
            assert [table[number] for number in chunk] == codes.tolist()
    assert sorted(table.values()) == list(range(len({number for chunk in chunks for number in chunk})))


def test_numbers_that_lie_far_apart_are_left_to_the_dictionary() -> None:
    table = IdTable("user")
    assert table.encode_numbers(np.array([5, 5 + direct.WIDEST])) is None
    assert table.encode_numbers(np.array([-(2**63), 2**63 - 1])) is None
    assert table.encode_numbers(np.array([], dtype=np.int64)) is None
    found = table.encode_numbers(np.array([2**63 - 1, 2**63 - 3, 2**63 - 1]))
    assert found is not None
    assert found.tolist() == [1, 0, 1]
    assert table.take() == [2**63 - 3, 2**63 - 1]
    again = table.encode_numbers(np.array([9]))
    assert again is not None
    assert again.tolist() == [0]


def test_numbers_beside_text_are_refused_however_they_come() -> None:
    table = IdTable("user")
    table.encode(["ann"], str)
    with pytest.raises(DataError, match="user ids must be all str or all int. Got int, str instead"):
        table.encode_numbers(np.array([1]))


@pytest.mark.parametrize("kind", [pa.int8(), pa.int64(), pa.uint32(), pa.uint64()])
def test_whole_numbers_of_any_width_are_ids(kind: Any) -> None:
    frame = pa.table({"user": pa.array([7, 3, 7], type=kind), "item": pa.array([100, 1, 1], type=kind)})
    found = from_frame(frame)
    assert found.user_ids.ids == (3, 7)
    assert found.item_ids.ids == (1, 100)
    assert (found.users.tolist(), found.items.tolist()) == ([1, 0, 1], [1, 0, 0])
