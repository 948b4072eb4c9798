"""Videos in and out: true times, turns, sampling, faults after good frames, and the command's lines and pictures."""

from __future__ import annotations

import itertools
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from shared.cli.main import triptych
from shared.errors import InputError, MissingDependencyError, UsageError
from shared.predictor import Pipeline
from shared.testing import fake_card
from shared.types import Failure
from vision.images import load
from vision.types import Classification
from vision.video import read_frames, video_info, video_results
from vision.video_writer import VideoWriter

av = pytest.importorskip("av")

SIZE = (64, 96)


def shade(value: int) -> np.ndarray[Any, Any]:
    """A frame of one grey with a white corner at the top left."""
    pixels = np.full((*SIZE, 3), value, np.uint8)
    pixels[:16, :16] = 255
    return pixels


def clip(path: Path, times: list[float]) -> Path:
    """A video whose n-th frame has the grey 5 n, shown from the n-th time on."""
    with VideoWriter(path) as writer:
        for at, time in enumerate(times):
            writer.add(time, shade(5 * at % 250))
    return path


def steps(n: int, fps: float = 10.0) -> list[float]:
    return [at / fps for at in range(n)]


def greys(path: Path, **options: Any) -> list[int]:
    return [round(float(frame.pixels[30:, 30:].mean()) / 5) for frame in read_frames(path, **options)]


def test_each_frame_with_its_time(tmp_path: Path) -> None:
    path = clip(tmp_path / "a.mp4", steps(20))
    frames = list(read_frames(path))
    assert [frame.index for frame in frames] == list(range(20))
    assert [frame.time for frame in frames] == pytest.approx(steps(20), abs=1e-4)
    assert greys(path) == list(range(20))
    assert frames[3].pixels.shape == (64, 96, 3)
    assert frames[3].pixels[5, 5].min() > 240
    info = video_info(path)
    assert (info.size, info.frames, info.codec) == ((64, 96), 20, "h264")
    assert info.fps == pytest.approx(10, rel=0.06)
    assert info.seconds == pytest.approx(2, abs=0.15)


def test_uneven_times_stay_uneven(tmp_path: Path) -> None:
    times = [0.0, 0.1, 0.15, 1.0, 1.01, 3.5]
    path = clip(tmp_path / "a.mp4", times)
    assert [frame.time for frame in read_frames(path)] == pytest.approx(times, abs=1e-4)
    picked = list(read_frames(path, fps=2))
    assert [frame.time for frame in picked] == pytest.approx([0.0, 1.0, 3.5], abs=1e-4)
    assert [frame.index for frame in picked] == [0, 3, 5]


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({"every": 1}, list(range(20))),
        ({"every": 7}, [0, 7, 14]),
        ({"every": 100}, [0]),
        ({"fps": 5}, list(range(0, 20, 2))),
        ({"fps": 4}, [0, 3, 5, 8, 10, 13, 15, 18]),
        ({"fps": 1000}, list(range(20))),
        ({"fps": 0.5}, [0]),
    ],
)
def test_sampling(options: dict[str, Any], wanted: list[int], tmp_path: Path) -> None:
    path = clip(tmp_path / "a.mp4", steps(20))
    assert [frame.index for frame in read_frames(path, **options)] == wanted
    assert greys(path, **options) == wanted


@pytest.mark.parametrize(
    ("container", "codec"), [("mkv", "mpeg4"), ("avi", "mpeg4"), ("webm", "libvpx-vp9"), ("ts", "libx264")]
)
def test_other_containers(container: str, codec: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{container}"
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for at in range(12):
            frame = av.VideoFrame.from_ndarray(shade(5 * at), format="rgb24")
            frame.pts, frame.time_base = at, Fraction(1, 10)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    frames = list(read_frames(path))
    assert [frame.time for frame in frames] == pytest.approx(steps(12), abs=2e-3)
    seen = [frame.pixels[30:, 30:].mean() for frame in frames]
    assert seen == pytest.approx([5 * at for at in range(12)], abs=4)


def turned(path: Path, degrees: int) -> Path:
    """The video with a matrix in its track's header that says how to turn it clockwise."""
    matrices = {90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}
    a, b, c, d = (value << 16 for value in matrices[degrees])
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 44
    for place, value in ((0, a), (4, b), (12, c), (16, d)):
        data[at + place : at + place + 4] = value.to_bytes(4, "big", signed=True)
    path.write_bytes(bytes(data))
    return path


@pytest.mark.parametrize(("degrees", "corner"), [(90, (5, -5)), (180, (-5, -5)), (270, (-5, 5))])
def test_frames_are_upright(degrees: int, corner: tuple[int, int], tmp_path: Path) -> None:
    path = turned(clip(tmp_path / "a.mp4", steps(3)), degrees)
    frame = next(iter(read_frames(path)))
    assert frame.pixels.shape[:2] == (SIZE if degrees == 180 else SIZE[::-1])
    assert frame.pixels[corner].min() > 200
    assert video_info(path).size == frame.pixels.shape[:2]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"every": 0}, "every must be at least 1. Got 0"),
        ({"fps": 0}, "fps must be above 0. Got 0"),
        ({"fps": 1, "every": 2}, "either every or fps"),
    ],
)
def test_wrong_arguments_say_so(options: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=words):
        read_frames(clip(tmp_path / "a.mp4", steps(2)), **options)


