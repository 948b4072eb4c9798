"""``triptych faces``: galleries of known persons, verification, clusters and thresholds."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import click

from shared.batch.sources import expand
from shared.errors import InputError, PredictError
from shared.tasks import find_task
from shared.types import Failure

TASK = "vision.faces"
F = TypeVar("F", bound=Callable[..., Any])


@click.group("faces")
def command() -> None:
    """Enrol persons, recognise them, compare two pictures, group faces, and forget persons.

    A GALLERY is a folder that "enroll" makes. It holds ids and embeddings, no pictures; "forget" removes both from its
    files. INPUT is a file, a folder or a quoted glob. Each command prints JSON, one object a line.

    Faces are personal data in most countries' law: read docs/faces.md before you enrol anybody.
    """


def _model(function: F) -> F:
    """The options that open a recognizer."""
    for option in reversed(
        [
            click.option("--model", help="catalogue name or model folder of the embedder; SFace when not given"),
            click.option("--detector", help="catalogue name or model folder of the detector"),
            click.option("--device", default="auto", show_default=True, help="auto, cpu or gpu"),
            click.option("--threads", type=int, help="processor threads; all when not given"),
            click.option("--detection-size", type=int, help="longer side of what the detector looks at, in pixels"),
        ]
    ):
        function = option(function)
    return function


def _judging(function: F) -> F:
    """The options that say when two faces are one person's."""
    function = click.option("--threshold", type=float, help="similarity in the place of the model's own, in [-1, 1]")(
        function
    )
    return click.option(
        "--far", type=float, default=0.001, show_default=True, help="false-accept rate of the model's own threshold"
    )(function)


@command.command("enroll", short_help="add persons to a gallery")
@click.argument("gallery", type=click.Path(path_type=Path))
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@click.option("--person", help="whose pictures these are; the name of each picture's folder when not given")
@click.option("--min-quality", type=float, default=0.0, show_default=True, help="least quality of a face, in [0, 1]")
@_model
def enroll(gallery: Path, inputs: tuple[str, ...], *, person: str | None, min_quality: float, **options: Any) -> int:
    """Add the main face of each picture to GALLERY; each is on the disk before the next line is printed.

    A picture without a face, or with a face below the quality, adds nothing and says so. One that its person has
    already is not added twice, so a run that was cut short may be run again.
    """
    recognizer = _open(options)
    said: Counter[str] = Counter()
    with recognizer.gallery(gallery) as kept:
        for path, faces in _streamed(recognizer, inputs, said):
            who = person or Path(path).resolve().parent.name
            at = faces.main
            row: dict[str, Any] = {"input": path, "ok": True, "person": who, "enrolled": False}
            if at is None:
                row["reason"] = "no face"
            elif float(faces.quality[at]) < min_quality:
                row["reason"] = f"quality {float(faces.quality[at]):.2f} is below {min_quality:g}"
            else:
                row["enrolled"] = bool(kept.enroll([who], faces.embeddings[at : at + 1]))
                row |= {"quality": float(faces.quality[at])} | ({} if row["enrolled"] else {"reason": "there already"})
            said[row.get("reason", "enrolled").split()[0]] += 1
            _say(row)
        total, people = len(kept), len(kept.people())
    click.echo(f"triptych: {gallery} holds {total} faces of {people} persons; {said['enrolled']} are new", err=True)
    return _code(said)


@command.command("identify", short_help="who is in these pictures")
@click.argument("gallery", type=click.Path(path_type=Path))
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@click.option("-k", "k", type=int, default=1, show_default=True, help="persons for each face at most, at least 1")
@_judging
@_model
def identify(
    gallery: Path, inputs: tuple[str, ...], *, k: int, far: float, threshold: float | None, **options: Any
) -> int:
    """Find every face of each picture in GALLERY. A face that nobody in it is alike enough to has no matches.

    The rate of --far is that of one comparison: among n persons a stranger is taken for somebody about n times as
    often, so choose a smaller one for a large gallery.
    """
    tool = find_task(TASK).tools["open_gallery"]
    tool(gallery).close()  # before any model is opened: a gallery that is not there is said at once
    recognizer = _open(options)
    least = recognizer.threshold(far=far) if threshold is None else threshold
    said: Counter[str] = Counter()
    with recognizer.gallery(gallery) as known:
        for path, faces in _streamed(recognizer, inputs, said):
            found = known.identify(faces.embeddings, k=k, threshold=least)
            rows = [
                {**_face(faces, at), "matches": [{"person": m.person, "similarity": m.similarity} for m in matches]}
                for at, matches in enumerate(found)
            ]
            _say({"input": path, "ok": True, "threshold": least, "faces": rows})
    return _code(said)


