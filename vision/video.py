"""Videos frame by frame with their true times, in flat memory, and what a predictor answers for each frame.

Reading is FFmpeg's, through PyAV (the extra ``video``). Only files are opened, only by demuxers that read
one file, and no address in a playlist is followed. What cannot be used is an :class:`~shared.errors.InputError` of kind
``not-found``, ``wrong-type``, ``empty``, ``unsupported`` (no video, or a kind that is not read), ``too-large`` or
``corrupt``; the frames before the fault have been given by then.
"""

from __future__ import annotations

import os
import stat
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from PIL import Image

from shared.errors import InputError, UsageError
from shared.lazy import require
from shared.predictor import Predictor
from shared.tasks import Option, TimedResult
from shared.types import Failure, UInt8
from vision.images import MAX_PIXELS

EXTRA = "video"
OPTIONS = (
    Option("every", int, None, "of a video every so-manyth frame, at least 1"),
    Option("fps", float, None, "of a video so many frames a second at most, above 0"),
)
"""What the command offers for videos."""
_DEMUXERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,mpegvideo,flv,ogg,asf,m4v,h264,hevc,ivf,wtv,dv,mxf,gif"
)
_MISSING = 0.02
"""Share of its frames that a video may lack before it counts as cut off."""


@dataclass(frozen=True)
class VideoInfo:
    """What a video's header says.

    Attributes:
        size: height and width of the upright frames in pixels.
        fps: mean frames a second; ``None`` where it is not said.
        seconds: duration; ``None`` where it is not said.
        frames: number of frames; ``None`` where it is not said.
        codec: name of the codec.
    """

    size: tuple[int, int]
    fps: float | None
    seconds: float | None
    frames: int | None
    codec: str


@dataclass(frozen=True)
class Frame:
    """One frame.

    Attributes:
        index: its number among all frames of the video, from 0.
        time: when it is shown, in seconds from the video's start.
        pixels: shape (height, width, 3), uint8, RGB, upright.
    """

    index: int
    time: float
    pixels: UInt8


def video_info(path: str | os.PathLike[str]) -> VideoInfo:
    """What a video's header says; one frame is decoded, for its orientation.

    Raises:
        InputError: the file cannot be used; the kinds stand at the top of this module.
        MissingDependencyError: the extra ``video`` is not installed.
    """
    with closing(_open(path)) as container:
        stream = container.streams.video[0]
        seconds = _seconds(container, stream)
        fps = float(stream.average_rate) if stream.average_rate else None
        codec, count = stream.codec_context.name, stream.frames or None
    with closing(read_frames(path)) as frames:
        first = next(frames, None)
    if first is None:
        raise InputError("corrupt", f"{path} must hold at least one frame. None can be decoded")
    return VideoInfo((first.pixels.shape[0], first.pixels.shape[1]), fps, seconds, count, codec)


def read_frames(
    path: str | os.PathLike[str], *, every: int | None = None, fps: float | None = None, max_pixels: int = MAX_PIXELS
) -> Generator[Frame, None, None]:
    """The frames of a video file, one in memory at a time.

    Args:
        path: the file.
        every: only each so-manyth frame, the first one first.
        fps: only so many frames a second at most: the first frame at or after each step of ``1 / fps`` seconds, so that
            the steps stay even where the video's own frames do not.
        max_pixels: largest width times height of a frame.

    Yields:
        Frames in order of their times, turned upright as the file says.

    Raises:
        UsageError: ``every`` is below 1, ``fps`` is not above 0, or both are given.
        InputError: the file cannot be used; or, after its last good frame, it is damaged or cut off.
        MissingDependencyError: the extra ``video`` is not installed.
    """
    if every is not None and fps is not None:
        raise UsageError("either every or fps may be given. Got both")
    if every is not None and every < 1:
        raise UsageError(f"every must be at least 1. Got {every} instead")
    if fps is not None and not fps > 0:
        raise UsageError(f"fps must be above 0. Got {fps} instead")
    return _frames(path, _open(path), every, fps, max_pixels)


def video_results(
    predictor: Predictor[Any, Any],
    path: str | os.PathLike[str],
    *,
    every: int | None = None,
    fps: float | None = None,
    annotated: Path | None = None,
    refine: Callable[[Iterator[TimedResult]], Iterator[TimedResult]] = lambda results: results,
) -> Generator[TimedResult, None, None]:
    """What a predictor answers for each frame of a video, as the answers come.

    Args:
        predictor: of any task that takes pictures.
        path: the file.
        every: as in :func:`read_frames`.
        fps: as in :func:`read_frames`.
        annotated: a folder for an MP4 of the frames with their answers drawn, named as the video.
        refine: what is done to the stream of results before they are drawn and given, such as
            :func:`vision.tracking.track`.

    Yields:
        One result a frame. Where the video is damaged or cut off, the last one is a
        :class:`~shared.types.Failure` in the place of the frame that cannot be had.
    """
    frames = read_frames(path, every=every, fps=fps)
    waiting: deque[Frame] = deque()
    fault: list[InputError] = []

    def given() -> Iterator[UInt8]:
        try:
            for frame in frames:
                waiting.append(frame)
                yield frame.pixels
        except InputError as error:
            fault.append(error)

    shown: deque[UInt8] = deque()

    def answers() -> Iterator[TimedResult]:
        last = Frame(-1, 0.0, np.zeros((0, 0, 3), np.uint8))
        for result in predictor.stream(given()):
            last = waiting.popleft()
            shown.append(last.pixels)
            yield TimedResult(last.index, last.time, result)
        if fault:
            said = Failure(last.index + 1, fault[0].kind, str(fault[0]))
            yield TimedResult(last.index + 1, last.time, said)

    with closing(frames):
        results = refine(answers())
        if annotated is None:
            for result in results:
                shown.clear()
                yield result
        else:
            yield from _drawn(results, shown, annotated / f"{Path(path).stem}.mp4")


