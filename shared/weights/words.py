"""How sizes and addresses are said to people: short, and without a secret."""

from __future__ import annotations

import re

import click


def human(size: int | None) -> str:
    """A length in bytes for people.

    Example:
        >>> human(14_246_826), human(512), human(None)
        ('14.2 MB', '512 B', 'size unknown')
    """
    if size is None:
        return "size unknown"
    if size < 1000:
        return f"{size} B"
    power = 1 if size < 999_950 else 2 if size < 999_950_000 else 3
    return f"{size / 1000**power:.1f} {('kB', 'MB', 'GB')[power - 1]}"


def masked(text: str) -> str:
    """The text with the user names, passwords and query values of its addresses replaced by ``***``.

    Example:
        >>> masked("GET https://me:secret@mirror.example/simple/?token=abc failed")
        'GET https://***@mirror.example/simple/?*** failed'
    """
    text = re.sub(r"(?<=://)[^/\s]*@", "***@", text)
    return re.sub(r"(://[^\s?]*\?)[^\s'\"]+", r"\1***", text)


def say(text: str) -> None:
    """One plain line on standard error."""
    click.echo(f"triptych: {text}", err=True)
