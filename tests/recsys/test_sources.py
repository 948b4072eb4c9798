"""Parquet, frames and SQL give what the same records give."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest

import recsys
from recsys import frames
from recsys.data import from_frame, from_records
from recsys.gathering import Chunk, Coded, gather
from recsys.interactions import Interactions
from shared.errors import DataError, UsageError

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
RECORDS = [("b", 7, 2.5, 30), ("a", 3, 1.0, 10), ("b", 3, 4.0, 20), ("b", 7, 5.0, 25)]
KEPT = [("b", 7, 2.5, 30), ("a", 3, 1.0, 10), ("b", 3, 4.0, 20)]


def rows(found: Interactions) -> list[tuple[Any, ...]]:
    users, items = found.user_ids.decode(found.users), found.item_ids.decode(found.items)
    times = [] if found.times is None else [found.times.tolist()]
    return list(zip(users, items, found.values.tolist(), *times))


def table(records: list[tuple[Any, ...]] = RECORDS, **types: Any) -> Any:
    columns = dict(zip(("user", "item", "rating", "time"), zip(*records)))
    return pa.table({name: pa.array(column, types.get(name)) for name, column in columns.items()})


def column(values: Any, role: str) -> Interactions:
    """One row a value, which stands in the column of ``role``."""
    values = pa.array(values) if not isinstance(values, pa.Array) else values
    other = pa.array(range(len(values)))
    parts = {"users": other, "items": other} | {role: values}
    return gather([Chunk(**parts)], duplicates="last", source="", whole="")


class TestChunks:
    @pytest.mark.parametrize(
        ("ids", "wanted"),
        [
            (pa.array(["b", "a", "b"]), ("a", "b")),
            (pa.array(["b", "a"], pa.large_string()), ("a", "b")),
            (pa.array(["b", "a"], pa.string_view()), ("a", "b")),
            (pa.array([2, 1], pa.uint64()), (1, 2)),
            (pa.array(["b", "a", "b"]).dictionary_encode(), ("a", "b")),
            (pa.DictionaryArray.from_arrays(pa.array([2, 1]), pa.array(["unused", "a", "b"])), ("a", "b")),
            (pa.DictionaryArray.from_arrays(pa.array([0, 1, 2]), pa.array(["a", "b", "a"])), ("a", "b")),
            (pa.array([b"b", b"a"]), (b"a", b"b")),
            (pa.array([b"bb", b"aa"], pa.binary(2)), (b"aa", b"bb")),
            (pa.array([UUID(int=2), UUID(int=1)], pa.uuid()), (UUID(int=1), UUID(int=2))),
            (pa.array([date(2021, 1, 1), date(2020, 1, 1)]), (date(2020, 1, 1), date(2021, 1, 1))),
            (pa.array([10**9, 0], pa.timestamp("ns")), (datetime(1970, 1, 1), datetime(1970, 1, 1, 0, 0, 1))),
        ],
    )
    def test_kinds_of_id_columns(self, ids: Any, wanted: tuple[Any, ...]) -> None:
        found = column(ids, "users")
        assert found.user_ids.ids == wanted
        plain = ids.cast(pa.timestamp("us")) if pa.types.is_timestamp(ids.type) else ids
        assert found.user_ids.decode(found.users) == tuple(plain.to_pylist())

    @pytest.mark.parametrize(
        ("ids", "message"),
        [
            (["a", None], "record 2: a user id must be .* Got NoneType None"),
            ([1.0, 2.0], "record 1: .* Got float 1.0"),
            ([True], "Got bool True"),
            (["a", "a", ""], "record 3: .* Got str ''"),
            ([Decimal(1)], "Got Decimal"),
            (pa.array(["a", None]).dictionary_encode(), "record 2: .* Got NoneType None"),
            (pa.array(["a", ""]).dictionary_encode(), "record 2: .* Got str ''"),
            (pa.array([2**63], pa.uint64()), "must fit into 64 bits"),
            (pa.array([1_001], pa.timestamp("ns")), "record 1: user ids that are times must be whole microseconds"),
            ([[1]], "Got list"),
        ],
    )
    def test_columns_that_hold_no_ids(self, ids: Any, message: str) -> None:
        with pytest.raises(DataError, match=message):
            column(ids, "users")

    @pytest.mark.parametrize(
        ("values", "wanted"),
        [
            ([1, 2], [1, 2]),
            ([True, False], [1, 0]),
            ([Decimal("2.5")], [2.5]),
            (["2.5", "1"], [2.5, 1]),
            (pa.array([1.5], pa.float16()), [1.5]),
            (pa.array([2**63], pa.uint64()), [2.0**63]),
            (pa.array([5, 5]).dictionary_encode(), [5, 5]),
        ],
    )
    def test_kinds_of_value_columns(self, values: Any, wanted: list[float]) -> None:
        assert column(values, "values").values.tolist() == wanted

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            ([1.0, float("nan")], "record 2: a value must be a finite number. Got nan instead"),
            ([float("-inf")], "Got -inf instead"),
            ([1, None], "record 2: .* Got None instead"),
            (["1", "1_0"], "record 2: .* Got '1_0' instead"),
            ([1.0, 1e39], "record 2: values must fit into float32"),
            ([[1.0]], r"Got \[1.0\] instead"),
        ],
    )
    def test_columns_that_hold_no_values(self, values: Any, message: str) -> None:
        with pytest.raises(DataError, match=message):
            column(values, "values")

    @pytest.mark.parametrize(
        ("times", "wanted"),
        [
            ([5, -5], [5, -5]),
            ([5.0], [5]),
            ([Decimal(5)], [5]),
            (["1970-01-01T01:00:01+01:00", "7"], [1, 7]),
            (pa.array([5], pa.uint64()), [5]),
            ([date(1970, 1, 2), date(1969, 12, 31)], [86400, -86400]),
            (pa.array([1_999, -1], pa.timestamp("ms")), [1, -1]),
            (pa.array([3_000_000_000], pa.timestamp("ns", "Asia/Tokyo")), [3]),
            ([datetime(1970, 1, 1, 0, 0, 9), datetime(1970, 1, 1, 0, 0, 1)], [9, 1]),
        ],
    )
    def test_kinds_of_time_columns(self, times: Any, wanted: list[int]) -> None:
        assert column(times, "times").times.tolist() == wanted  # type: ignore[union-attr]

    @pytest.mark.parametrize("bad", [5.5, float("nan"), True, None, "soon", [1], 1e30])
    def test_columns_that_hold_no_times(self, bad: Any) -> None:
        with pytest.raises(DataError, match="record 2: a time must be a whole number of seconds. Got"):
            gather([Chunk([1, 2], [1, 2], None, [7, bad])], duplicates="last", source="", whole="")
        if not isinstance(bad, bool | list):
            with pytest.raises(DataError, match="record 1: a time must be"):
                column([bad], "times")

    def test_names_that_come_in_every_chunk_are_one_id(self) -> None:
        chunks = [Chunk(Coded(["a", "b"], np.array([1, 0])), [5, 6]), Chunk(["b", "c"], [5, 5], before=2)]
        assert rows(gather(chunks, duplicates="last", source="", whole="")) == [
            ("a", 6, 1.0),
            ("b", 5, 1.0),
            ("c", 5, 1.0),
        ]

    def test_types_may_not_change_between_chunks(self) -> None:
        with pytest.raises(DataError, match="user ids must be all str or all int. Got int, str instead"):
            gather([Chunk(["a"], [5]), Chunk([1], [5])], duplicates="last", source="", whole="")


class TestParquet:
    def test_a_file_is_known_by_its_name_or_its_bytes(self, tmp_path: Path) -> None:
        for name in ("r.parquet", "r.pq", "ratings"):
            pq.write_table(table(), tmp_path / name)
            found = recsys.load_interactions(tmp_path / name)
            assert rows(found) == KEPT == rows(from_records(RECORDS))
            assert found.source == name
        assert rows(recsys.load_interactions(tmp_path / "ratings", format="parquet", duplicates="sum"))[0][2] == 7.5

    def test_ids_keep_their_type_and_text_can_be_numbers(self, tmp_path: Path) -> None:
        path = tmp_path / "r.parquet"
        pq.write_table(table([("10", 1, 5, 0), ("9", 2, 4, 0)]), path)
        assert recsys.load_interactions(path).user_ids.ids == ("10", "9")
        found = recsys.load_interactions(path, id_type="int")
        assert (found.user_ids.ids, found.item_ids.ids) == ((9, 10), (1, 2))

    def test_a_folder_is_read_in_order(self, tmp_path: Path) -> None:
        (tmp_path / "day=2").mkdir()
        pq.write_table(table(RECORDS[:2]), tmp_path / "a.parquet")
        pq.write_table(table(RECORDS[2:]), tmp_path / "day=2" / "b.parquet")
        (tmp_path / "_SUCCESS.parquet").write_text("no Parquet")
        assert rows(recsys.load_interactions(tmp_path)) == KEPT
        pq.write_table(table().rename_columns(["user", "film", "rating", "time"]), tmp_path / "c.parquet")
        with pytest.raises(DataError, match=r"c.parquet must have columns of users and items. Missing: item"):
            recsys.load_interactions(tmp_path)
        pq.write_table(table().drop_columns(["time"]), tmp_path / "c.parquet")
        with pytest.raises(DataError, match=r"c.parquet must have the columns of a.parquet"):
            recsys.load_interactions(tmp_path)

    def test_columns_are_found_or_named(self, tmp_path: Path) -> None:
        path = tmp_path / "r.parquet"
        pq.write_table(table().rename_columns(["who", "movieId", "stars", "when"]), path)
        with pytest.raises(DataError, match="Missing: user.* Say which they are by --user"):
            recsys.load_interactions(path)
        assert rows(recsys.load_interactions(path, user="who", time="when")) == KEPT
        with pytest.raises(DataError, match=r"must have a column 'no' \(user\)"):
            recsys.load_interactions(path, user="no")
        with pytest.raises(DataError, match="one column cannot be two things"):
            recsys.load_interactions(path, user="movieId")

    def test_faults_are_told_with_the_row(self, tmp_path: Path) -> None:
        path = tmp_path / "r.parquet"
        pq.write_table(table([("a", 1, 5.0, 0), ("b", 1, float("nan"), 0)]), path)
        with pytest.raises(DataError, match=r"r.parquet, row 2: a value must be a finite number. Got nan"):
            recsys.load_interactions(path)
        pq.write_table(table().slice(0, 0), path)
        with pytest.raises(DataError, match="at least one interaction in .*r.parquet. Got none"):
            recsys.load_interactions(path)
        for content in (b"", b"PAR1 and no more"):
            path.write_bytes(content)
            with pytest.raises(DataError, match="r.parquet must be a Parquet file"):
                recsys.load_interactions(path)

    def test_wrong_options_say_so(self, tmp_path: Path) -> None:
        path = tmp_path / "r.parquet"
        pq.write_table(table(), path)
        with pytest.raises(UsageError, match="columns= and header= describe text"):
            recsys.load_interactions(path, columns=("user", "item"))
        with pytest.raises(UsageError, match="a folder is read as Parquet alone"):
            recsys.load_interactions(tmp_path, format="csv")
        with pytest.raises(UsageError, match="a database needs both"):
            recsys.load_interactions(path, query="SELECT 1")

    def test_the_command_trains_on_it(self, tmp_path: Path) -> None:
        from click.testing import CliRunner

        from shared.cli.main import triptych

        pq.write_table(table(), tmp_path / "r.parquet")
        arguments = ["train", "recsys.collaborative", str(tmp_path / "r.parquet"), str(tmp_path / "m")]
        result = CliRunner().invoke(triptych, [*arguments, "--algorithm", "popularity"], standalone_mode=False)
        assert result.exception is None
        assert recsys.load(tmp_path / "m").item_ids.ids == (3, 7)


class TestPandas:
    def test_every_kind_of_column(self) -> None:
        pandas = pytest.importorskip("pandas")
        frame = pandas.DataFrame(
            {
                "user": pandas.Categorical(["b", "a", "b"], categories=["unused", "a", "b"]),
                "item": pandas.array([7, 3, 3], dtype="Int64"),
                "stars": pandas.array([2.5, 1, 4], dtype="Float64"),
                "when": pandas.to_datetime([30, 10, 20], unit="s").tz_localize("UTC").tz_convert("Asia/Tokyo"),
            }
        )
        assert rows(from_frame(frame, value="stars", time="when")) == KEPT
        objects = frame.assign(user=[UUID(int=2), UUID(int=1), UUID(int=2)])
        assert from_frame(objects).user_ids.ids == (UUID(int=1), UUID(int=2))

    @pytest.mark.parametrize(
        ("users", "message"),
        [
            (["a", 1], "all str or all int. Got int, str"),
            (["a", b"b"], "all str or all int. Got bytes, str"),
            ([1, None], "record 1: a user id must be .* Got float 1.0"),
            (["a", None], "record 2: a user id must be"),
        ],
    )
    def test_mixed_and_missing_ids_are_refused(self, users: list[Any], message: str) -> None:
        pandas = pytest.importorskip("pandas")
        with pytest.raises(DataError, match=message):
            from_frame(pandas.DataFrame({"user": users, "item": [1, 2]}))

    def test_kinds_that_arrow_does_not_know_are_refused_by_name(self) -> None:
        pandas = pytest.importorskip("pandas")
        frame = pandas.DataFrame({"user": [1j, 2j], "item": [1, 2], "t": pandas.to_timedelta([1, 2], unit="s")})
        with pytest.raises(DataError, match="record 1: a user id must be .* Got complex 1j"):
            from_frame(frame)
        with pytest.raises(DataError, match="record 1: a time must be a whole number of seconds. Got"):
            from_frame(frame, user="item", time="t")

    def test_missing_values_and_double_columns_are_refused(self) -> None:
        pandas = pytest.importorskip("pandas")
        frame = pandas.DataFrame({"user": ["a", "b"], "item": [1, 2], "v": [1.0, np.nan]})
        with pytest.raises(DataError, match="record 2: a value must be a finite number. Got nan"):
            from_frame(frame, value="v")
        with pytest.raises(DataError, match=r"one column of each name. Twice or more: \['user'\]"):
            from_frame(pandas.concat([frame, frame[["user"]]], axis=1))


class TestOtherFrames:
    def test_polars(self, monkeypatch: pytest.MonkeyPatch) -> None:
        polars = pytest.importorskip("polars")
        frame = polars.DataFrame(
            {
                "user": polars.Series(["b", "a", "b"], dtype=polars.Categorical),
                "item": [7, 3, 3],
                "stars": [2.5, 1.0, 4.0],
                "when": polars.from_epoch(polars.Series([30, 10, 20]), time_unit="s"),
            }
        )
        monkeypatch.setattr(frames, "ROWS", 2)
        assert rows(from_frame(frame, value="stars", time="when")) == KEPT
        objects = frame.with_columns(
            polars.Series("user", [UUID(int=2), UUID(int=1), UUID(int=2)], dtype=polars.Object)
        )
        assert from_frame(objects).user_ids.ids == (UUID(int=1), UUID(int=2))
        with pytest.raises(DataError, match="record 3: a user id must be .* Got NoneType None"):
            from_frame(polars.DataFrame({"user": ["a", "b", None], "item": [1, 2, 3]}))
        with pytest.raises(UsageError, match=r"must be collected first: frame.collect\(\)"):
            from_frame(frame.lazy())

    def test_arrow_tables(self) -> None:
        assert rows(from_frame(table(), value="rating", time="time")) == KEPT
        chunked = pa.concat_tables([table(RECORDS[:1]), table(RECORDS[1:])])
        assert rows(from_frame(chunked, value="rating", time="time")) == KEPT

    def test_what_is_no_frame(self) -> None:
        with pytest.raises(UsageError, match="expected a data frame or a table. Got list instead"):
            from_frame([1, 2])


def test_records_are_a_stream_with_dates() -> None:
    moment = datetime(1970, 1, 1, 0, 1, tzinfo=UTC)
    found = from_records(iter([("a", "x", 1, moment), ("b", "x", 1, "1970-01-02")]))
    assert rows(found) == [("a", "x", 1.0, 60), ("b", "x", 1.0, 86400)]
    with pytest.raises(DataError, match="record 1: a value"):
        from_records([("a", "x", "bad"), ("b", "x")])  # the earlier fault is told first


@pytest.mark.parametrize("duplicates", ["last", "sum", "mean"])
def test_duplicates_follow_the_plain_rule(duplicates: Any) -> None:
    rng = np.random.default_rng(0)
    records = [(int(u), int(i), float(v), int(t)) for u, i, v, t in rng.integers(0, 6, (400, 4))]
    wanted: dict[tuple[int, int], list[tuple[int, int, float]]] = {}
    for place, (user, item, value, time) in enumerate(records):
        wanted.setdefault((user, item), []).append((time, place, value))
    plain = []
    for pair, group in wanted.items():
        time, place, value = max(group)
        total = sum(one[2] for one in group)
        kept = {"last": value, "sum": total, "mean": total / len(group)}[duplicates]
        plain.append((place, (*pair, np.float32(kept).item(), time)))
    assert rows(from_records(records, duplicates=duplicates)) == [row for _, row in sorted(plain)]
