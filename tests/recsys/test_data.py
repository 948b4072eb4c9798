from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recsys.data import Interactions, from_frame, from_records
from recsys.ids import Vocabulary
from recsys.reading import load_interactions, read_titles
from shared.errors import DataError, UnknownNameError, UsageError


def rows(interactions: Interactions) -> list[tuple[object, ...]]:
    """Back to records, with the time where there is one."""
    users, items = interactions.user_ids.decode(interactions.users), interactions.item_ids.decode(interactions.items)
    times = [] if interactions.times is None else [interactions.times.tolist()]
    return list(zip(users, items, interactions.values.tolist(), *times))


def test_records_keep_their_order_and_ids_are_sorted() -> None:
    found = from_records([("bob", 7, 2.5, 30), ("ann", 3, 1.0, 10), ("bob", 3, 4.0, 20)])
    assert rows(found) == [("bob", 7, 2.5, 30), ("ann", 3, 1.0, 10), ("bob", 3, 4.0, 20)]
    assert found.user_ids.ids == ("ann", "bob")
    assert found.item_ids.ids == (3, 7)
    assert found.matrix.toarray().tolist() == [[1.0, 0.0], [4.0, 2.5]]
    assert (found.users.dtype, found.values.dtype) == (np.int32, np.float32)


def test_numpy_ids_are_plain_ids() -> None:
    found = from_records([(np.int64(5), np.str_("x"), np.float32(2))])
    assert found.user_ids.ids == (5,)
    assert type(found.user_ids.ids[0]) is int
    assert type(found.item_ids.ids[0]) is str


@pytest.mark.parametrize(
    ("duplicates", "kept"),
    [
        ("last", [("b", "x", 1.0, 5), ("a", "x", 9.0, 30), ("a", "y", 4.0, 7)]),
        ("sum", [("b", "x", 1.0, 5), ("a", "x", 12.0, 30), ("a", "y", 7.0, 7)]),
        ("mean", [("b", "x", 1.0, 5), ("a", "x", 4.0, 30), ("a", "y", 3.5, 7)]),
    ],
)
def test_a_pair_that_comes_again(duplicates: str, kept: list[tuple[object, ...]]) -> None:
    records = [
        ("a", "x", 1, 10),
        ("b", "x", 1, 5),
        ("a", "x", 9, 30),
        ("a", "y", 3, 7),
        ("a", "x", 2, 20),
        ("a", "y", 4, 7),
    ]
    assert rows(from_records(records, duplicates=duplicates)) == kept  # type: ignore[arg-type]


def test_a_pair_that_comes_again_can_be_refused() -> None:
    records = [("a", "x"), ("b", "x"), ("a", "x"), ("a", "x")]
    with pytest.raises(DataError, match=r"each pair must come once. Got \('a', 'x'\) again; 2 such rows"):
        from_records(records, duplicates="error")
    assert len(from_records(records[:2], duplicates="error")) == 2
    with pytest.raises(UsageError, match="duplicates must be one of last, sum, mean, error, keep. Got 'first' instead"):
        from_records(records, duplicates="first")  # type: ignore[arg-type]


def test_many_duplicates_become_one_interaction() -> None:
    found = from_records([("a", "x", value) for value in range(10_000)])
    assert rows(found) == [("a", "x", 9999.0)]
    assert found.matrix.nnz == 1


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([], "at least one interaction"),
        ([("a",)], r"record 1 must be \(user, item"),
        ([("a", "x", 1), ("b", "y")], "record 2 must be"),
        ([("a", "x", 1, 2, 3)], "record 1 must be"),
        ([("a", "x", 1), ("b", "y", float("nan"))], "record 2: a value must be a finite number. Got nan instead"),
        ([("a", "x", float("inf"))], "record 1: a value must be a finite number. Got inf instead"),
        ([("a", "x", "good")], "Got 'good' instead"),
        ([("a", "x", None)], "Got None instead"),
        ([("a", "x", 1e300)], "fit into float32"),
        ([("a", "x", 1, 2.5)], "record 1: a time must be a whole number of seconds. Got 2.5 instead"),
        ([("a", "x", 1, "now")], "a time must be"),
        ([("a", "x"), (1, "x")], "user ids must be all str or all int. Got int, str instead"),
        ([("a", "x"), ("a", 1)], "item ids must be all str or all int"),
        ([(None, "x")], "record 1: a user id must be a non-empty str or an int. Got NoneType None instead"),
        ([("a", 1.0)], "item id must be a non-empty str or an int. Got float 1.0 instead"),
        ([(True, "x")], "Got bool True instead"),
        ([("", "x")], "Got str '' instead"),
        ([(2**70, "x")], "must fit into 64 bits"),
    ],
)
def test_malformed_records_are_refused(records: list[tuple[object, ...]], message: str) -> None:
    with pytest.raises(DataError, match=message):
        from_records(records)


