"""Object stores as inputs: memory that stands for one, and S3 by moto's server where it is installed."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from batch_toy import COLOURS, SHOUTS, Shout
from PIL import Image

from shared.batch import read, run, stores
from shared.batch.addresses import check_address, without_secrets
from shared.batch.inputs import open_source
from shared.batch.rows import Row
from shared.batch.stores import Stored
from shared.errors import DataError, InputError, PlanMismatchError, UsageError

fsspec = pytest.importorskip("fsspec", reason="needs the extra cloud")


def picture(red: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), (red, 0, 0)).save(buffer, "PNG")
    return buffer.getvalue()


def parquet(texts: list[str]) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table({"id": list(range(len(texts))), "text": texts}), buffer, row_group_size=50)
    return buffer.getvalue()


OBJECTS: dict[str, bytes] = {
    "photos/b.png": picture(20),
    "photos/a.png": picture(10),
    "photos/deep/c.PNG": picture(30),
    "photos/deep/.hidden.png": b"",
    "photos/.trash/d.png": b"",
    "photos/notes.md": b"x",
    "photos/list.csv": b"path,n\na.png,1\ndeep/c.PNG,2\nmemory://bucket/photos/b.png,3\nnone.png,4\n,5\n",
    "other/broken.png": b"no picture",
    "tables/t.csv": '\ufeffid,text\r\n1,"a, b"\r\n2,"two\nlines"\r\n3,caf\u00e9\r\n'.encode(),
    "tables/u.jsonl": b'{"id": 4, "text": "d"}\n{"id": 5\n',
    "list.txt": b"first\n\nsecond\n",
    "t.parquet": parquet([f"t{n}" for n in range(120)]),
}


@pytest.fixture
def store() -> Iterator[Any]:
    """A bucket in memory."""
    system = fsspec.filesystem("memory")
    for name, content in OBJECTS.items():
        system.pipe(f"/bucket/{name}", content)
    yield system
    system.rm("/bucket", recursive=True)


def rows(url: str, kind: str = "text", **options: Any) -> list[Row]:
    source = open_source(url, kind, **options)
    found = list(source.rows())
    assert [row.index for row in found] == list(range(source.total))
    return found


@pytest.mark.parametrize(
    ("url", "names"),
    [
        ("photos", ["a.png", "b.png", "deep/c.PNG"]),
        ("photos/", ["a.png", "b.png", "deep/c.PNG"]),
        ("photos/*.png", ["a.png", "b.png"]),
        ("photos/?.png", ["a.png", "b.png"]),
        ("photos/**/*.PNG", ["deep/c.PNG"]),
        ("photos/b.png", ["b.png"]),
    ],
)
def test_pictures_of_a_store(store: Any, url: str, names: list[str]) -> None:
    found = rows(f"memory://bucket/{url}", "image")
    assert [row.input.replace("memory:///", "memory://") for row in found] == [
        f"memory://bucket/photos/{name}" for name in names
    ]
    assert [row.item.read_bytes() for row in found] == [OBJECTS[f"photos/{name}"] for name in names]


@pytest.mark.parametrize(
    ("url", "kind", "message"),
    [
        ("nowhere", "image", "Nothing stands at memory://bucket/nowhere"),
        ("nowhere/*.png", "image", "Nothing matches memory://bucket/nowhere"),
        ("other", "text", r"must have files ending in \.csv, .* It has none"),
        ("photos/notes.md", "text", r"must be files ending in \.csv"),
    ],
)
def test_what_does_not_stand_in_a_store(store: Any, url: str, kind: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        open_source(f"memory://bucket/{url}", kind)


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("tables/t.csv", ["a, b", "two\nlines", "café"]),
        ("tables", ["a, b", "two\nlines", "café", "d", None]),
        ("tables/*.jsonl", ["d", None]),
        ("list.txt", ["first", "second"]),
        ("t.parquet", [f"t{n}" for n in range(120)]),
    ],
)
def test_tables_of_a_store_read_as_those_of_a_disk(store: Any, tmp_path: Path, name: str, texts: list[str]) -> None:
    found = rows(f"memory://bucket/{name}")
    assert [None if row.fault else row.item for row in found] == texts
    for key, content in OBJECTS.items():
        (tmp_path / key).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / key).write_bytes(content)
    assert [(row.input, row.item) for row in rows(str(tmp_path / name))] == [(row.input, row.item) for row in found]


def test_a_table_of_a_store_names_pictures_beside_it(store: Any) -> None:
    found = rows("memory://bucket/photos/list.csv", "image")
    assert [row.item.read_bytes() for row in found[:3]] == [picture(10), picture(30), picture(20)]
    with pytest.raises(InputError, match=r"must be an existing file. Nothing stands at .*none\.png"):
        found[3].item.read_bytes()
    assert found[4].fault is not None
    assert found[4].fault.kind == "empty"


def test_archives_of_a_store(store: Any, tmp_path: Path) -> None:
    from test_batch_tars import make

    for part in range(2):
        made = make(tmp_path / "d.tar", [(f"{n}.png", picture(part * 100 + n)) for n in range(4)])
        store.pipe(f"/bucket/d-{part}.tar", made.read_bytes())
    for url in ("memory://bucket/d-{0..1}.tar", "memory://bucket/d-*.tar"):
        found = rows(url, "image")
        assert [row.item.read_bytes() for row in found] == [picture(n) for n in (0, 1, 2, 3, 100, 101, 102, 103)]


def test_a_job_over_a_store_and_its_continuation(store: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for n in range(20):
        store.pipe(f"/bucket/many/{n:02d}.png", picture(n) if n != 5 else b"no picture")
    report = run(COLOURS, "memory://bucket/many", out, progress=False)
    assert (report.rows, report.failed) == (20, 1)
    (out / "part-00001.parquet").unlink()
    assert run(COLOURS, "memory://bucket/many", out, progress=False).predicted == 8
    assert [o.result.to_json()["rgb"][0] for o in read(out) if o.ok] == [float(n) for n in range(20) if n != 5]
    store.pipe("/bucket/many/07.png", picture(8))
    with pytest.raises(PlanMismatchError, match="inputs: content"):
        run(COLOURS, "memory://bucket/many", out, progress=False)


def test_a_table_of_a_store_that_changes(store: Any, tmp_path: Path) -> None:
    url, out = "memory://bucket/tables/t.csv", tmp_path / "out"
    run(SHOUTS, url, out, progress=False, id_column="id")
    assert next((o.id, o.result) for o in read(out)) == ("1", Shout("A, B!"))
    reading = open_source(url, "text").rows()
    next(reading)
    store.pipe("/bucket/tables/t.csv", b"id,text\n1,x\n2,y\n3,z\n")
    with pytest.raises(DataError, match="must not change while a job reads it"):
        list(reading)
    with pytest.raises(PlanMismatchError, match="inputs: content"):
        run(SHOUTS, url, out, progress=False, id_column="id")


def test_a_table_that_goes_away_while_it_is_read(store: Any) -> None:
    source = open_source("memory://bucket/tables/t.csv", "text")
    store.rm("/bucket/tables/t.csv")
    with pytest.raises(DataError, match="must stay where it is while a job reads it. It is gone"):
        list(source.rows())


def test_an_object_that_is_too_long(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "MAX_BYTES", 9)
    for size in (10, None):
        with pytest.raises(InputError, match="an item must hold at most 9 bytes") as caught:
            Stored("memory://bucket/other/broken.png", "x", 0, size).read_bytes()
        assert caught.value.kind == "too-large"


def test_an_object_that_shrank(store: Any) -> None:
    with pytest.raises(InputError, match="x must hold 11 bytes. Only 10 came"):
        Stored("memory://bucket/other/broken.png", "x", 0, 11).read_bytes()
    assert Stored("memory://bucket/other/broken.png", "x", 3, 7).read_bytes() == b"picture"
    assert Stored("memory://bucket/other/broken.png", "x", 0, 0).read_bytes() == b""


SECRET = [
    "s3://AKIA:s3cret@bucket/photos",
    "s3://s3cret@bucket/photos",
    "s3://bucket/a.csv?X-Amz-Signature=s3cret",
    "s3://bucket/a.csv?x-amz-security-token=s3cret&y=1",
    "gs://bucket/a.csv?X-Goog-Credential=s3cret",
    "az://container/a.csv?sv=1&sig=s3cret",
    "abfs://me:s3cret@container/a.csv",
    "s3://bucket/a.csv?AWSAccessKeyId=s3cret",
    "s3://me:s3cret@bucket/a.tar",
    "s3://me:s3cret@bucket/a.tar.gz",
    "s3://bucket/a.csv?" + "long=1&" * 60 + "X-Amz-Signature=s3cret",
]


@pytest.mark.parametrize("url", SECRET)
def test_a_url_with_credentials_is_refused_without_showing_them(url: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="a URL must carry no user, password, key or signature") as caught:
        run(SHOUTS, url, tmp_path / "out", progress=False)
    assert "s3cret" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_the_url_of_no_store_is_told_without_credentials(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Nothing stands at https://host/a.csv") as caught:
        run(SHOUTS, "https://me:s3cret@host/a.csv?token=s3cret", tmp_path / "out", progress=False)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["s3://bucket/a@b.jpg", "s3://bucket/img_?.jpg", "abfss://box@account/a", "gs://bucket/signature.csv"]
)
def test_a_url_without_credentials_is_taken(url: str) -> None:
    check_address(url)


def test_a_row_that_names_an_object_with_credentials_is_a_failure(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("path\n" + "".join(f"{url}\n" for url in SECRET))
    found = rows(str(path), "image")
    assert {row.fault and row.fault.kind for row in found} == {"refused"}
    assert not [row for row in found if row.fault and "s3cret" in row.fault.message]


def test_what_a_store_says_is_told_without_secrets(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError("403 for https://me:s3cret@host/k?X-Amz-Signature=s3cret&y=1 denied")

    monkeypatch.setattr(type(store), "cat_file", refuse)
    monkeypatch.setattr(type(store), "find", refuse)
    with pytest.raises(InputError, match="Its store refuses: 403 for https://host/k denied"):
        Stored("memory://bucket/t.parquet", "t").read_bytes()
    with pytest.raises(DataError, match="Its store refuses: 403 for https://host/k denied"):
        open_source("memory://bucket/photos", "image")
    assert without_secrets("plain words, a=b?c=d") == "plain words, a=b?c=d"


@pytest.mark.parametrize("url", ["https://example.org/a.csv", "ftp://example.org/a.csv", "s3://a::file://b"])
def test_other_addresses_are_refused(url: str) -> None:
    with pytest.raises(UsageError, match="Nothing stands at|must name one store"):
        open_source(url, "text")


def test_a_store_is_no_place_for_results(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="OUT must be a folder of this machine"):
        run(SHOUTS, tmp_path, "s3://bucket/out", progress=False)


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A bucket of moto's server, reached as S3 is."""
    server = pytest.importorskip("moto.server", reason="S3 is tested by moto's server: pip install 'moto[server,s3]'")
    s3fs = pytest.importorskip("s3fs", reason="needs the extra cloud")
    running = server.ThreadedMotoServer(port=0)
    running.start()
    host, port = running.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cret")
    s3fs.S3FileSystem.clear_instance_cache()
    system = s3fs.S3FileSystem()
    system.mkdir("bucket")
    for name, content in OBJECTS.items():
        system.pipe(f"bucket/{name}", content.replace(b"memory://", b"s3://"))
    yield system
    s3fs.S3FileSystem.clear_instance_cache()
    running.stop()


