"""The page of drift: make something change, and see which columns say so, at which rate of false alarms."""

from __future__ import annotations

import csv
import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from demos.drift.elsewhere import files_elsewhere, pictures_elsewhere, readers_elsewhere, texts_elsewhere
from demos.drift.files import MOST_FILES, PICTURES, read_both
from demos.drift.shown import line, table_of
from demos.drift.texts import TEXTS, TextWorld
from demos.drift.worlds import WINDOWS, Checked, PictureWorld, ReaderWorld, checked, example_paths
from demos.models import Models
from demos.opening import Model
from demos.pages import Page, head, plain_errors, refusal, says
from demos.pictures import uploads_only
from demos.sharing import result_viewer, strip
from shared.catalogue import ModelCard

PAGE = Page(
    "Drift", "drift", "Does what comes in still look like what the model was made for? Change it, and see what alarms."
)

_INVITATION = "Move a slider, or click an example."
_TEXT_EXAMPLES: dict[str, list[Any]] = {
    "Nothing changes": [next(iter(TEXTS)), 0, 200, 1, 1],
    "Every tenth is German": ["German", 10, 200, 1, 1],
    "A third are misspelt": ["Misspelt", 33, 200, 1, 1],
}
_PICTURE_EXAMPLES: dict[str, list[Any]] = {
    "Nothing changes": [100, 0, 0, 100, 1, 1],
    "Dusk": [70, 0, 0, 100, 1, 1],
    "Out of focus": [100, 1.5, 0, 100, 1, 1],
}
_READER_EXAMPLES: dict[str, list[Any]] = {"Nobody new": [0, 200, 1, 1], "A quarter are newcomers": [25, 200, 1, 1]}


def build(models: Models) -> None:
    """Lay the page out in the Blocks that is open."""
    head(
        PAGE,
        "A few hundred items are the reference, and each window is held against them, column by column. The rate is a "
        "promise: of windows in which nothing has changed, at most so many alarm. Uploads stay on this machine and are "
        "deleted.",
    )
    with gr.Tab("Texts"):
        _build_texts(models)
    with gr.Tab("Pictures"):
        _build_pictures(models)
    with gr.Tab("Readers"):
        _build_readers(models)
    with gr.Tab("Your own"):
        _build_own(models)


def _world(name: str, summary: str, make: Callable[[], Any]) -> Model[Any]:
    card = ModelCard(name, "monitoring", name, "numpy", "Apache-2.0", summary)
    return Model("Drift", card, make, built="made and answered at first use")


def _build_texts(models: Models) -> None:
    classifier = models.heads["Sentiment"].first
    world = _world("film-reviews", "made-up reviews", lambda: TextWorld.build(classifier.get(str)))

    def drift_texts(kind: str, share: float, size: float, rate: float, seed: float) -> tuple[Any, ...]:
        """Which columns of texts drift when a share (0..100) of another kind comes in; how accurate a classifier is.

        ``size`` is of the window, ``rate`` the percentage of false alarms. Returns the tests as JSON, with the accuracy
        that is estimated without labels and the true one, a line, and a table in HTML.
        """
        return _answer(lambda: world.get(gr.Info).check(kind, share / 100, **_asked(size, rate, seed)))

    def lay_out() -> list[Any]:
        kind = gr.Radio(list(TEXTS), value=next(iter(TEXTS)), label="What comes in")
        share = gr.Slider(
            0, 100, 0, step=1, label="Share of it, in percent", info="The rest are film reviews as before."
        )
        return [kind, share]

    _lay_out(lay_out, _TEXT_EXAMPLES, drift_texts, "drift_texts", texts_elsewhere, most=WINDOWS[1])


