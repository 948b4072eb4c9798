"""The root of the command. It imports a subcommand's file only when that subcommand is called."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import version

import click

from shared.errors import TriptychError, UnknownNameError

COMMANDS = {
    "doctor": "what is installed, cached and reachable, and what each task would use",
    "models": "list, show, fetch, verify and optimise models",
    "predict": "one JSON object a line for each input",
    "batch": "predict a folder, table or list of any length into shards; resumes after a crash",
    "evaluate": "figures with confidence intervals on a labelled data set",
    "compare": "two models on the same items: what differs, how surely, and in which slices",
    "metrics": "every metric of the suite: what it takes, its range, its source",
    "score": "figures with intervals of predictions in a table or a batch job, of any length",
    "convert": "write a data set in another format",
    "train": "fit or fine-tune a model and save it to a folder",
    "learning-curve": "what more data would bring",
    "runs": "what was trained and evaluated: list, show, compare",
    "registry": "registered models: add, list, show, point aliases, roll back, export, remove",
    "faces": "enrol persons, recognise them, compare pictures, group faces, forget persons",
    "index": "build, add to, search and trim an index of documents",
    "ask": "answers out of an index of documents, with the place of each",
    "redact": "texts without persons, e-mail addresses, telephone and card numbers",
    "recommend": "what a user would like next",
    "similar": "items like an item",
    "monitor": "whether a live model still sees what it was made for, and is still good at it",
    "experiment": "assign units to arms, analyse what came of it, plan the size",
    "serve": "every task over HTTP",
    "demo": "the Gradio pages",
}
"""Subcommands by name. Each lives in ``shared/cli/NAME.py`` as ``command``, a dash being an underscore there."""


class LazyCommands(click.Group):
    """A group that knows its subcommands' names and one-line helps without importing them.

    Attributes:
        known: the helps by name.
        home: the module of each subcommand, with its name in the place of ``{}``.
    """

    known: Mapping[str, str] = COMMANDS
    home = "shared.cli.{}"

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.known)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in self.known:
            return None
        command: click.Command = import_module(self.home.format(name.replace("-", "_"))).command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self.known and not args[0].startswith("-"):
            raise UnknownNameError("command", args[0], self.known)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(self.known.items()))


@click.group(cls=LazyCommands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(version("triptych"), prog_name="triptych")
def triptych() -> None:
    """Vision, language and recommendation with one way in.

    Exit codes: 0 done; 1 done with failed items; 2 wrong usage; 3 a model or dependency is missing.
    """


def main() -> None:
    """Run the command; an error of ours is one line on standard error and its own exit code."""
    try:
        code = triptych.main(standalone_mode=False)
    except TriptychError as error:
        click.echo(f"triptych: {error}", err=True)
        code = error.exit_code
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("triptych: interrupted", err=True)
        code = 130
    except BrokenPipeError:
        sys.stdout = None  # the reader went away; nothing more can be said to it
        code = 0
    sys.exit(code)