@pytest.mark.filterwarnings("default")
def test_s3(bucket: Any, tmp_path: Path) -> None:
    assert [row.input for row in rows("s3://bucket/photos", "image")] == [
        f"s3://bucket/photos/{name}" for name in ("a.png", "b.png", "deep/c.PNG")
    ]
    found = rows("s3://bucket/photos/list.csv", "image")
    assert [row.item.read_bytes() for row in found[:3]] == [picture(10), picture(30), picture(20)]
    assert [row.item for row in rows("s3://bucket/t.parquet")] == [f"t{n}" for n in range(120)]
    assert [row.item for row in rows("s3://bucket/tables")][:3] == ["a, b", "two\nlines", "café"]
    with pytest.raises(InputError, match="Nothing stands at"):
        found[3].item.read_bytes()
    with pytest.raises((DataError, UsageError), match="s3://nowhere/x"):
        open_source("s3://nowhere/x", "image")
    out = tmp_path / "out"
    report = run(COLOURS, "s3://bucket/photos", out, progress=False, workers=2, shard_size=1)
    assert (report.rows, report.failed) == (3, 0)
    written = "".join(path.read_text() for path in (out / "_job").rglob("*.json"))
    assert "s3cret" not in written
    assert json.loads((out / "_job" / "job.json").read_text())["plan"]["inputs"]["input"] == "s3://bucket/photos"
    (out / "part-00001.parquet").unlink()
    assert run(COLOURS, "s3://bucket/photos", out, progress=False).predicted == 1
    bucket.pipe("bucket/photos/a.png", picture(11))
    with pytest.raises(PlanMismatchError, match="inputs: content"):
        run(COLOURS, "s3://bucket/photos", out, progress=False)
    source = open_source("s3://bucket/tables/t.csv", "text")
    next(reading := source.rows())
    bucket.pipe("bucket/tables/t.csv", b"id,text\n1,x\n2,y\n3,z\n")
    with pytest.raises(DataError, match="must not change while a job reads it"):
        list(reading)


