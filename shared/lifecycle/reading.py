"""What a registry holds, read: from a folder's SQLite file without MLflow, or from a server by its client.

Opening a model by its registered name must not cost the seconds that importing MLflow takes, nor need it at all; so the
five tables of its registry are read as they are. Everything is written by MLflow itself.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from shared.errors import ServiceError
from shared.lifecycle.mlflow_client import PATIENCE, client, told
from shared.lifecycle.places import Place
from shared.lifecycle.versions import Registered, keys_of, version_of

_PAGE = 1000


def names(where: Place) -> list[str]:
    """The names of all registered models, sorted.

    Raises:
        ServiceError: the registry cannot be read.
        OfflineError: it is a server's, and no socket may be opened.
    """
    if where.server:
        api = client(where)
        with told(where):
            return sorted(model.name for model in _pages(api.search_registered_models))
    with _reading(where) as rows:
        return [] if rows is None else sorted(name for (name,) in rows.execute("SELECT name FROM registered_models"))


def registered(where: Place, name: str) -> Registered | None:
    """All that is known of a name; ``None`` where there is no such name.

    Raises:
        ServiceError, OfflineError: as :func:`names`.
    """
    return _from_server(where, name) if where.server else _from_file(where, name)


def _from_file(where: Place, name: str) -> Registered | None:
    with _reading(where) as rows:
        if rows is None or not rows.execute("SELECT 1 FROM registered_models WHERE name = ?", (name,)).fetchone():
            return None
        versions = rows.execute(
            "SELECT version, creation_time, run_id, description FROM model_versions "
            "WHERE name = ? AND current_stage != 'Deleted_Internal' ORDER BY version",
            (name,),
        ).fetchall()
        aliases = dict(rows.execute("SELECT alias, version FROM registered_model_aliases WHERE name = ?", (name,)))
        tags = dict(rows.execute("SELECT key, value FROM registered_model_tags WHERE name = ?", (name,)))
        theirs: dict[int, dict[str, str]] = defaultdict(dict)
        for number, key, value in rows.execute(
            "SELECT version, key, value FROM model_version_tags WHERE name = ?", (name,)
        ):
            theirs[number][key] = value
    found = tuple(
        version_of(
            name,
            number,
            created_ms=created,
            run=run,
            note=note,
            tags=theirs[number],
            aliases=[alias for alias, to in aliases.items() if to == number],
        )
        for number, created, run, note in versions
    )
    return Registered(name, found, aliases, tags, keys_of(theirs))


@contextmanager
def _reading(where: Place) -> Iterator[sqlite3.Connection | None]:
    """One consistent view of the file; ``None`` where nothing was ever written."""
    if not where.database.exists():
        yield None
        return
    # not "ro": whoever reads first after a kill has to undo what the dead left half-written, as its journal says
    address = f"{where.database.as_uri()}?mode=rw"
    try:
        with closing(sqlite3.connect(address, uri=True, timeout=PATIENCE, isolation_level=None)) as rows:
            rows.execute("BEGIN")
            yield rows
    except sqlite3.Error as error:
        raise ServiceError(
            f"{where.database} must be MLflow's database, free to be read. {error}. End whatever holds it locked, or "
            "bring it back from a copy",
            kind="locked" if "locked" in str(error) else "refused",
        ) from error


def _from_server(where: Place, name: str) -> Registered | None:
    api = client(where)
    with told(where):
        # a search rather than a lookup: the name's absence is an answer and no fault
        model = next((one for one in _pages(api.search_registered_models, f"name = '{name}'")), None)
        if model is None:
            return None
        whole = api.get_registered_model(name)
        versions = sorted(_pages(api.search_model_versions, f"name = '{name}'"), key=lambda one: int(one.version))
    aliases = {alias: int(to) for alias, to in whole.aliases.items()}
    found = tuple(
        version_of(
            name,
            int(one.version),
            created_ms=one.creation_timestamp,
            run=one.run_id,
            note=one.description,
            tags=one.tags,
            aliases=[alias for alias, to in aliases.items() if to == int(one.version)],
        )
        for one in versions
    )
    keys = keys_of({int(one.version): one.tags for one in versions})
    return Registered(name, found, aliases, dict(whole.tags), keys)


def _pages(search: Any, condition: str | None = None) -> Iterator[Any]:
    token = None
    while True:
        page = search(filter_string=condition, max_results=_PAGE, page_token=token)
        yield from page
        token = page.token
        if not token:
            return
