"""Every task over HTTP: one endpoint a task, micro-batches, bounded queues, and a shutdown that loses nothing.

It needs the extra ``serve``, of which :class:`Client` needs nothing; no name is imported before it is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.lazy import lazy_names

if TYPE_CHECKING:
    from shared.serving.app import build_app as build_app
    from shared.serving.client import Client as Client
    from shared.serving.config import Config as Config
    from shared.serving.config import Limits as Limits
    from shared.serving.config import ServedModel as ServedModel
    from shared.serving.config import Shadow as Shadow
    from shared.serving.config import Split as Split
    from shared.serving.config import SplitArm as SplitArm
    from shared.serving.config_file import read_config as read_config
    from shared.serving.server import serve as serve

_HOMES = {
    "shared.serving.config": ("Config", "Limits", "ServedModel", "Shadow", "Split", "SplitArm"),
    "shared.serving.config_file": ("read_config",),
    "shared.serving.app": ("build_app",),
    "shared.serving.client": ("Client",),
    "shared.serving.server": ("serve",),
}
__getattr__, __dir__ = lazy_names(__name__, _HOMES)
__all__ = [
    "Client",
    "Config",
    "Limits",
    "ServedModel",
    "Shadow",
    "Split",
    "SplitArm",
    "build_app",
    "read_config",
    "serve",
]