def _build_pictures(models: Models) -> None:
    world = _world(
        "cut-out-pictures",
        "parts of the example pictures",
        lambda: PictureWorld.build(example_paths(), models.classifiers.first.get(str)),
    )

    def drift_pictures(  # noqa: PLR0917 - the inputs of the page, in their order
        light: float, blur: float, noise: float, size: float, rate: float, seed: float
    ) -> tuple[Any, ...]:
        """Which columns of pictures drift when they come in dark (percent of light), blurred (pixels), noisy (0..255).

        ``size`` is of the window, ``rate`` the percentage of false alarms. Returns the tests as JSON, a line, and a
        table in HTML.
        """
        return _answer(lambda: world.get(gr.Info).check(light / 100, blur, noise, **_asked(size, rate, seed)))

    def lay_out() -> list[Any]:
        light = gr.Slider(10, 150, 100, step=1, label="Light, in percent", info="100 changes nothing.")
        blur = gr.Slider(0, 4, 0, step=0.1, label="Blur, in pixels")
        noise = gr.Slider(0, 40, 0, step=1, label="Noise, in steps of 255")
        return [light, blur, noise]

    _lay_out(lay_out, _PICTURE_EXAMPLES, drift_pictures, "drift_pictures", pictures_elsewhere, most=100)


def _build_readers(models: Models) -> None:
    recommender = models.recommenders["EASE"]
    world = _world(
        "readers-and-newcomers",
        "simulated readers",
        lambda: ReaderWorld.build(recommender.get(str)),
    )

    def drift_readers(share: float, size: float, rate: float, seed: float) -> tuple[Any, ...]:
        """Which columns of requests for recommendations drift when a share (0..100) of readers read what few others do.

        ``size`` is of the window, ``rate`` the percentage of false alarms. Returns the tests as JSON, a line, and a
        table in HTML.
        """
        return _answer(lambda: world.get(gr.Info).check(share / 100, **_asked(size, rate, seed)))

    def lay_out() -> list[Any]:
        return [
            gr.Slider(0, 100, 0, step=1, label="Newcomers, in percent", info="They read the rarer half of the books.")
        ]

    _lay_out(lay_out, _READER_EXAMPLES, drift_readers, "drift_readers", readers_elsewhere, most=WINDOWS[1])


def _lay_out(
    controls: Callable[[], list[Any]],
    examples: Mapping[str, list[Any]],
    check: Callable[..., tuple[Any, ...]],
    name: str,
    write: Callable[..., Any],
    *,
    most: int,
) -> None:
    """A tab: what changes the window, the window's size, the rate and a seed; what is found; the strip."""
    with gr.Row():
        with gr.Column(scale=2, min_width=300):
            given = controls()
            given += [
                gr.Slider(WINDOWS[0], most, most, step=10, label="Items of the window"),
                _rate(),
                gr.Number(1, label="Seed", info="Another one is another window.", precision=0, minimum=0),
            ]
            shown_examples = gr.Examples(
                list(examples.values()), given, label="Or begin with", example_labels=list(examples),
                cache_examples=False, api_visibility="private",
            )  # fmt: skip
            button = gr.Button("Check the window", variant="primary")
        with gr.Column(scale=3, min_width=300):
            answer, found = says(_INVITATION), gr.HTML(label="Columns", js_on_load=None, apply_default_css=False)
    result = result_viewer("Drift")
    shown = [result, answer, found]
    events = [
        button.click(check, given, shown, api_name=name),
        gr.on([one.input for one in given], check, given, shown, api_visibility="private", trigger_mode="always_last"),
        shown_examples.load_input_event.then(check, given, shown, api_visibility="private"),
    ]
    _refused(events, shown)
    strip(events, given=given, result=result, write=write)