@pytest.fixture
def google(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A bucket of an emulator's server, reached as Google's is."""
    reason = "Google's store is tested by an emulator: pip install gcp-storage-emulator"
    emulator = pytest.importorskip("gcp_storage_emulator.server", reason=reason)
    gcsfs = pytest.importorskip("gcsfs", reason="needs the extra cloud")
    running = emulator.create_server("127.0.0.1", 0, in_memory=True, default_bucket="bucket")
    running.start()
    port = running._api._httpd.server_address[1]
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")  # a protocol that the emulator does not speak
    gcsfs.GCSFileSystem.clear_instance_cache()
    system = gcsfs.GCSFileSystem()
    for name, content in OBJECTS.items():
        system.pipe(f"bucket/{name}", content.replace(b"memory://", b"gs://"))
    yield system
    gcsfs.GCSFileSystem.clear_instance_cache()
    running.stop()


@pytest.mark.filterwarnings("default")
def test_google_storage(google: Any, tmp_path: Path) -> None:
    assert [row.input for row in rows("gs://bucket/photos", "image")] == [
        f"gs://bucket/photos/{name}" for name in ("a.png", "b.png", "deep/c.PNG")
    ]
    found = rows("gs://bucket/photos/list.csv", "image")
    assert [row.item.read_bytes() for row in found[:3]] == [picture(10), picture(30), picture(20)]
    assert [row.item for row in rows("gs://bucket/t.parquet")] == [f"t{n}" for n in range(120)]
    with pytest.raises(InputError, match="Nothing stands at"):
        found[3].item.read_bytes()
    out = tmp_path / "out"
    report = run(COLOURS, "gs://bucket/photos", out, progress=False, workers=2, shard_size=1)
    assert (report.rows, report.failed) == (3, 0)
    (out / "part-00001.parquet").unlink()
    assert run(COLOURS, "gs://bucket/photos", out, progress=False).predicted == 1
    google.pipe("bucket/photos/a.png", picture(11))
    with pytest.raises(PlanMismatchError, match="inputs: content"):
        run(COLOURS, "gs://bucket/photos", out, progress=False)
