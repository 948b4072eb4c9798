"""``triptych monitor``: one file a subcommand, ``shared/cli/monitor_NAME.py``, imported when it is called."""

from __future__ import annotations

from collections.abc import Mapping

import click

from shared.cli.main import LazyCommands

SUBCOMMANDS = {
    "profile": "what a model saw and said, in a folder of bounded size",
    "merge": "one profile of several",
    "check": "a window against the reference: drift, quality, accuracy without labels, alert rules",
    "report": "a saved check as an HTML page",
}
"""Subcommands by name."""


class MonitorCommands(LazyCommands):
    """The subcommands of ``triptych monitor``."""

    known: Mapping[str, str] = SUBCOMMANDS
    home = "shared.cli.monitor_{}"


@click.group("monitor", cls=MonitorCommands)
def command() -> None:
    """Whether a model that is live still sees what it was made for, and is still good at it."""
