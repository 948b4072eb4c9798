from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import recsys
from recsys.features import Features, features_from_frame, make_features
from recsys.ids import Vocabulary
from shared.errors import DataError, UnknownNameError, UsageError


def table() -> Features:
    return make_features(
        "item",
        ["a", "b", "c", "d"],
        {
            "price": ["2.5", "", "4", "1"],
            "kind": ["tea", "tea", "", "rice"],
            "genres": ["Drama|War", "(no genres listed)", "War", "Drama|Drama"],
            "title": ["One", "Two", "Three", ""],
            "zip": ["05201", "98101", "05202", "05203"],
        },
        kinds={"kind": "category"},
        source="shop.csv",
    )


def test_each_column_has_its_kind() -> None:
    found = table()
    np.testing.assert_array_equal(found.numbers["price"], np.array([2.5, np.nan, 4, 1], dtype=np.float32))
    assert found.numbers["price"].dtype == np.float32
    assert found.categories["kind"].labels == ("rice", "tea")
    assert found.categories["kind"].codes.tolist() == [1, 1, -1, 0]
    assert found.tags["genres"].labels == ("Drama", "War")
    assert found.tags["genres"].matrix.toarray().tolist() == [[1, 1], [0, 0], [0, 1], [1, 0]]
    assert found.texts == {"title": ("One", "Two", "Three", ""), "zip": ("05201", "98101", "05202", "05203")}
    assert repr(found) == "<Features of 4 items: price, kind, genres, title, zip>"
    assert (len(found), found.missing) == (4, ())


def test_rows_follow_a_vocabulary_and_unknown_ids_are_missing() -> None:
    found = table().for_ids(Vocabulary("item", ("c", "x", "a")))
    assert found.known.tolist() == [True, False, True]
    assert found.missing == ("x",)
    np.testing.assert_array_equal(found.numbers["price"], np.array([4, np.nan, 2.5], dtype=np.float32))
    assert found.categories["kind"].codes.tolist() == [-1, -1, 1]
    assert found.tags["genres"].matrix.toarray().tolist() == [[0, 1], [0, 0], [1, 1]]
    assert found.texts["title"] == ("Three", "", "One")
    again = found.for_ids(Vocabulary("item", ("x", "a", "y")))
    assert again.missing == ("x", "y")


def test_ids_of_another_type_are_never_quietly_missing() -> None:
    with pytest.raises(
        DataError, match=r"shop.csv: not one of 2 item ids has features. Ids are str here and int there"
    ):
        table().for_ids(Vocabulary("item", (1, 2)))
    assert len(table().for_ids(Vocabulary("item", ()))) == 0


def test_one_hot() -> None:
    matrix, names = table().one_hot()
    assert names == ("kind=rice", "kind=tea", "genres=Drama", "genres=War")
    assert matrix.toarray().tolist() == [[0, 1, 1, 1], [0, 1, 0, 0], [0, 0, 0, 1], [1, 0, 1, 0]]
    assert matrix.dtype == np.float32
    plain, none = make_features("item", ["a"], {"price": [1]}).one_hot()
    assert (plain.shape, none) == ((1, 0), ())


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2.5, None, 4], "numbers"),
        (["1", "-2e3", "nan", ""], "texts"),
        (["1", "2", "3", "007"], "texts"),
        ([True, False, True, False], "categories"),
        (["a", "b", "a", "b"], "categories"),
        (["a", "b", "c", "b"], "texts"),
        ([["x"], ["x", "y"], None, []], "tags"),
        (["x|y", "x", "", "z"], "tags"),
    ],
)
def test_kinds_are_found(values: list[Any], kind: str) -> None:
    found = make_features("item", [1, 2, 3, 4], {"column": values})
    assert "column" in getattr(found, kind)


