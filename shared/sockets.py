"""Listening: an address bound once, and plain words where it cannot be."""

from __future__ import annotations

import socket

from shared.errors import UsageError


def bound(host: str, port: int) -> socket.socket:
    """A socket bound to an address of this machine; port 0 takes any free one. The caller closes it.

    Raises:
        UsageError: ``host`` is no address of this machine, or ``port`` is in use.

    Example:
        >>> with bound("127.0.0.1", 0) as found:
        ...     found.getsockname()[0]
        '127.0.0.1'
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        found = socket.socket(family, kind, protocol)
    except socket.gaierror as error:
        raise UsageError(
            f"--host must be an address of this machine. Got {host!r} instead: {error.strerror}"
        ) from error
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
    except OSError as error:
        found.close()
        raise UsageError(
            f"cannot listen on port {port} of {host}: {error.strerror}. "
            "Choose another with --port, or let --port 0 find a free one"
        ) from error
    return found
