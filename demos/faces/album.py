"""The tab that groups the faces of an album by person, without knowing anybody."""

from __future__ import annotations

import base64
import html
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image, ImageOps

from demos.archives import unpack
from demos.examples import CLASSIFY, FACES, pictures
from demos.faces.elsewhere import album_elsewhere
from demos.faces.seen import Seen, altered, copied, counted, rate_choice, see, several, threshold_at
from demos.models import Models
from demos.pages import KEPT_SECONDS, NO_ANSWER, plain_errors, refusal, says
from demos.pictures import Chosen, uploads_only, within
from demos.sharing import result_viewer, strip
from demos.tables import Cell, table
from shared.batch.sources import IMAGE_SUFFIXES, files_below
from shared.catalogue import ModelCard
from shared.errors import InputError, UsageError
from shared.types import Float32
from vision.faces.cluster import METHODS, cluster
from vision.faces.verify import DEFAULT_FAR
from vision.images import load_view

MOST_PICTURES = 50
MOST_FACES = 500
MIN_FACES = 2
"""Faces that make a group."""
_SHOWN = 24
"""Faces of one group that are shown."""
_SIDE, _LOOK = 80, 2048
_WAYS = {"dbscan": "Chains of alike faces (dbscan)", "hierarchical": "Groups alike on average (hierarchical)"}
_INVITATION = "Give some pictures, or a zip of them, and group the faces."


@dataclass(frozen=True)
class Album:
    """The faces of an album, kept so that another way of grouping asks no model again.

    Attributes:
        rows: a face each: ``input``, ``face`` within it, ``xyxy``, ``score``, ``quality``.
        crops: the faces cut out, as addresses that hold the picture itself.
        embeddings: shape (n, d), float32, each of unit length.
        left_out: pictures that show no face or cannot be used: name, kind of fault and why.
        pictures: how many were given.
        milliseconds: what they took.
    """

    rows: tuple[dict[str, Any], ...]
    crops: tuple[str, ...]
    embeddings: Float32
    left_out: tuple[tuple[str, str, str], ...]
    pictures: int
    milliseconds: float