def test_negative_values_are_data() -> None:
    assert rows(from_records([("a", "x", -3.5)])) == [("a", "x", -3.5)]


def test_parts_keep_the_vocabularies() -> None:
    whole = from_records([("a", "x", 5), ("b", "y", 3), ("a", "z", 4)])
    part = whole.at_least(4)
    assert rows(part) == [("a", "x", 5.0), ("a", "z", 4.0)]
    assert part.item_ids is whole.item_ids
    assert len(whole.at_least(9)) == 0


def test_interactions_cannot_be_changed_or_made_wrong() -> None:
    whole = from_records([("a", "x", 5)])
    with pytest.raises(ValueError, match="read-only"):
        whole.values[0] = 1
    users, items = whole.user_ids, whole.item_ids
    zero, one = np.zeros(1, dtype=np.int32), np.ones(1, dtype=np.float32)
    with pytest.raises(UsageError, match=r"user codes must lie in 0..0"):
        Interactions(zero + np.int32(1), zero, one, None, users, items)
    with pytest.raises(UsageError, match=r"Interactions.items must be a \(n,\) array of int32"):
        Interactions(zero, zero.astype(np.int64), one, None, users, items)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="finite"):
        Interactions(zero, zero, one * np.float32(np.nan), None, users, items)


class TestFrame:
    def test_columns_become_interactions(self) -> None:
        pandas = pytest.importorskip("pandas")
        frame = pandas.DataFrame(
            {"who": ["b", "a"], "what": [2, 1], "stars": [4.5, 3.0], "when": pandas.to_datetime([60, 5], unit="s")}
        )
        found = from_frame(frame, user="who", item="what", value="stars", time="when")
        assert rows(found) == [("b", 2, 4.5, 60), ("a", 1, 3.0, 5)]
        assert rows(from_frame(frame, user="who", item="what")) == [("b", 2, 1.0), ("a", 1, 1.0)]
        assert rows(from_frame(frame.assign(when=[9, 8]), user="who", item="what", time="when"))[0] == ("b", 2, 1.0, 9)

    def test_missing_and_wrong_columns_say_so(self) -> None:
        pandas = pytest.importorskip("pandas")
        frame = pandas.DataFrame(
            {"user": [1.0, 2.0], "item": ["x", None], "time": pandas.to_datetime(["2020-01-01", None])}
        )
        with pytest.raises(DataError, match=r"Missing: \['thing'\]. It has: \['user', 'item', 'time'\]"):
            from_frame(frame, item="thing")
        with pytest.raises(DataError, match=r"record 1: a user id must be .* Got float 1.0"):
            from_frame(frame)
        with pytest.raises(DataError, match="Got NaT in some"):
            from_frame(frame, time="time")


class TestVocabulary:
    @pytest.mark.parametrize("ids", [("a", "b\x00", "ä", "", "\ud800"), (3, -(2**63), 2**63 - 1), ()])
    def test_survives_its_arrays(self, ids: tuple[str | int, ...]) -> None:
        arrays = Vocabulary("user", ids).to_arrays()
        assert all(array.dtype.kind in "iu" for array in arrays.values())
        assert Vocabulary.from_arrays("user", arrays).ids == ids

    def test_types_are_never_mixed_up(self) -> None:
        names, numbers = Vocabulary("item", ("1", "2")), Vocabulary("item", (1, 2))
        assert names.find("2") == numbers.find(2) == 1
        assert names.find(2) is numbers.find("2") is numbers.find(True) is numbers.find([1]) is None
        assert names.encode(["2", 2, None]).tolist() == [1, -1, -1]
        assert names.explain(2) == "unknown item: ids are str here, 2 is int"
        assert names.explain("3") == "unknown item"

    def test_text_is_read_in_its_own_type(self) -> None:
        names, numbers = Vocabulary("item", ("1",)), Vocabulary("item", (1,))
        assert [names.read("1"), names.read(1), numbers.read("1"), numbers.read("x")] == ["1", "1", 1, "x"]

    def test_an_unknown_id_lists_near_ones(self) -> None:
        with pytest.raises(UnknownNameError, match=r"no user \(str id\) is called 'ane'. Nearest: anne"):
            Vocabulary("user", ("anne", "bob")).code("ane")

    @pytest.mark.parametrize(
        ("arrays", "message"),
        [
            ({}, "must have user.ids, or user.utf8"),
            ({"user.utf8": np.zeros(3, np.uint8), "user.ends": np.array([2])}, "end with the 3 bytes"),
            ({"user.utf8": np.zeros(3, np.uint8), "user.ends": np.array([2, 1, 3])}, "must rise"),
            ({"user.utf8": np.full(1, 255, np.uint8), "user.ends": np.array([1])}, "must be UTF-8"),
            ({"user.ids": np.array([1, 1])}, "user ids must differ"),
        ],
    )
    def test_malformed_arrays_are_refused(self, arrays: dict[str, np.ndarray], message: str) -> None:
        with pytest.raises(DataError, match=message):
            Vocabulary.from_arrays("user", arrays)


