"""What both halves of the page that compares share: the choice of models, data sets, and the request outside."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.events import Dependency

from demos.archives import inside
from demos.compare.judging import MOST_PICTURES, MOST_TEXTS, SEED, judge
from demos.compare.kinds import Bench, Kind
from demos.pages import ask, model_line, plain_errors, refusal, which
from demos.pictures import Chosen, chosen, uploads_only
from demos.sharing import Elsewhere, Upload, predict_command, python_command, upload

ONE, MANY = "one", "many"
"""What was asked last: an item, or a data set."""
_NO_SERVICE = "The service answers with one model at a time; see the pages of the tasks."
_SIDE_BY_SIDE = """import json

from shared.tasks import find_task

open_model = find_task({task!r}).open
for model in (
    {first},
    {second},
):
    print(json.dumps(model.predict([{item!r}])[0].to_json()))
"""
_UNPACK = """import zipfile

with zipfile.ZipFile({archive!r}) as held:
    held.extractall({folder!r})

"""
_ON_DATA = """import json
{imports}from pathlib import Path

import numpy as np

from shared.evaluation.compared_words import compared_json
from shared.evaluation.comparing import compare_evaluations
from shared.tasks import find_task

evaluate = find_task({task!r}).evaluate
first = {first}
second = {second}
print(json.dumps(compared_json(compare_evaluations(first, second, rng=np.random.default_rng({seed})))))
"""


def model_choice(bench: Bench) -> tuple[gr.Radio, gr.Dropdown, gr.Dropdown]:
    """Lay out what is compared, and the choice of two models, each with its licence and size."""
    names = list(bench.kinds)
    kind = gr.Radio(names, value=names[0], label="What to compare", visible=len(names) > 1)
    first, second = (
        gr.Dropdown(label=f"{order} model", **_choice(bench, names[0], at)) for at, order in enumerate(_WHICH)
    )
    told = which(*bench.cards(*bench.kinds[names[0]].models[:2]))
    for model in (first, second):
        model.change(
            lambda *names: model_line(*bench.cards(*filter(None, names))),
            [first, second],
            told,
            api_visibility="private",
            show_progress="hidden",
            queue=False,
            preprocess=False,
        )
    return kind, first, second


def picked(bench: Bench) -> Callable[[str], tuple[gr.Dropdown, gr.Dropdown]]:
    """What sets both choices when another kind is wanted."""

    def pick(kind: str) -> tuple[gr.Dropdown, gr.Dropdown]:
        return gr.Dropdown(**_choice(bench, kind, 0)), gr.Dropdown(**_choice(bench, kind, 1))

    return pick


def asked_both(
    bench: Bench, kind: Kind, names: Sequence[str], item: Any, given: Chosen | None = None
) -> tuple[dict[str, Any], str]:
    """Both answers by model, and what each took, in words.

    Raises:
        gradio.Error: a model cannot be had, or the item cannot be used.
    """
    plain = str if given is None else given.plain
    found = {name: ask(bench.model(kind, name), item, plain=plain) for name in names}
    took = ", ".join(f"{name} {milliseconds:.0f} ms" for name, (_, milliseconds) in found.items())
    return {name: answer for name, (answer, _) in found.items()}, took


def data_events(
    bench: Bench,
    file: gr.File,
    chose: list[Any],
    outputs: list[Any],
    *,
    buttons: tuple[gr.Button, gr.Button],
    sample: tuple[Callable[[], str], str],
    api_name: str,
    rest: Callable[[], tuple[Any, ...]] = tuple,
) -> list[Dependency]:
    """Compare on a data set that is uploaded, or on a sample.

    Args:
        bench: what is compared.
        file: where the data set is uploaded.
        chose: kind and both models.
        outputs: what is filled: result, line, table, what was asked, and the ``rest``.
        buttons: that ask about the file, and about the sample.
        sample: what makes the sample, and its kind.
        api_name: of the endpoint.
        rest: what is shown in the further outputs.
    """
    uploads_only(file, "a data set")
    make, of = sample

    def compare(
        file: dict[str, Any] | None,
        kind: str,
        first: str | None = None,
        second: str | None = None,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> tuple[Any, ...]:
        """Which of two models is better on labelled data, by how much and how surely; the kind's own two by default."""
        found, one, other = bench.pair(kind, first, second)
        given = chosen(file, "a data set")
        if given is None:
            raise refusal(f"upload {found.form} first, or use the sample")
        with plain_errors():
            told = judge(
                found, one, other, given.path, name=given.name, say=lambda step, what: progress((step, 3), desc=what)
            )
        return told.result, told.line, told.html, MANY, *rest()

    once: dict[str, Any] = {"preprocess": False, "concurrency_limit": 1, "concurrency_id": "compare"}
    made = buttons[1].click(lambda: (make(), of), outputs=[file, chose[0]], api_visibility="private")
    ready = made.then(picked(bench), chose[0], chose[1:], api_visibility="private")
    return [
        buttons[0].click(compare, [file, *chose], outputs, api_name=api_name, **once),
        ready.then(compare, [file, *chose], outputs, api_visibility="private", **once),
    ]


