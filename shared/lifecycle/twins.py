"""Two who register at the same instant on a server, of which one may stay.

A server has no lock that could be held from the look at what is there to the creation of a version. It numbers versions
one after the other, so the one with the lower number was there when the higher one was made: whoever made that looks
again, and takes its own away. A process that is killed in between leaves a twin, which nothing leads to and which may
be removed.
"""

from __future__ import annotations

from dataclasses import replace

from shared.errors import UsageError
from shared.lifecycle.mlflow_client import client, told
from shared.lifecycle.places import Place
from shared.lifecycle.versions import Registered, Version


def first_of_twins(where: Place, found: Registered, number: int, *, key: str | None, own_run: bool) -> Version:
    """The version that was just made, or the earlier one with the same key or the same model in its place.

    Args:
        where: the server.
        found: all that it knows of the name, read after the version was made.
        number: of the version that was just made.
        key: the idempotency key that it was made with.
        own_run: whether its run was made only to hold it.

    Raises:
        UsageError: an earlier version serves another task.
        ServiceError: the server does not take a version away.
    """
    made = found.version(number)
    earlier = replace(found, versions=tuple(one for one in found.versions if one.number < number))
    try:
        earlier.check_task(made.task)
    except UsageError:
        _take_away(where, made, own_run=own_run)
        raise
    twin = earlier.kept(key, made.digest)
    if twin is None:
        return made
    _take_away(where, made, own_run=own_run)
    return twin


def _take_away(where: Place, made: Version, *, own_run: bool) -> None:
    api = client(where)
    with told(where):
        api.delete_model_version(made.name, str(made.number))
        if own_run and made.run is not None:
            api.delete_run(made.run)