@command.command("verify", short_help="whether two pictures show one person")
@click.argument("first")
@click.argument("second")
@_judging
@_model
def verify(first: str, second: str, *, far: float, threshold: float | None, **options: Any) -> int:
    """Compare the main faces of two pictures. Ends with 1 where a picture shows no face."""
    recognizer = _open(options)
    row: dict[str, Any] = {"first": first, "second": second}
    try:
        answer = recognizer.verify(first, second, far=far, threshold=threshold)
    except PredictError as error:
        return _refuse(row, error.failures[0].kind, error.failures[0].message)
    except InputError as error:
        return _refuse(row, error.kind, str(error))
    _say(row | {"ok": True, "result": answer.to_json()})
    return 0


@command.command("cluster", short_help="group the faces of pictures by person")
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@click.option("--method", default="dbscan", show_default=True, help="dbscan or hierarchical")
@click.option("--min-faces", type=int, default=2, show_default=True, help="faces that make a group, at least 1")
@_judging
@_model
def cluster(
    inputs: tuple[str, ...], *, method: str, min_faces: int, far: float, threshold: float | None, **options: Any
) -> int:
    """Group all faces of all pictures. Groups are numbered from 0, the largest first; -1 is a face of its own."""
    recognizer = _open(options)
    least = recognizer.threshold(far=far) if threshold is None else threshold
    said: Counter[str] = Counter()
    rows: list[dict[str, Any]] = []
    embeddings: list[Any] = []
    for path, faces in _streamed(recognizer, inputs, said):
        rows += [{"input": path, "ok": True, "face": at, **_face(faces, at)} for at in range(len(faces))]
        embeddings += list(faces.embeddings)
    numbers = find_task(TASK).tools["cluster"](embeddings, threshold=least, method=method, min_faces=min_faces).tolist()
    for row, number in zip(rows, numbers):
        _say(row | {"cluster": number})
    click.echo(f"triptych: {len(rows)} faces in {len(set(numbers) - {-1})} groups at {least:.3f}", err=True)
    return _code(said)


@command.command("forget", short_help="remove persons from a gallery and its files")
@click.argument("gallery", type=click.Path(path_type=Path))
@click.argument("people", nargs=-1, required=True, metavar="PERSON...")
def forget(gallery: Path, people: tuple[str, ...]) -> int:
    """Remove persons with all their faces. When it ends, no file of GALLERY holds their ids or embeddings.

    Copies that you made of the folder, and what a file system or a disk keeps of overwritten blocks, are not reached.
    """
    with find_task(TASK).tools["open_gallery"](gallery) as kept:
        _say({"people": list(dict.fromkeys(people)), "faces": kept.forget(people)})
    return 0


@command.command("people", short_help="who is in a gallery")
@click.argument("gallery", type=click.Path(path_type=Path))
def people(gallery: Path) -> int:
    """List the persons of GALLERY and how many faces each has."""
    with find_task(TASK).tools["open_gallery"](gallery) as kept:
        for person, faces in kept.people().items():
            _say({"person": person, "faces": faces})
    return 0


@command.command("calibrate", short_help="measure thresholds on pictures of your own")
@click.argument("dataset", type=click.Path(path_type=Path, exists=True))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--far", "fars", type=float, multiple=True, default=(0.01, 0.001), show_default=True, help="several")
@click.option("--name", help="the calibrated model's name; the model's own when not given")
@_model
def calibrate(dataset: Path, out: Path, *, fars: tuple[float, ...], name: str | None, **options: Any) -> int:
    """Measure the model's threshold at each false-accept rate, and write the model with them into the folder OUT.

    DATASET is a CSV of pairs (img1,img2,same), or a folder of one folder of pictures a person. Use it with --model OUT.
    """
    recognizer = _open(options)
    _say(find_task(TASK).tools["calibrate"](recognizer, dataset, out, fars=fars, name=name))
    return 0


def _open(options: dict[str, Any]) -> Any:
    given = {name: value for name, value in options.items() if value is not None}
    return find_task(TASK).open(given.pop("model", None), embed=True, **given)


def _streamed(recognizer: Any, inputs: tuple[str, ...], said: Counter[str]) -> Iterator[tuple[str, Any]]:
    """Each picture's path and faces; a picture that cannot be used is printed and counted here."""
    shown, given = itertools.tee(path for text in inputs for path in expand(text))
    for path, faces in zip(shown, recognizer.stream(given)):
        if isinstance(faces, Failure):
            said["failed"] += _refuse({"input": path}, faces.kind, faces.message)
        else:
            yield path, faces


def _face(faces: Any, at: int) -> dict[str, Any]:
    return {
        "xyxy": faces.xyxy[at].tolist(),
        "score": float(faces.scores[at]),
        "quality": float(faces.quality[at]),
    }


def _say(row: dict[str, Any]) -> None:
    click.echo(json.dumps(row, ensure_ascii=False))


def _refuse(row: dict[str, Any], kind: str, message: str) -> int:
    _say(row | {"ok": False, "error": {"kind": kind, "message": message}})
    return 1


def _code(said: Counter[str]) -> int:
    if said["failed"]:
        click.echo(f"triptych: {said['failed']} inputs failed", err=True)
    return 1 if said["failed"] else 0