def _build_own(models: Models) -> None:
    with gr.Row():
        with gr.Column(scale=2, min_width=300):
            gr.Markdown(
                f"One CSV table a side, or up to {MOST_FILES} texts, or as many pictures. Of a table those columns are "
                "tested that both sides have: numbers, words that come back, and texts.",
                elem_classes="note",
            )
            kinds = [".csv", ".txt", ".md", *sorted(PICTURES)]
            sides = [
                gr.File(label=label, file_count="multiple", file_types=kinds, type="filepath", height=140)
                for label in ("Reference", "Window")
            ]
            for side in sides:
                uploads_only(side, "a file")
            rate = _rate()
            made = gr.Button("Use a made-up example", size="sm", elem_classes="small")
            button = gr.Button("Check the window", variant="primary")
        with gr.Column(scale=3, min_width=300):
            answer = says("Upload both sides, or use the example.")
            found = gr.HTML(label="Columns", js_on_load=None, apply_default_css=False)
    result = result_viewer("Drift")

    def drift_files(reference: list[str] | None, window: list[str] | None, rate: float) -> tuple[Any, ...]:
        """Which columns of a window drifted against a reference: a CSV table each, or texts, or pictures.

        ``rate`` is the percentage of false alarms. Returns the tests as JSON, a line, and a table in HTML.
        """
        if not reference or not window:
            raise refusal("upload a reference and a window: a CSV table each, or texts, or pictures")
        notes: list[str] = []

        def found() -> Checked:
            one, other, note = read_both(reference, window, lambda: models.classifiers.first.get(gr.Info))
            notes.append(note)
            return checked(one, other, rate=rate / 100, seed=0)

        told, said, shown = _answer(found, _named([*reference, *window]))
        return told, f"{said}. {notes[0]}" if notes[0] else said, shown

    given, shown = [*sides, rate], [result, answer, found]
    events = [
        button.click(drift_files, given, shown, api_name="drift_files"),
        made.click(_example, outputs=sides, api_visibility="private").then(
            drift_files, given, shown, api_visibility="private"
        ),
    ]
    _refused(events, shown)
    strip(events, given=given, result=result, write=files_elsewhere)


def _rate() -> gr.Slider:
    return gr.Slider(
        0.1, 10, 1, step=0.1, label="False alarms, in percent", info="Of windows in which nothing has changed."
    )


def _refused(events: Sequence[Any], shown: list[Any]) -> None:
    for event in events:
        event.failure(
            lambda: (None, "No answer to this window: the message says why.", ""),
            outputs=shown,
            api_visibility="private",
            queue=False,
        )


def _named(paths: Sequence[str]) -> Callable[[str], str]:
    """Turns the server's names of files into the visitor's."""

    def plain(message: str) -> str:
        for path in paths:
            message = message.replace(path, Path(path).name)
        return message

    return plain


def _asked(size: float, rate: float, seed: float | None) -> dict[str, Any]:
    if seed is None:
        raise refusal("the seed must be a number. Got nothing")
    return {"size": int(size), "rate": rate / 100, "seed": int(seed)}


def _answer(check: Callable[[], Checked], plain: Callable[[str], str] = str) -> tuple[dict[str, Any], str, str]:
    """The tests as JSON, what is said of them, and their table."""
    with plain_errors(plain):
        begun = time.perf_counter()
        found = check()
        taken = (time.perf_counter() - begun) * 1000
    return found.to_json(), f"{line(found)} · {taken:.0f} ms", table_of(found)


def _example() -> tuple[list[str], list[str]]:
    """A made-up shop: its orders of last month and of this week, in which the phone's share and the basket grew."""
    rng = np.random.default_rng(0)
    # The server's own folder for uploads, which goes when it stops.
    folder = Path(tempfile.mkdtemp(dir=os.environ.get("GRADIO_TEMP_DIR")))
    for name, n, basket, phones in (("last-month.csv", 1000, 30, 0.4), ("this-week.csv", 300, 42, 0.6)):
        with (folder / name).open("w", encoding="utf-8", newline="") as stream:
            rows = csv.writer(stream)
            rows.writerow(["basket", "minutes", "device"])
            baskets, minutes = rng.gamma(3, basket / 3, n).round(2), rng.gamma(2, 4, n).round(1)
            devices = np.where(rng.random(n) < phones, "phone", "desk")
            rows.writerows(zip(baskets.tolist(), minutes.tolist(), devices.tolist()))
    return [str(folder / "last-month.csv")], [str(folder / "this-week.csv")]
