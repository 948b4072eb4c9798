"""What the command, the pages and the batch engine know of a task: one frozen row, found by its name.

A task's folder declares ``TASK`` in its ``task.py`` and names it under the entry-point group ``triptych.tasks``, so
another distribution adds a task by declaring one too. Nothing is imported before the task is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from shared.errors import UnknownNameError, UsageError
from shared.evaluation.report import Evaluation
from shared.predictor import Predictor
from shared.types import Result

if TYPE_CHECKING:
    from shared.evaluation.growing import Growing
    from shared.monitoring.signals import Observe
    from shared.weights import Opened

GROUP = "triptych.tasks"
InputKind: TypeAlias = Literal["image", "text", "id"]


@dataclass(frozen=True)
class Option:
    """A keyword of a task's function that the command offers as ``--name``.

    Attributes:
        name: the Python keyword, with underscores; the command writes dashes.
        type: ``str``, ``int``, ``float`` or ``bool``.
        default: the value when it is not given; an empty tuple where ``multiple`` is true.
        help: one line that says range and unit.
        multiple: whether it may be given several times; the function then receives a tuple.
    """

    name: str
    type: type
    default: Any
    help: str
    multiple: bool = False


class Converted(Protocol):
    """What a conversion of a data set came to."""

    @property
    def failed(self) -> int:
        """Items left out because they are at fault."""

    def to_json(self) -> dict[str, Any]:
        """One JSON-ready object."""


@dataclass(frozen=True)
class TimedResult:
    """The answer for one frame of a recording.

    Attributes:
        frame: its number among all frames, from 0.
        time: when it is shown, in seconds from the start.
        result: the result, or a :class:`~shared.types.Failure` in its place.
    """

    frame: int
    time: float
    result: Result


@dataclass(frozen=True)
class Task:
    """One task.

    Attributes:
        name: for example ``"vision.detection"``.
        summary: one line for people.
        inputs: what an item is: ``"image"`` (a path from the command; in a batch job over archives or an object store
            something with ``read_bytes()``), ``"text"`` or ``"id"``.
        open: ``open(model, *, device, threads, **options)`` returns a predictor; ``model=None`` takes the default.
        options: further keywords of ``open``.
        evaluate: ``evaluate(dataset, *, model, format, limit, seed, device, threads, **options)`` with ``dataset``
            a path; ``None`` where the task has no evaluation.
        formats: data-set formats that ``evaluate`` and ``train`` read, by name; ``None`` detects.
        train: ``train(dataset, out, *, format, seed, **train_options)`` fits a model, writes it into the folder
            ``out`` and returns a JSON-ready report; ``None`` where the task cannot be trained here. Of the report
            ``figures`` (numbers, or ``{"value", "low", "high"}``), ``history`` (a row an epoch), ``recipe`` and
            ``options`` (what was settled) and times in ``seconds`` are logged as such.
        train_options: further keywords of ``train``.
        train_resumes: whether ``train`` goes on with what a killed run left in ``out``, and itself refuses a folder
            that is none of its own; else ``out`` must be new or empty.
        evaluate_options: further keywords of ``evaluate`` beside ``options``; one of the same name replaces it there.
        convert: ``convert(dataset, out, *, to, format, on_fault, **convert_options)`` writes the data set in another of
            ``formats``; ``on_fault(path, message)`` hears of each item that is left out. ``None`` where there is none.
        convert_options: further keywords of ``convert``.
        video: ``video(predictor, path, *, annotated, **video_options)`` gives a :class:`TimedResult` for each frame of
            a video file, and with a folder ``annotated`` writes it there with the results drawn; ``None`` where the
            task takes no videos.
        video_options: further keywords of ``video``.
        annotate: ``annotate(item, result, folder, **options)`` writes an item with its result drawn into a folder, with
            the options that the model was opened with.
        tools: functions by name for commands that serve this task alone.
        grow: ``grow(dataset, *, format, seed, **grow_options)`` gives what a learning curve is measured on; ``None``
            where the task has none.
        grow_options: further keywords of ``grow``.
        whole: ``whole(model)`` gives a model with the files that it runs from, and after it the models that it opens by
            name; for a folder that opens anywhere. ``None`` where the files that a card lists are all.
        observe: ``observe(item, result, *, predictor)`` gives what is watched of an item and its result once the model
            is live (:class:`shared.monitoring.signals.Observe`); ``None`` where nothing is.
    """

    name: str
    summary: str
    inputs: InputKind
    open: Callable[..., Predictor[Any, Any]]
    options: tuple[Option, ...] = ()
    evaluate: Callable[..., Evaluation] | None = None
    formats: tuple[str, ...] = ()
    train: Callable[..., dict[str, Any]] | None = None
    train_options: tuple[Option, ...] = ()
    train_resumes: bool = False
    evaluate_options: tuple[Option, ...] = ()
    convert: Callable[..., Converted] | None = None
    convert_options: tuple[Option, ...] = ()
    video: Callable[..., Iterator[TimedResult]] | None = None
    video_options: tuple[Option, ...] = ()
    annotate: Callable[..., Path] | None = None
    tools: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    grow: Callable[..., Growing] | None = None
    grow_options: tuple[Option, ...] = ()
    whole: Callable[[str | Path | None], Sequence[Opened]] | None = None
    observe: Observe | None = None


def task_names() -> list[str]:
    """The names of all installed tasks, sorted. Imports none of them."""
    return sorted(_entries())


def find_task(name: str) -> Task:
    """Import one task.

    Raises:
        UnknownNameError: no installed task is called that.
        UsageError: its entry point does not lead to a :class:`Task` of that name.
    """
    entries = _entries()
    if name not in entries:
        raise UnknownNameError("task", name, entries)
    task = entries[name].load()
    if not isinstance(task, Task) or task.name != name:
        raise UsageError(f"the entry point {entries[name].value!r} must be a Task named {name!r}. Got {task!r} instead")
    return task


def check_dataset(dataset: Path) -> Path:
    """The path, if something stands there.

    Raises:
        UsageError: nothing does.
    """
    if not dataset.exists():
        raise UsageError(f"the data set must be an existing file or folder. Nothing stands at {dataset}")
    return dataset


def _entries() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP)}
