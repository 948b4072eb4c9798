"""A strip under each answer: the same request as Python, as a command and over HTTP, and its result as JSON.

A page writes a function of its inputs that gives an :class:`Elsewhere`, and one line at the end of its ``build``::

    sharing.strip(asked, given=[picture, threshold], result=result, write=elsewhere)

``asked`` is the event that answers, or a list of such events, with what they take in ``given``. Values come to
``write`` as the browser sent them; :func:`upload` makes a file of what an upload sent. A ``result`` that comes from
:func:`result_viewer` is laid out in the strip; one that stands on the page already stays there.
"""

from __future__ import annotations

import json
import secrets
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import gradio as gr
from gradio.events import Dependency

SERVICE = "http://localhost:8765"
"""Where ``triptych serve --port 8765`` answers, as its page has it."""


@dataclass(frozen=True)
class Upload:
    """A file that a visitor gave, by the visitor's own name of it."""

    name: str


@dataclass(frozen=True)
class Elsewhere:
    """One request, as it is asked outside the page.

    Attributes:
        python: a program.
        command: what a shell runs, with the same answer.
        endpoint: of this application, without the slash; empty where none answers this: see ``remark``.
        data: what that takes, in order: values that are JSON, uploads, and lists of uploads.
        task: under which the service answers, for example ``"nlp.ner"``; empty where it does not: see ``remark``.
        item: what the service is asked: JSON, or an upload.
        model: name of the model, where it is not the task's own default.
        options: of the request to the service.
        remark: a line on what the service does otherwise, or empty.
        before: endpoints of this application that are asked first, with what they take, in one session with the last.
    """

    python: str
    command: str
    endpoint: str
    data: Sequence[Any]
    task: str
    item: Any
    model: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    remark: str = ""
    before: Sequence[tuple[str, Sequence[Any]]] = ()


def strip(
    asked: Dependency | Sequence[Dependency],
    *,
    given: Sequence[Any],
    result: gr.JSON,
    write: Callable[..., Elsewhere | None],
) -> None:
    """Lay the strip out in the Blocks that is open, and fill it after each answer.

    Args:
        asked: the events that answer.
        given: the components whose values the request is made of.
        result: the viewer of the result.
        write: the request for these values, as the browser sent them; ``None`` where nothing was asked.
    """
    with gr.Accordion("Use it elsewhere", open=False), gr.Tabs():
        with gr.Tab("Python"):
            python = _listing("Python")
        with gr.Tab("Command"):
            command = _listing("Command")
        with gr.Tab("curl, here"):
            here = _listing("curl to this application")
        with gr.Tab("curl, triptych serve"):
            service = _listing("curl to triptych serve")
        if not result.is_rendered:
            with gr.Tab("JSON"):
                result.render()  # type: ignore[no-untyped-call]
    shown = [python, command, here, service]

    def fill(request: gr.Request, *values: Any) -> tuple[str, ...]:
        found = write(*values)
        if found is None or request.request is None:  # which it is where no page asks
            return ("",) * len(shown)
        asked_at = request.request  # its base_url knows nothing of a path under which the pages are mounted
        base = str(asked_at.url.replace(path=asked_at.scope.get("root_path", ""), query="", fragment=""))
        return found.python, found.command, to_this_application(found, base), to_service(found)

    for event in [asked] if isinstance(asked, Dependency) else asked:
        event.success(
            fill, list(given), shown, preprocess=False, api_visibility="private", show_progress="hidden", queue=False
        )
        event.failure(lambda: ("",) * len(shown), outputs=shown, api_visibility="private", queue=False)


def result_viewer(label: str) -> gr.JSON:
    """The viewer of a result that :func:`strip` lays out: scrolls when it is long, and can be copied."""
    return gr.JSON(label=label, max_height=360, buttons=["copy"], render=False)


def upload(value: Mapping[str, Any] | None) -> Upload | None:
    """The file that an upload's raw value stands for, without any folder of its name.

    Example:
        >>> upload({"path": "/tmp/f3a9/x.jpg", "orig_name": "my cat.jpg"})
        Upload(name='my cat.jpg')
    """
    if value is None:
        return None
    name = str(value.get("orig_name") or value.get("path") or "")
    return Upload(name.replace("\\", "/").rpartition("/")[2])


def predict_command(task: str, item: str | Upload, **options: Any) -> str:
    """``triptych predict`` for one item, each part quoted for a shell.

    Args:
        task: for example ``"nlp.ner"``.
        item: a text, or a file.
        options: of the task; those that are ``None`` are left out, and a sequence is given once for each of its parts.

    Example:
        >>> print(predict_command("nlp.classification", "it's dull", model=None, labels=("a film", "food")))
        triptych predict nlp.classification --labels 'a film' --labels food -- 'it'"'"'s dull'
    """
    words = ["triptych", "predict", task]
    for name, value in options.items():
        for one in () if value is None else (value,) if isinstance(value, str | int | float) else value:
            words += [f"--{name.replace('_', '-')}", str(one)]
    return shlex.join([*words, "--", item.name if isinstance(item, Upload) else item])