class TestReading:
    @pytest.mark.parametrize(
        ("text", "wanted"),
        [
            ("user,item,rating,time\nann,x,5,10\nbob,y,3.5,20\n", [("ann", "x", 5.0, 10), ("bob", "y", 3.5, 20)]),
            ("userId,movieId,rating,timestamp\n1,31,2.5,1260759144\n", [("1", "31", 2.5, 1260759144)]),
            ("timestamp,Movie ID,USER_ID\n7,x,ann\n", [("ann", "x", 1.0, 7)]),
            ("196\t242\t3\t881250949\n", [("196", "242", 3.0, 881250949)]),
            ("1::122::5::838985046\n", [("1", "122", 5.0, 838985046)]),
            ("userID\tartistID\tweight\n2\t51\t13883\n", [("2", "51", 13883.0)]),
            ("1 6393\n1 13504\n", [("1", "6393", 1.0), ("1", "13504", 1.0)]),
            ("1;2;3\n", [("1", "2", 3.0)]),
            ("1|2|3\n", [("1", "2", 3.0)]),
            ("\ufeffuser,item\n ann , x \n\n\nbob,y", [("ann", "x", 1.0), ("bob", "y", 1.0)]),
            ('user,item\n"Doe, J.","say ""hi"""\n', [("Doe, J.", 'say "hi"', 1.0)]),
            ("user,item,comment,rating\nann,x,good,5\n", [("ann", "x", 5.0)]),
            ("user,item,time\nann,x,1970-01-01T00:01:00\n", [("ann", "x", 1.0, 60)]),
            ("user,item,time\nann,x,1970-01-01 02:00:00+01:00\n", [("ann", "x", 1.0, 3600)]),
            ("user,item,time\nann,x,60.0\n", [("ann", "x", 1.0, 60)]),
            ("user,item\r\n007,x\r\n", [("007", "x", 1.0)]),
        ],
    )
    def test_forms_of_files(self, tmp_path: Path, text: str, wanted: list[tuple[object, ...]]) -> None:
        path = tmp_path / "ratings"
        path.write_bytes(text.encode())
        assert rows(load_interactions(path)) == wanted

    def test_ids_are_text_unless_they_are_said_to_be_numbers(self, tmp_path: Path) -> None:
        path = tmp_path / "r.csv"
        path.write_text("user,item\n10,x1\n9,x2\n")
        assert load_interactions(path).user_ids.ids == ("10", "9")
        with pytest.raises(DataError, match="every item id must be a whole number. Got 'x1' instead"):
            load_interactions(path, id_type="int")
        path.write_text("user,item\n10,1\n9,2\n")
        assert load_interactions(path, id_type="int").user_ids.ids == (9, 10)
        path.write_text("user,item\n7,1\n07,2\n")
        with pytest.raises(DataError, match="two user ids are the same number"):
            load_interactions(path, id_type="int")

    def test_columns_can_be_named(self, tmp_path: Path) -> None:
        path = tmp_path / "r.csv"
        path.write_text("who,what,when\nann,x,5\n")
        assert rows(load_interactions(path, user="who", item="what", time="when")) == [("ann", "x", 1.0, 5)]
        path.write_text("5,ann,ignored,x\n")
        assert rows(load_interactions(path, columns=("time", "user", "-", "item"))) == [("ann", "x", 1.0, 5)]
        path.write_text("ann,x\nbob,y\n")
        assert len(load_interactions(path, columns=("user", "item"))) == 2
        assert len(load_interactions(path, header=False)) == 2

    def test_the_format_can_be_named(self, tmp_path: Path) -> None:
        path = tmp_path / "r.txt"
        path.write_text("a,1\tx 1\t5\n")
        assert rows(load_interactions(path, format="tsv")) == [("a,1", "x 1", 5.0)]

    def test_a_folder_with_one_of_the_usual_files(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"must hold one of ratings.csv, u.data.* It holds none"):
            load_interactions(tmp_path)
        (tmp_path / "u.data").write_text("1\t2\t3\t4\n")
        assert load_interactions(tmp_path).source == "u.data"

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "It is empty"),
            ("\n  \n", "It is empty"),
            ("user,item\n", "It has a header and nothing else"),
            ("user,item,rating\nann,x,5\nbob,y,\n", "line 3: a rating must be a finite number. Got '' instead"),
            ("user,item,rating\nann,x,nan\n", "line 2: a rating must be a finite number. Got 'nan' instead"),
            ("user,item,rating\nann,x,inf\n", "line 2: .* Got 'inf' instead"),
            ("user,item,rating\nann,x,1_0\n", "line 2: .* Got '1_0' instead"),
            ("1\t2\tfive\t4\n", "line 1: a rating must be a finite number. Got 'five' instead"),
            ("user,item\nann,x\nbob\n", r"line 3: expected 2 fields. Got 1: \['bob'\]"),
            ("user,item\nann,x,9\n", "line 2: expected 2 fields. Got 3"),
            ("user,item\nann,\n", "line 2: a user and an item must not be empty"),
            ("user,item,time\nann,x,soon\n", "line 2: a time must be a whole number of seconds or an ISO 8601 date"),
            ("user,item,time\nann,x,5.5\n", "line 2: a time must be"),
            ("ann,film\nbob,book\n", r"line 1: \['ann', 'film'\] may be a header or an interaction"),
            ("user,film,stars\nann,x,5\n", "may be a header or an interaction. Name its columns by --user and --item"),
            ("1,2,3,4,5\n", "line 1: expected 2 to 4 fields. Got 5.* Say what they are, for example --columns"),
            ("onlyonecolumn\n", "line 1: expected fields parted by one of"),
            ('user,item\n"ann,x\n', "line 2: .*unexpected end of data"),
        ],
    )
    def test_malformed_files_are_refused_with_the_line(self, tmp_path: Path, text: str, message: str) -> None:
        path = tmp_path / "ratings.csv"
        path.write_text(text)
        with pytest.raises(DataError, match=message):
            load_interactions(path)

    def test_bytes_that_are_no_text_are_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "ratings.csv"
        path.write_bytes(b"user,item\n\xff\xfe,x\n")
        with pytest.raises(DataError, match="must be UTF-8 text.*iconv"):
            load_interactions(path)

    @pytest.mark.parametrize(
        ("options", "error", "message"),
        [
            ({"format": "xls"}, UsageError, "format must be one of csv, tsv, dat.* Got 'xls' instead"),
            ({"id_type": "float"}, UsageError, "id_type must be 'str' or 'int'. Got 'float' instead"),
            (
                {"user": "nobody"},
                DataError,
                r"the header must have a column 'nobody' \(user\). It has: \['user', 'item'\]",
            ),
            ({"user": "item"}, DataError, "one column cannot be two things"),
            ({"columns": ("user", "film")}, UsageError, "columns must be user, item, and perhaps rating"),
            ({"columns": ("user",)}, DataError, "line 1: expected 1 fields. Got 2"),
            ({"columns": ("user", "item"), "header": True}, UsageError, "columns describes a file without a header"),
        ],
    )
    def test_wrong_options_say_so(
        self, tmp_path: Path, options: dict[str, object], error: type[Exception], message: str
    ) -> None:
        path = tmp_path / "ratings.csv"
        path.write_text("user,item\nann,x\n")
        with pytest.raises(error, match=message):
            load_interactions(path, **options)  # type: ignore[arg-type]

    def test_a_missing_file_says_so(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="must be an existing file or folder"):
            load_interactions(tmp_path / "none.csv")

    def test_a_header_without_users_says_so(self, tmp_path: Path) -> None:
        path = tmp_path / "ratings.csv"
        path.write_text("film,rating\nx,5\n")
        with pytest.raises(DataError, match="Missing: user.* Say which they are by --user"):
            load_interactions(path, item="film")

    def test_titles(self, tmp_path: Path) -> None:
        path = tmp_path / "movies.csv"
        path.write_text('movieId,title,genres\n1,"Piano, The (1993)",Drama\n2,Heat,Crime\n')
        assert read_titles(path) == {"1": "Piano, The (1993)", "2": "Heat"}
        path.write_bytes("1|Fianc\u00e9e|x\n2|Heat|y\n".encode("latin-1"))
        assert read_titles(path) == {"1": "Fianc\ufffde", "2": "Heat"}
        path.write_text("1|Heat\n2\n")
        with pytest.raises(DataError, match="line 2: expected an item id and a title"):
            read_titles(path)
        with pytest.raises(UsageError, match="must be an existing file"):
            read_titles(tmp_path / "none")
