"""Databases by SQLAlchemy URL: opened, named and quoted without a word of their passwords."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote, quote_plus

from shared.errors import MissingDependencyError, UsageError
from shared.lazy import require

_PACKAGES = {
    "psycopg": "triptych[sql]",
    "psycopg2": "psycopg2-binary",
    "MySQLdb": "mysqlclient",
    "pymysql": "pymysql",
    "mariadb": "mariadb",
    "pyodbc": "pyodbc",
    "oracledb": "oracledb",
    "duckdb_engine": "duckdb-engine",
}
"""What pip calls the modules of drivers."""
_SECRET = re.compile("pass|pwd|secret|token|key|credential", re.IGNORECASE)
_DATABASES = re.compile(r"(sqlite|postgres(ql)?|mysql|mariadb|oracle|mssql|duckdb)(\+\w+)?://", re.IGNORECASE)


def is_database(text: str) -> bool:
    """Whether the text begins as the URL of a database does."""
    return _DATABASES.match(text) is not None


def open_engine(url: Any) -> tuple[Any, bool]:
    """An engine for a URL, and whether it is the caller's to close.

    Args:
        url: a SQLAlchemy URL, as text or as SQLAlchemy's own object, or an ``Engine``, which is given back as it is.
            ``postgresql://`` is spoken by psycopg 3.

    Raises:
        UsageError: the URL is none; the message does not show it.
        MissingDependencyError: SQLAlchemy or the database's driver is not installed.
    """
    alchemy = require("sqlalchemy", extra="sql")
    if isinstance(url, alchemy.Engine):
        return url, False
    try:
        parsed = alchemy.make_url(url)
    except (alchemy.exc.ArgumentError, ValueError, TypeError):
        raise UsageError(
            "url must be a SQLAlchemy URL like 'sqlite:///shop.db' or 'postgresql://user:password@host/name'. "
            "Got something that is none (not shown, for it may hold a password)"
        ) from None
    if parsed.drivername in ("postgresql", "postgres"):
        parsed = parsed.set(drivername="postgresql+psycopg")
    try:
        return alchemy.create_engine(parsed, hide_parameters=True), True
    except ModuleNotFoundError as error:
        module = str(error.name).partition(".")[0]
        package = _PACKAGES.get(module, module)
        raise MissingDependencyError(
            f"{parsed.drivername} needs {module!r}, which is not installed. Run: pip install '{package}'"
        ) from error
    except alchemy.exc.NoSuchModuleError as error:
        raise MissingDependencyError(
            f"SQLAlchemy knows no database {parsed.drivername!r}. Install its dialect, or correct the URL's beginning"
        ) from error
    except (alchemy.exc.SQLAlchemyError, TypeError, ValueError) as error:
        raise UsageError(f"url must be complete for {parsed.drivername}. {discreet(str(error), parsed)}") from None


def place(url: Any) -> str:
    """A database as messages call it: nothing of the user or the password."""
    where = "/".join(part for part in (url.host, url.database) if part)
    return f"{url.get_backend_name()} {where}".strip()


def without_secrets(url: Any) -> str:
    """The URL as text with its password, and whatever in its query may be one, left out: fit to be kept in a file.

    Example:
        >>> from sqlalchemy import make_url
        >>> without_secrets(make_url("postgresql://me:secret@host/shop?sslpassword=x&application_name=y"))
        'postgresql://me@host/shop?application_name=y'
    """
    kept = {key: value for key, value in url.query.items() if not _SECRET.search(key)}
    bare = type(url).create(url.drivername, url.username, None, url.host, url.port, url.database, kept)
    return str(bare.render_as_string(hide_password=False)).replace("postgresql+psycopg://", "postgresql://", 1)


def discreet(message: str, url: Any) -> str:
    """The message with every form of the URL's secrets struck out: drivers quote what they were given."""
    secrets = [str(url.password)] if url.password else []
    secrets += [str(value) for key, value in url.query.items() if _SECRET.search(key)]
    for secret in {form for one in secrets for form in (one, quote(one), quote(one, safe=""), quote_plus(one))}:
        message = message.replace(secret, "***")
    return message
