"""How a task's declared options become the command's, and one group class for commands that take a task first."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable

import click

from shared.errors import UnknownNameError
from shared.tasks import Option, Task, find_task, task_names

_MODEL_OPTIONS = (
    Option("model", str, None, "catalogue name, model folder or registry:NAME; the task's default when not given"),
    Option("device", str, "auto", "auto, cpu or gpu"),
    Option("threads", int, None, "processor threads; all when not given"),
)


def click_option(option: Option) -> click.Option:
    """One declared option in click's form."""
    flag = "--" + option.name.replace("_", "-")
    if option.type is bool:
        return click.Option([f"{flag}/--no-{flag[2:]}", option.name], default=option.default, help=option.help)
    shown = option.default is not None and option.default != ()
    return click.Option(
        [flag, option.name],
        type=option.type,
        default=option.default,
        help=option.help,
        multiple=option.multiple,
        show_default=shown,
    )


def model_options(task: Task) -> list[click.Parameter]:
    """``--model``, ``--device``, ``--threads`` and the task's own options."""
    return [click_option(option) for option in (*_MODEL_OPTIONS, *task.options)]


@dataclasses.dataclass(frozen=True)
class TaskCommand:
    """What a command that takes a task first is made of.

    Attributes:
        help: its one paragraph.
        parameters: the parameters that it takes for a given task.
        run: called with the task and the parsed parameters; its return value is the exit code.
        serves: which tasks it serves; asked only when a task's own page is opened.
    """

    help: str
    parameters: Callable[[Task], Iterable[click.Parameter]]
    run: Callable[..., int]
    serves: Callable[[Task], bool] = lambda task: True


class TaskGroup(click.Group):
    """``triptych NAME TASK ...``: the subcommands are the installed tasks, imported when named."""

    def __init__(self, name: str, spec: TaskCommand) -> None:
        super().__init__(name=name, help=spec.help, subcommand_metavar="TASK [ARGS]...")
        self._spec = spec

    def list_commands(self, ctx: click.Context) -> list[str]:
        return task_names()

    def get_command(self, ctx: click.Context, name: str) -> click.Command:
        task = find_task(name)
        if not self._spec.serves(task):
            raise UnknownNameError(f"task for {self.name}", name, filter(self._serves, task_names()))
        return click.Command(
            name,
            params=list(self._spec.parameters(task)),
            callback=lambda **values: self._spec.run(task, **values),
            help=f"{task.summary}\n\n{self._spec.help}",
        )

    def _serves(self, name: str) -> bool:
        return self._spec.serves(find_task(name))

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Tasks"):
            formatter.write_dl([(name, find_task(name).summary) for name in task_names()])
            formatter.write_text(f"\nEach has its own page: triptych {self.name} TASK --help")