def written(
    bench: Bench, one: str, many: str, *, item: Callable[..., str] | None = None
) -> Callable[..., Elsewhere | None]:
    """What writes the request outside the page: of an item at one endpoint, of a data set at the other.

    Args:
        bench: what is compared.
        one: endpoint for an item.
        many: endpoint for a data set.
        item: makes one of what several boxes hold; ``None`` where one box holds it.
    """

    def write(*values: Any) -> Elsewhere | None:
        *boxes, file, mode, chosen_kind, first, second = values
        kind, *names = bench.pair(chosen_kind, first, second)
        given = [chosen_kind, *names]
        if mode == MANY:
            return data_elsewhere(kind, names, file, given, many)
        held = [part for part in (box if isinstance(box, str) else upload(box) for box in boxes) if part]
        if len(held) < len(boxes):
            return None
        return side_elsewhere(kind, names, held[0] if item is None else item(*held), [*held, *given], one)

    return write


def side_elsewhere(
    kind: Kind, names: Sequence[str], item: str | Upload, given: Sequence[Any], endpoint: str
) -> Elsewhere:
    """One input for both models, asked outside the page; ``given`` is what the endpoint takes."""
    plain = item.name if isinstance(item, Upload) else item
    first, second = (
        f'open_model({kind.catalogued(name)!r}, device="auto", threads=None{_options(kind, name)})' for name in names
    )
    return Elsewhere(
        _SIDE_BY_SIDE.format(first=first, second=second, task=kind.task, item=plain),
        "\n".join(predict_command(kind.task, item, model=kind.catalogued(name), **kind.how(name)) for name in names),
        endpoint,
        given,
        "",
        item,
        remark=_NO_SERVICE,
    )


def data_elsewhere(
    kind: Kind, names: Sequence[str], file: dict[str, Any] | None, given: Sequence[Any], endpoint: str
) -> Elsewhere | None:
    """A data set for both models, compared outside the page; a zip is unpacked there first."""
    item = upload(file)
    if file is None or item is None:
        return None
    dataset, before, unpacked, most = item.name, "", "", MOST_TEXTS
    if kind.task.startswith("vision."):
        folder = Path(item.name).stem
        dataset, most = str(Path(folder) / inside(Path(file["path"]))), MOST_PICTURES
        before = shlex.join(["python3", "-m", "zipfile", "-e", item.name, folder]) + "\n"
        unpacked = _UNPACK.format(archive=item.name, folder=folder)
    calls = {
        name: f"evaluate(Path({dataset!r}), model={kind.catalogued(name)!r}, limit={most}, seed={SEED}"
        f"{_options(kind, name)})"
        for name in names
    }
    first, second = (
        f"replace({calls[name]}, model={name!r})" if name in kind.settings else calls[name] for name in names
    )
    set_apart = bool(kind.settings.keys() & set(names))
    imports = "from dataclasses import replace\n" if set_apart else ""
    code = unpacked + _ON_DATA.format(imports=imports, task=kind.task, first=first, second=second, seed=SEED)
    words = ["triptych", "compare", kind.task, "--models", *names, "--json", "--limit", str(most)]
    words += [word for name, value in kind.options.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    told = before + shlex.join([*words, "--", dataset])
    return Elsewhere(
        code,
        python_command(code) if set_apart else told,  # a command gives both models the same options
        endpoint,
        [item, *given],
        "",
        item,
        remark=_NO_SERVICE,
    )


def _options(kind: Kind, name: str) -> str:
    return "".join(f", {option}={value!r}" for option, value in kind.how(name).items())


_WHICH = ("First", "Second")


def _choice(bench: Bench, kind: str, at: int) -> dict[str, Any]:
    found = bench.kinds[kind]
    return {"choices": found.choices(), "value": found.models[at]}