def build(models: Models) -> None:
    """Lay the tab out."""
    card = models.faces.card
    with gr.Row():
        with gr.Column(scale=2, min_width=300):
            files = gr.File(
                label=f"Pictures, at most {MOST_PICTURES}, or a zip of them",
                file_count="multiple",
                file_types=["image", ".zip"],
                height=150,
            )
            uploads_only(files, "a picture")
            method = gr.Radio(
                [(_WAYS[one], one) for one in METHODS],
                value=METHODS[0],
                label="Method",
                info="Averages join no two persons by a face that looks like both.",
            )
            far = rate_choice(card, "Of two faces. Choosing another asks the model nothing.")
            button = gr.Button("Group", variant="primary")
            example = _example_button()
        with gr.Column(scale=3, min_width=300):
            answer = says(_INVITATION)
            shown = gr.HTML(label="Groups", js_on_load=None, apply_default_css=False)
    result = result_viewer("Groups")
    kept = gr.State(None, time_to_live=KEPT_SECONDS)

    def group(
        files: list[dict[str, Any]] | None,
        method: str = METHODS[0],
        far: float = DEFAULT_FAR,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> tuple[Any, ...]:
        """The faces of several pictures, or of a zip of them, grouped by person; a bad picture costs no other one."""
        _check(card, method, far)
        given = several(files, MOST_PICTURES, "files")
        if not given:
            raise refusal("give pictures with people in them, or a zip of such pictures")
        with tempfile.TemporaryDirectory(prefix="triptych-faces-") as folder:
            found, bad = gather(given, Path(folder))
            if len(found) > MOST_PICTURES:
                raise refusal(f"an album must have at most {MOST_PICTURES} pictures here. Got {len(found)}")
            seen, milliseconds = see(models, found, progress)
            album = album_of(seen, bad, milliseconds)
        return *_told(card, album, method, far), album

    def again(album: Album | None, method: str, far: float) -> Any:
        return [gr.skip()] * 3 if album is None else _told(card, album, method, far)

    outputs = [result, answer, shown, kept]
    once: dict[str, Any] = {"preprocess": False, "concurrency_limit": 1, "concurrency_id": "album"}
    asked = [button.click(group, [files, method, far], outputs, api_name="faces_album", **once)]
    if example is not None:
        made = example.click(_example, outputs=files, api_visibility="private")
        asked.append(made.then(group, [files, method, far], outputs, api_visibility="private", **once))
    for event in asked:
        event.failure(lambda: (None, NO_ANSWER, "", None), outputs=outputs, api_visibility="private", queue=False)
    judged = [
        control.input(again, [kept, method, far], outputs[:3], api_visibility="private", show_progress="hidden")
        for control in (method, far)
    ]
    strip([*asked, *judged], given=[files, method, far], result=result, write=album_elsewhere)


def gather(given: Sequence[Chosen], folder: Path) -> tuple[list[Chosen], list[tuple[str, str, str]]]:
    """The pictures among files, those inside of zips too; and of each zip that cannot be used name, fault and why.

    Args:
        given: pictures and zips.
        folder: an empty one, for what is unpacked.
    """
    found: list[Chosen] = []
    bad: list[tuple[str, str, str]] = []
    for at, one in enumerate(given):
        if Path(one.name).suffix.lower() != ".zip":
            found.append(one)
            continue
        place = folder / str(at)
        place.mkdir()
        archive = folder / f"{at}.zip"
        try:
            archive.symlink_to(one.path)
            unpack(archive, place)
            paths = [Path(path) for path in files_below(str(place), IMAGE_SUFFIXES)]
        except InputError as error:
            bad.append((one.name, error.kind, str(error).replace(archive.name, one.name)))
            continue
        except UsageError:
            bad.append((one.name, "bad-archive", f"{one.name} must hold pictures. It holds none"))
            continue
        top = Path(one.name).stem
        found += [Chosen(path, f"{top}/{path.relative_to(place).as_posix()}") for path in paths]
    return found, bad


def album_of(seen: Sequence[Seen], bad: Sequence[tuple[str, str, str]], milliseconds: float) -> Album:
    """The faces of pictures, cut out.

    Raises:
        gradio.Error: no picture can be used, or there are too many faces.
    """
    left_out = [*bad, *((one.given.name, one.kind or "no-face", one.problem()) for one in seen if one.problem())]
    if not any(one.faces is not None for one in seen):
        raise refusal(
            left_out[0][2]
            if len(left_out) == 1
            else f"none of these {len(left_out)} files can be used. {'. '.join(why for *_, why in left_out[:3])}"
        )
    shown = [one for one in seen if one.faces]
    total = sum(len(one.faces or ()) for one in shown)
    if total > MOST_FACES:
        raise refusal(f"an album must show at most {MOST_FACES} faces here. Got {total}")
    rows, crops, embeddings = [], [], []
    for one in shown:
        faces = one.faces
        if faces is None or faces.embeddings is None:
            continue
        boxes, scores, quality = faces.xyxy.tolist(), faces.scores.tolist(), faces.quality.tolist()
        for at, (box, score, good) in enumerate(zip(boxes, scores, quality)):
            rows.append({"input": one.given.name, "face": at, "xyxy": box, "score": score, "quality": good})
        crops += _cut_out(one.given, boxes)
        embeddings.append(faces.embeddings)
    vectors = np.concatenate(embeddings) if embeddings else np.empty((0, 1), np.float32)
    return Album(tuple(rows), tuple(crops), vectors, tuple(left_out), len(seen) + len(bad), milliseconds)


def groups_html(album: Album, numbers: Sequence[int]) -> str:
    """A list of faces for each person, largest first, and those that are alone; everything is escaped."""
    parts = []
    for number, size in sorted(Counter(numbers).items(), key=lambda pair: (pair[0] < 0, pair[0])):
        who = f"Person {number + 1}" if number >= 0 else "Alone"
        places = [at for at, own in enumerate(numbers) if own == number]
        items = "".join(_item(album.crops[at], album.rows[at]["input"], who) for at in places[:_SHOWN])
        more = f'<p class="soft">and {size - _SHOWN} more</p>' if size > _SHOWN else ""
        parts.append(
            f'<div class="facts cited" style="margin:0"><h3>{who} <span class="tag">{counted(size, "face")}</span></h3>'
            '<ul style="display:flex;flex-wrap:wrap;gap:0.7rem;list-style:none;margin:0;padding:0 0.9rem 0.9rem">'
            f"{items}</ul>{more}</div>"
        )
    rows = [[Cell(name), Cell(why)] for name, _, why in album.left_out]
    groups = (
        '<div style="display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,290px),1fr));gap:0.8rem;'
        f'margin-bottom:0.8rem">{"".join(parts)}</div>'
        if parts
        else ""
    )
    return groups + (table("Pictures without a face here", ["Picture", "Why"], rows) if rows else "")


def _item(crop: str, name: str, who: str) -> str:
    alt = html.escape(f"{who}, in {name}")
    return (
        f'<li style="width:{_SIDE}px;margin:0"><img src="{crop}" alt="{alt}" width="{_SIDE}" height="{_SIDE}" '
        'style="display:block;border-radius:8px;margin:0">'
        f'<span class="soft" style="font-size:var(--text-xs)" aria-hidden="true">{html.escape(name)}</span></li>'
    )


def _told(card: ModelCard, album: Album, method: str, far: float) -> tuple[dict[str, Any], str, str]:
    """JSON, line and groups of an album, grouped in a way at a rate."""
    threshold = _check(card, method, far)
    with plain_errors():
        found = cluster(album.embeddings, threshold=threshold, method=method, min_faces=MIN_FACES)  # type: ignore[arg-type]
    numbers = found.tolist()
    groups, alone = len(set(numbers) - {-1}), numbers.count(-1)
    persons = {0: "No two faces are one person's", 1: "1 person"}.get(groups, f"{groups} persons")
    rest = f"{alone} alone" if alone else "none alone"
    line = (
        f"**{persons}** among {counted(len(numbers), 'face')} of {counted(album.pictures, 'picture')}, {rest} · "
        f"{album.milliseconds:.0f} ms"
        if numbers
        else f"**No face found** in {counted(album.pictures, 'picture')} · {album.milliseconds:.0f} ms"
    )
    told = {
        "threshold": threshold,
        "far": far,
        "method": method,
        "groups": groups,
        "faces": [row | {"cluster": number} for row, number in zip(album.rows, numbers)],
        "left_out": [{"input": name, "error": {"kind": kind, "message": why}} for name, kind, why in album.left_out],
    }
    return told, line, groups_html(album, numbers)


def _check(card: ModelCard, method: Any, far: Any) -> float:
    if method not in METHODS:
        raise refusal(f"the method must be one of {', '.join(METHODS)}. Got {method!r} instead")
    return threshold_at(card, far)


def _cut_out(given: Chosen, boxes: Sequence[Sequence[float]]) -> list[str]:
    """Each face with some room around it, square."""
    with plain_errors(given.plain):
        pixels, (_, width) = load_view(given.path, within(_LOOK))
    picture = Image.fromarray(pixels)
    scale = picture.width / width
    found = []
    for x1, y1, x2, y2 in boxes:
        half = 0.65 * scale * max(x2 - x1, y2 - y1, 1.0)
        across, down = scale * (x1 + x2) / 2, scale * (y1 + y2) / 2
        low = max(0, int(across - half)), max(0, int(down - half))
        high = min(picture.width, round(across + half) + 1), min(picture.height, round(down + half) + 1)
        held = BytesIO()
        ImageOps.fit(picture.crop((*low, *high)), (_SIDE, _SIDE)).save(held, "JPEG", quality=80)
        found.append(f"data:image/jpeg;base64,{base64.b64encode(held.getvalue()).decode()}")
    return found


def _example() -> list[str]:
    """Pictures of faces on this machine, each mirrored too, and one that shows none."""
    found = pictures(FACES)
    return [*map(copied, found), *map(altered, found), *map(copied, pictures(CLASSIFY)[:1])]


def _example_button() -> gr.Button | None:
    if not pictures(FACES):
        return None
    return gr.Button("The examples, each mirrored and darker too", size="sm", elem_classes="small")