def audio_only(path: Path) -> Path:
    with av.open(str(path), "w") as out:
        stream = out.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 44100, 0
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def test_what_is_no_video(tmp_path: Path) -> None:
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "page.mp4").write_text("<html>" * 100)
    (tmp_path / "list.mp4").write_text("#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n")
    (tmp_path / "more.mp4").write_text("ffconcat version 1.0\nfile /etc/passwd\n")
    (tmp_path / "loop.mp4").symlink_to("loop.mp4")
    audio_only(tmp_path / "sound.mp4")
    kinds = {}
    for name in ("folder", "empty", "page", "list", "more", "loop", "sound", "none"):
        with pytest.raises(InputError) as said:
            list(read_frames(tmp_path / f"{name}.mp4"))
        kinds[name] = said.value.kind
    assert kinds == {
        "folder": "wrong-type",
        "empty": "empty",
        "page": "corrupt",
        "list": "corrupt",
        "more": "unsupported",
        "loop": "not-found",
        "sound": "unsupported",
        "none": "not-found",
    }
    with pytest.raises(InputError, match="not-found|existing file"):
        list(read_frames("http://127.0.0.1:9/a.mp4"))


def test_frames_before_a_fault_are_kept(tmp_path: Path) -> None:
    whole = tmp_path / "whole.mkv"
    with av.open(str(whole), "w") as out:
        stream = out.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        rng = np.random.default_rng(0)
        for _ in range(50):
            out.mux(
                stream.encode(av.VideoFrame.from_ndarray(rng.integers(0, 256, (64, 96, 3), np.uint8), format="rgb24"))
            )
        out.mux(stream.encode(None))
    data = whole.read_bytes()
    assert len(list(read_frames(whole))) == 50
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(data[: len(data) // 2])
    frames: list[Any] = []
    with pytest.raises(InputError, match="cut off|damaged") as said:
        frames.extend(read_frames(cut))
    assert said.value.kind == "corrupt"
    assert 15 < len(frames) < 35


def faststart(path: Path) -> Path:
    """An MP4 with its index in front, as the web serves them."""
    with av.open(str(path), "w", format="mp4", options={"movflags": "faststart"}) as out:
        stream = out.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        rng = np.random.default_rng(0)
        for _ in range(60):
            out.mux(
                stream.encode(av.VideoFrame.from_ndarray(rng.integers(0, 256, (64, 96, 3), np.uint8), format="rgb24"))
            )
        out.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("tenth", range(1, 10))
def test_a_video_cut_at_every_tenth(tenth: int, tmp_path: Path) -> None:
    path = faststart(tmp_path / "a.mp4")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * tenth // 10])
    given = 0
    with pytest.raises(InputError) as said:  # noqa: PT012 - the frames before the fault are counted
        for _ in read_frames(path):
            given += 1
    assert said.value.kind == "corrupt"
    assert abs(given - 6 * tenth) <= 9


@pytest.mark.parametrize("seed", range(12))
def test_fuzzed_bytes_end_in_frames_or_a_typed_fault(seed: int, tmp_path: Path) -> None:
    path = faststart(tmp_path / "a.mp4")
    data = bytearray(path.read_bytes())
    rng = np.random.default_rng(seed)
    for at in rng.integers(32, len(data), 40 if seed % 2 else 400):
        data[at] = rng.integers(0, 256)
    path.write_bytes(bytes(data))
    given = 0
    try:
        for frame in itertools.islice(read_frames(path, max_pixels=10**6), 500):
            assert frame.pixels.dtype == np.uint8
            given += 1
    except InputError as error:
        assert error.kind in ("corrupt", "too-large", "unsupported")  # noqa: PT017 - a fault is one of two good ends
    assert given <= 70


def test_a_frame_beyond_the_bound_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at most 100 pixels. .* has 96 x 64") as said:
        list(read_frames(clip(tmp_path / "a.mp4", steps(2)), max_pixels=100))
    assert said.value.kind == "too-large"


def test_only_a_few_frames_are_decoded_ahead(tmp_path: Path) -> None:
    path = clip(tmp_path / "a.mp4", steps(200))
    taken: list[int] = []

    def grey(pixels: np.ndarray[Any, Any]) -> float:
        taken.append(1)
        return float(pixels[30:, 30:].mean())

    predictor: Any = Pipeline(
        fake_card(), grey, lambda batch: batch, lambda raw, _: answer(raw), batch_size=1, threads=2
    )
    results = video_results(predictor, path)
    first = [next(results) for _ in range(3)]
    assert [item.frame for item in first] == [0, 1, 2]
    assert sum(taken) < 20
    results.close()


def answer(value: float) -> Classification:
    return Classification((f"grey {round(value / 5)}",), np.float32([0.5]), np.int32([1]))


def grey_predictor() -> Any:
    read = lambda item: float(load(item)[30:, 30:].mean())  # noqa: E731
    return Pipeline(fake_card(), read, lambda batch: batch, lambda raw, _: answer(raw))


def test_results_carry_frame_and_time_and_a_cut_ends_in_a_failure(tmp_path: Path) -> None:
    path = clip(tmp_path / "a.mp4", steps(20))
    results = list(video_results(grey_predictor(), path, every=4))
    assert [item.frame for item in results] == [0, 4, 8, 12, 16]
    assert [item.time for item in results] == pytest.approx([0, 0.4, 0.8, 1.2, 1.6], abs=1e-4)
    assert [item.result.labels[0] for item in results] == [f"grey {n}" for n in (0, 4, 8, 12, 16)]  # type: ignore[attr-defined]
    cut = faststart(tmp_path / "cut.mp4")
    data = cut.read_bytes()
    cut.write_bytes(data[: len(data) // 2])
    *good, last = video_results(grey_predictor(), cut)
    assert 20 < len(good) < 40
    assert isinstance(last.result, Failure)
    assert (last.result.kind, last.frame) == ("corrupt", len(good))


def test_annotated_videos_keep_their_times(tmp_path: Path) -> None:
    times = [0.0, 0.1, 0.5, 2.0]
    path = clip(tmp_path / "a.mov.mp4", times)
    list(video_results(grey_predictor(), path, annotated=tmp_path / "out"))
    frames = list(read_frames(tmp_path / "out" / "a.mov.mp4"))
    assert [frame.time for frame in frames] == pytest.approx(times, abs=1e-4)
    assert np.abs(frames[0].pixels.astype(int) - shade(0)).max() > 100
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.mov.mp4"]


def test_a_broken_off_video_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), VideoWriter(tmp_path / "a.mp4") as writer:  # noqa: PT012
        writer.add(0.0, shade(0))
        raise RuntimeError
    assert not list(tmp_path.iterdir())


def test_odd_sizes_are_written_without_the_last_line(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "a.mp4") as writer:
        writer.add(0.0, np.zeros((63, 95, 3), np.uint8))
        writer.add(0.1, np.zeros((200, 300, 3), np.uint8))
    assert [frame.pixels.shape for frame in read_frames(tmp_path / "a.mp4")] == [(62, 94, 3)] * 2


def test_without_the_extra_the_command_to_install_it_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = clip(tmp_path / "a.mp4", steps(2))
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'triptych\[video\]'"):
        read_frames(path)


def run(*arguments: str) -> tuple[int, list[dict[str, Any]], str]:
    done = CliRunner().invoke(triptych, list(arguments), standalone_mode=False)
    if done.exception:
        raise done.exception
    return done.return_value, [json.loads(line) for line in done.stdout.splitlines()], done.stderr


@pytest.mark.weights
def test_the_command_gives_a_line_a_frame_and_draws(tmp_path: Path) -> None:
    from sklearn.datasets import load_sample_image

    flower = tmp_path / "flower.jpg"
    Image.fromarray(load_sample_image("flower.jpg")).save(flower)
    with VideoWriter(tmp_path / "flower.mp4") as writer:
        for time in steps(6):
            writer.add(time, load_sample_image("flower.jpg"))
    (tmp_path / "bad.mp4").write_bytes(b"x" * 100)
    out = tmp_path / "out"
    files = [str(flower), str(tmp_path / "flower.mp4"), str(tmp_path / "bad.mp4"), str(flower)]
    code, rows, said = run("predict", "vision.classification", *files, "--fps", "5", "--annotated", str(out))
    assert code == 1
    assert [(row["input"][-10:], row.get("frame"), row.get("time"), row["ok"]) for row in rows] == [
        ("flower.jpg", None, None, True),
        ("flower.mp4", 0, 0.0, True),
        ("flower.mp4", 2, 0.2, True),
        ("flower.mp4", 4, 0.4, True),
        (str(tmp_path / "bad.mp4")[-10:], None, None, False),
        ("flower.jpg", None, None, True),
    ]
    assert {row["result"]["labels"][0] for row in rows if row["ok"]} == {"daisy"}
    assert rows[4]["error"]["kind"] == "corrupt"
    assert "1 of 6 inputs failed" in said
    assert sorted(path.name for path in out.iterdir()) == ["flower-2.jpg", "flower.jpg", "flower.mp4"]
    assert len(list(read_frames(out / "flower.mp4"))) == 3
    with Image.open(out / "flower.jpg") as picture:
        assert picture.size == (640, 427)