@pytest.mark.parametrize(
    ("ids", "columns", "options", "error", "message"),
    [
        (["a", "b", "a"], {}, {}, DataError, "row 3: item 'a' comes again"),
        (["a", None], {}, {}, DataError, "row 2: a item id must be .* Got NoneType"),
        (["a", 1], {}, {}, DataError, "all str or all int"),
        (["a"], {"p": [float("inf")]}, {}, DataError, "column 'p' must hold finite numbers. Got inf"),
        (["a"], {"p": ["inf"]}, {}, DataError, "column 'p' must hold finite numbers. Got 'inf'"),
        (["a"], {"p": ["x"]}, {"p": "number"}, DataError, "must hold finite numbers. Got 'x' instead"),
        (["a"], {"p": ["x", "y"]}, {}, DataError, "column 'p' must have 1 values"),
        (["a"], {"p": ["x"]}, {"q": "text"}, UsageError, r"kinds must name columns. There are \['p'\]. Got \['q'\]"),
        (["a"], {"p": ["x"]}, {"p": "words"}, UsageError, "kinds must be number, category, tags, text, skip"),
    ],
)
def test_malformed_features_are_refused(
    ids: list[Any], columns: dict[str, Any], options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        make_features("item", ids, columns, kinds=options)


class TestFiles:
    def test_a_table_with_a_header(self, tmp_path: Path) -> None:
        path = tmp_path / "things.csv"
        path.write_text('itemId,price,name\n07,2.5,"Tea, green"\n8,3,Rice\n')
        found = recsys.load_features(path)
        assert found.ids == found.ids
        assert (found.ids.what, found.ids.ids, found.texts["name"]) == ("item", ("07", "8"), ("Tea, green", "Rice"))
        assert recsys.load_features(path, id_type="int").ids.ids == (7, 8)
        assert list(recsys.load_features(path, kinds={"name": "skip"}).texts) == []
        path.write_text("id;age\nann;30\n")
        assert recsys.load_features(path, what="user").ids.what == "user"
        assert recsys.load_features(path, what="user", id="age").ids.ids == ("30",)

    @pytest.mark.parametrize(
        ("text", "options", "message"),
        [
            ("id,price\n1,2\n", {}, "say which column holds ids, by id=, and whose they are, by what="),
            ("userId,itemId\n1,2\n", {}, "say which column holds ids"),
            ("id,price\n1,2\n", {"id": "id"}, "say whose ids 'id' holds"),
            ("itemId,price\n1,2\n", {"id": "no"}, "must have a column 'no' of ids"),
            ("itemId,price\n1,2\n3\n", {}, "line 3: expected 2 fields. Got 1"),
            ("itemId,price\n1,2\n\n,3\n", {}, "line 4: item id must not be empty"),
            ("itemId,price\n1,2\n1,3\n", {}, "row 2: item '1' comes again"),
            (
                "itemId,price\nx,2\n",
                {"id_type": "int"},
                "line 2: with id_type 'int' item ids are whole numbers. Got 'x'",
            ),
            ("itemId,price\n", {}, "must hold one item a row. It has none"),
            ("itemId,itemId\n1,2\n", {}, "header of different names"),
        ],
    )
    def test_malformed_files_are_refused(
        self, tmp_path: Path, text: str, options: dict[str, Any], message: str
    ) -> None:
        path = tmp_path / "things.csv"
        path.write_text(text)
        with pytest.raises(DataError, match=message):
            recsys.load_features(path, **options)

    def test_wrong_arguments_say_so(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="must be an existing file"):
            recsys.load_features(tmp_path / "none.csv")
        (tmp_path / "a.csv").write_text("itemId,x\n1,2\n")
        with pytest.raises(UnknownNameError, match=r"'u.items'. Nearest: u.item"):
            recsys.load_features(tmp_path / "a.csv", format="u.items")
        with pytest.raises(UsageError, match="what must be 'item' or 'user'"):
            recsys.load_features(tmp_path / "a.csv", what="thing")
        (tmp_path / "a.csv").write_bytes(b"itemId,x\n1,\xff\n")
        with pytest.raises(DataError, match="must be UTF-8 text"):
            recsys.load_features(tmp_path / "a.csv")

    def test_movielens_and_goodbooks_by_name(self, tmp_path: Path) -> None:
        flags = "|".join("1" if at in (5, 16) else "0" for at in range(19))
        (tmp_path / "u.item").write_bytes(
            f"1|Fianc\u00e9e (1995)|01-Jan-1994||http://x|{flags}\n2|unknown||||{flags}\n".encode("latin-1")
        )
        found = recsys.load_features(tmp_path / "u.item")
        assert found.texts["title"] == ("Fianc\u00e9e (1995)", "unknown")
        assert found.numbers["year"][0] == 1994
        assert np.isnan(found.numbers["year"][1])
        assert found.tags["genres"].labels == ("Comedy", "Thriller")
        (tmp_path / "u.user").write_text("1|24|M|technician|05711\n2|53|F|other|94043\n")
        found = recsys.load_features(tmp_path / "u.user")
        assert (found.ids.what, found.categories["gender"].labels) == ("user", ("F", "M"))
        assert found.texts["zip"] == ("05711", "94043")
        (tmp_path / "movies.csv").write_text(
            'movieId,title,genres\n1,"Piano, The (1993)",Drama|Romance\n2,Heat,(no genres listed)\n'
        )
        found = recsys.load_features(tmp_path / "movies.csv")
        assert found.tags["genres"].labels == ("Drama", "Romance")
        assert found.numbers["year"][0] == 1993
        (tmp_path / "movies.dat").write_bytes("1::Fianc\u00e9e (1995)::Drama\n".encode("latin-1"))
        assert recsys.load_features(tmp_path / "movies.dat").numbers["year"].tolist() == [1995]
        (tmp_path / "users.dat").write_text("1::F::25::10::48067\n")
        assert recsys.load_features(tmp_path / "users.dat").categories["age"].labels == ("25",)
        (tmp_path / "books.csv").write_text('book_id,authors,title,average_rating\n1,"A. One, B. Two",Book,4.5\n')
        assert recsys.load_features(tmp_path / "books.csv").tags["authors"].labels == ("A. One", "B. Two")
        (tmp_path / "tags.csv").write_text("userId,movieId,tag,timestamp\n7,2,Fun,1\n8,2,fun,2\n8,1,dull,3\n")
        found = recsys.load_features(tmp_path / "tags.csv")
        assert (found.ids.ids, found.tags["tag"].labels) == (("2", "1"), ("dull", "fun"))
        assert found.tags["tag"].matrix.toarray().tolist() == [[0, 1], [1, 0]]
        (tmp_path / "movies.csv").write_text("itemId,price\n1,2\n")  # called so, and something else
        assert recsys.load_features(tmp_path / "movies.csv").numbers["price"].tolist() == [2]

    def test_parquet_and_frames(self, tmp_path: Path) -> None:
        pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        made = pa.table({"item": [1, 2], "price": [2.5, None], "tags": [["x", "y"], []]})
        pq.write_table(made, tmp_path / "items.parquet")
        for found in (recsys.load_features(tmp_path / "items.parquet"), features_from_frame(made, id="item")):
            assert found.ids.ids == (1, 2)
            assert found.numbers["price"][0] == 2.5
            assert found.tags["tags"].labels == ("x", "y")
        with pytest.raises(DataError, match="must have one column 'no' of ids"):
            features_from_frame(made, id="no")


@pytest.mark.data
@pytest.mark.parametrize(
    ("file", "count", "tags"),
    [
        ("ml-100k/ml-100k/u.item", 1682, 19),
        ("ml-latest-small/ml-latest-small/movies.csv", 9742, 19),
        ("goodbooks/books.csv", 10000, None),
    ],
)
def test_real_files_of_features(data_root: Path, file: str, count: int, tags: int | None) -> None:
    found = recsys.load_features(data_root / "recsys" / file)
    assert len(found) == count
    assert tags is None or len(found.tags["genres"].labels) == tags
