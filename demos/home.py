"""The landing page: what there is to try, what is loaded, and where it came from."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version

import gradio as gr
from gradio.components import Navbar

from demos.models import Models
from demos.pages import Page
from demos.speed import RUNS, measured
from demos.tables import Cell, table
from shared.catalogue import ModelCard
from shared.settings import cpu_count, offline
from shared.settings import home as cache
from shared.weights import locate
from shared.weights.words import human

_LIBRARIES = ("triptych", "openvino", "onnxruntime", "numpy", "gradio")
_FROM = {
    "package": "comes with Triptych",
    "hf": "would be fetched from the model hub",
    "https": "would be fetched from its publisher",
    "http": "would be fetched from a server on this machine",
    "index": "would be fetched from the package index",
}


def build(models: Models, pages: Sequence[Page]) -> None:
    """Lay the page out in the Blocks that is open."""
    Navbar(main_page_name="Home")
    gr.Markdown(
        "# Triptych\n\nVision, language and recommendation with one way in. Everything runs on this machine: "
        "nothing that you upload leaves it, and uploads are deleted. A model opens at its first use, the detector "
        "once this page stands.",
        elem_classes="page-head",
    )
    gr.HTML(
        table("What to try", ["Page", "What it does"], [[_link(p), p.summary] for p in pages]),
        js_on_load=None,
        apply_default_css=False,
    )
    loaded = gr.HTML(_models(models, pages), js_on_load=None, apply_default_css=False)
    again = gr.Button("Look again at what is loaded", size="sm", elem_classes="small")
    measure = gr.Button("Measure speed on this machine", size="sm", elem_classes="small")
    speed = gr.HTML("", js_on_load=None, apply_default_css=False)
    gr.HTML(table("This machine", ["Fact", "Value"], _machine(models)), js_on_load=None, apply_default_css=False)
    for trigger in (None, again.click):  # None: when the page is opened
        gr.on(
            trigger,
            lambda: _models(models, pages),
            outputs=loaded,
            api_visibility="private",
            queue=False,
            show_progress="hidden",
        )

    def timed() -> Iterator[str]:
        rows: list[list[Cell | str]] = []
        for one in measured(models):
            taken = "—" if one.milliseconds is None else f"{one.milliseconds:.1f} ms"
            rows.append([one.job, Cell(one.model, soft=one.why), Cell(taken, tag="number")])
            yield table(f"Speed: one small input, median of {RUNS} after a first one", ["Page", "Model", "Takes"], rows)

    measure.click(timed, outputs=speed, api_visibility="private", concurrency_limit=1)


def _link(page: Page) -> Cell:
    return Cell(page.name, href=page.path)


def _models(models: Models, pages: Sequence[Page]) -> str:
    order = [page.name for page in pages]
    columns = ["Model", "Used for", "Licence", "Size", "Where", "Now"]
    further = models.further()
    shown: dict[bool, list[list[Cell | str]]] = {True: [], False: []}
    for model in sorted(models.all(), key=lambda model: order.index(model.job)):
        row = model_row(model.card, model.job, model.opened, model.built)
        shown[model.opened or model.card.name not in further].append([*row])
    told = table("What is loaded, and from where", columns, shown[True])
    if shown[False]:
        rest = table("Models to choose instead", columns, shown[False])
        told += f'<details class="more"><summary>{len(shown[False])} more to choose from</summary>{rest}</details>'
    return told


def model_row(card: ModelCard, job: str, opened: bool, built: str = "") -> list[Cell]:
    """What the page tells of one model.

    Args:
        card: what is known of it.
        job: the page that uses it.
        opened: whether it is in memory.
        built: how it comes to be where it has no files to fetch; else empty.
    """
    places = locate(card)
    wanted = [file for file in card.files if places[file.name] is None]
    if built:
        where = Cell("built here", soft=built)
    elif not wanted:
        folders = dict.fromkeys(str(path.parent) for path in places.values() if path is not None)
        where = Cell("on this machine", soft=", ".join(folders))
    elif offline():
        where = Cell("not here", soft="TRIPTYCH_OFFLINE forbids fetching it")
    else:
        first = [file.sources[0] for file in wanted if file.sources]
        where = Cell("; ".join(dict.fromkeys(_FROM[s.partition(":")[0]] for s in first)), soft=", ".join(first))
    waiting = "not available" if wanted and offline() else "opens at first use"
    return [
        Cell(card.name, soft=card.summary),
        Cell(job, tag="short"),
        Cell(card.licence, tag="short"),
        Cell(human(card.size) if card.files else "—", tag="number"),
        where,
        Cell("loaded", tag="tag yes") if opened else Cell(waiting, tag="tag"),
    ]


def _machine(models: Models) -> list[list[Cell]]:
    facts = [
        ("Processors", str(cpu_count())),
        ("System", f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"),
        ("Versions", ", ".join(f"{name} {_version(name)}" for name in _LIBRARIES)),
        ("Model cache", str(cache())),
        ("Memory", f"{models.pool.room.most >> 20:,} MiB for opened models; then those asked longest ago are let go"),
        ("Network", "not used: TRIPTYCH_OFFLINE is set" if offline() else "used to fetch a model once, never else"),
    ]
    return [[Cell(name), Cell(value)] for name, value in facts]


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