def _drawn(results: Iterator[TimedResult], shown: deque[UInt8], file: Path) -> Iterator[TimedResult]:
    # Drawing and writing are loaded only where they are asked for.
    from vision.annotate import draw_result  # noqa: PLC0415
    from vision.video_writer import VideoWriter  # noqa: PLC0415

    with VideoWriter(file) as writer:
        for result in results:
            if shown:
                pixels = shown.popleft()
                known = not isinstance(result.result, Failure)
                picture = draw_result(pixels, result.result) if known else Image.fromarray(pixels)
                writer.add(result.time, np.asarray(picture))
            yield result


def _open(path: str | os.PathLike[str]) -> Any:
    """The opened container, which holds a video stream of a bearable size."""
    av = require("av", extra=EXTRA)
    name = os.fspath(path)
    try:
        found = os.stat(name)
    except (OSError, ValueError):
        raise InputError("not-found", f"a video must be an existing file. Nothing stands at {name!r}") from None
    if not stat.S_ISREG(found.st_mode):
        raise InputError("wrong-type", f"a video must be a plain file. {name} is none")
    if not found.st_size:
        raise InputError("empty", f"a video must have content. {name} has 0 bytes")
    bounds = {"protocol_whitelist": "file", "format_whitelist": _DEMUXERS}
    try:
        container = av.open("file:" + os.path.abspath(name), options=bounds)
    except (av.error.FFmpegError, ValueError, OSError) as error:
        kind = "unsupported" if isinstance(error, av.error.ArgumentError | av.error.DemuxerNotFoundError) else "corrupt"
        raise InputError(kind, f"{name} must be a video that can be opened. {_said(error)}") from error
    if not container.streams.video:
        container.close()
        raise InputError("unsupported", f"a video must have a picture track. {name} has none")
    return container


def _frames(
    path: str | os.PathLike[str], container: Any, every: int | None, fps: float | None, max_pixels: int
) -> Generator[Frame, None, None]:
    with closing(container):
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        rate = stream.average_rate
        start = stream.start_time or 0
        step, count, last = 0, 0, 0.0
        faults: list[str] = []
        for frame in _decoded(container, stream, faults):
            if frame.width * frame.height > max_pixels:
                raise InputError(
                    "too-large",
                    f"a frame must have at most {max_pixels:,} pixels. {path} has {frame.width} x {frame.height}",
                )
            if frame.pts is not None:
                last = float((frame.pts - start) * frame.time_base)
            elif rate:
                last = count / float(rate)
            wanted = last * fps >= step - 1e-6 if fps else every is None or count % every == 0
            if wanted:
                step = max(step + 1, int(last * fps + 1e-6) + 1) if fps else 0
                yield Frame(count, last, _upright(frame))
            count += 1
        _check_whole(path, container, count=count, last=last, faults=faults)


def _decoded(container: Any, stream: Any, faults: list[str]) -> Iterator[Any]:
    """Decoded frames; a packet that cannot be decoded is left out and noted, and a stream that breaks off ends."""
    av = require("av", extra=EXTRA)
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except (av.error.FFmpegError, OSError, ValueError) as error:
            faults.append(_said(error))
            return
        try:
            frames: Iterable[Any] = packet.decode()
        except (av.error.FFmpegError, OSError, ValueError) as error:
            faults.append(_said(error))
            continue
        yield from frames


def _check_whole(path: str | os.PathLike[str], container: Any, *, count: int, last: float, faults: list[str]) -> None:
    stream = container.streams.video[0]
    if faults:
        raise InputError(
            "corrupt",
            f"{path} is damaged: {len(faults)} of its packets cannot be decoded ({faults[0]}). {count} frames were "
            "read",
        )
    if stream.frames and count < stream.frames - max(2, _MISSING * stream.frames):
        raise InputError("corrupt", f"{path} is cut off: {count} of its {stream.frames} frames were read")
    seconds = _seconds(container, stream)
    if seconds is not None and last < seconds * (1 - _MISSING) - 0.5:
        raise InputError("corrupt", f"{path} is cut off: its frames end at {last:.1f} s of {seconds:.1f} s")
    if not count:
        raise InputError("corrupt", f"{path} must hold at least one frame. None can be decoded")


def _seconds(container: Any, stream: Any) -> float | None:
    """Duration of the picture track as the header says it; the container's own counts only where it holds no other."""
    if stream.duration:
        return float(stream.duration * stream.time_base)
    hours, minutes, rest = (stream.metadata.get("DURATION", "") + "::").split(":")[:3]  # as Matroska writes it
    if hours.isdigit() and minutes.isdigit() and rest.replace(".", "", 1).isdigit():
        return int(hours) * 3600 + int(minutes) * 60 + float(rest)
    if container.duration and len(container.streams) == 1:
        return float(container.duration / 1e6)
    return None


def _upright(frame: Any) -> UInt8:
    pixels = cast(UInt8, frame.to_ndarray(format="rgb24"))
    turns = round(frame.rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(pixels, turns)) if turns else pixels


def _said(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error)
    return str(text).rstrip(".")
