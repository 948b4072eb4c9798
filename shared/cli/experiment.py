"""``triptych experiment``: one file a subcommand, ``shared/cli/experiment_NAME.py``, imported when it is called."""

from __future__ import annotations

from collections.abc import Mapping

import click

from shared.cli.main import LazyCommands

SUBCOMMANDS = {
    "assign": "which arm each unit gets",
    "analyse": "what an experiment says, and what to do with each arm",
    "power": "how many units, how many weeks, or what could be seen",
}
"""Subcommands by name."""


class ExperimentCommands(LazyCommands):
    """The subcommands of ``triptych experiment``."""

    known: Mapping[str, str] = SUBCOMMANDS
    home = "shared.cli.experiment_{}"


@click.group("experiment", cls=ExperimentCommands)
def command() -> None:
    """Online experiments: give each unit its arm, plan the size, analyse what came of it, decide."""