def python_command(program: str) -> str:
    """A program as something that a shell runs, where no command of ``triptych`` does the same.

    Example:
        >>> print(python_command("print(1)"))
        python - <<'PROGRAM'
        print(1)
        PROGRAM
    """
    return f"python - <<'PROGRAM'\n{program.rstrip()}\nPROGRAM"


def to_this_application(wanted: Elsewhere, base: str) -> str:
    """What a shell asks of the endpoint of this very application: files are sent, an event begun, its answer read.

    Args:
        wanted: the request.
        base: address of the application.

    Example:
        >>> print(to_this_application(Elsewhere("", "", "text", ["so dull"], "", ""), "http://localhost:7860/"))
        event=$(curl -sf http://localhost:7860/gradio_api/call/text --json '{"data": ["so dull"]}' | cut -d '"' -f 4)
        curl -sfN http://localhost:7860/gradio_api/call/text/$event
    """
    if not wanted.endpoint:
        return f"# {wanted.remark}"
    api = f"{base.rstrip('/')}/gradio_api"
    lines: list[str] = []
    variables: dict[str, str] = {}

    def sent(value: Any) -> Any:
        if isinstance(value, list | tuple) and any(isinstance(one, Upload) for one in value):
            return [sent(one) for one in value]
        if not isinstance(value, Upload):
            return value
        mark, variable = secrets.token_hex(16), f"file{len(variables) + 1}"
        variables[mark] = variable
        form = shlex.quote(form_file("files", value))
        lines.append(f"{variable}=$(curl -sf {shlex.quote(f'{api}/upload')} -F {form} | cut -d '\"' -f 2)")
        return {"path": mark, "orig_name": value.name, "meta": {"_type": "gradio.FileData"}}

    session = {"session_hash": secrets.token_hex(6)} if wanted.before else {}
    for endpoint, data in (*wanted.before, (wanted.endpoint, wanted.data)):
        body = shlex.quote(_json({"data": [sent(value) for value in data]} | session))
        for mark, variable in variables.items():
            body = body.replace(mark, f"'\"${variable}\"'")
        call = shlex.quote(f"{api}/call/{endpoint}")
        lines += [f"event=$(curl -sf {call} --json {body} | cut -d '\"' -f 4)", f"curl -sfN {call}/$event"]
    return "\n".join(lines)


def to_service(wanted: Elsewhere) -> str:
    """What a shell asks of ``triptych serve``.

    Example:
        >>> print(to_service(Elsewhere("", "", "", [], "nlp.ner", "Ada in London")))
        # where "triptych serve nlp.ner --port 8765" runs:
        curl -sf http://localhost:8765/v1/tasks/nlp.ner --json '{"item": "Ada in London"}'
    """
    if not wanted.task:
        return f"# {wanted.remark}"
    served = wanted.task if wanted.model is None else f"{wanted.task}={wanted.model}"
    lines = [f'# where "triptych serve {served} --port 8765" runs:']
    if wanted.options:
        lines.append(f"# its model's request_options must name {', '.join(wanted.options)}")
    if wanted.remark:
        lines.append(f"# {wanted.remark}")
    more = {} if wanted.model is None else {"model": wanted.model}
    if wanted.options:
        more["options"] = dict(wanted.options)  # type: ignore[assignment]
    address = f"curl -sf {SERVICE}/v1/tasks/{wanted.task}"
    if isinstance(wanted.item, Upload):
        parts = [form_file("file", wanted.item)]
        parts += [f"{name}={value if isinstance(value, str) else _json(value)}" for name, value in more.items()]
        lines.append(f"{address} {' '.join(f'-F {shlex.quote(part)}' for part in parts)}")
    else:
        lines.append(f"{address} --json {shlex.quote(_json({'item': wanted.item} | more))}")
    return "\n".join(lines)


def form_file(field: str, file: Upload) -> str:
    r"""A part of a form that curl fills with a file, its name in quotes where curl reads commas and semicolons.

    Example:
        >>> form_file("file", Upload("a.jpg")), form_file("file", Upload('b;"1".jpg'))
        ('file=@a.jpg', 'file=@"b;\\"1\\".jpg"')
    """
    name = file.name
    if any(sign in name for sign in ',;"\\'):
        escaped = name.replace("\\", "\\\\").replace('"', '\\"')
        name = f'"{escaped}"'
    return f"{field}=@{name}"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _listing(label: str) -> gr.Textbox:
    return gr.Textbox(
        label=label,
        lines=3,
        max_lines=14,
        interactive=False,
        buttons=["copy"],
        placeholder="Ask something first.",
        elem_classes="listing",
    )
