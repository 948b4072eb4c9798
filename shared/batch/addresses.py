"""URLs of object stores: which are read, and none that carries a secret is read, kept or shown."""

from __future__ import annotations

import re

from shared.batch.sources import is_url
from shared.errors import UsageError

SCHEMES = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "file", "memory")
"""What a URL of an input may begin with."""

_SECRET_QUERY = re.compile(
    r"[?&](x-(amz|goog|ms)-|aws|google)?(signature|sig|credential|security-token|accesskeyid|token|key|secret|password)"
    r"[^=]*=",
    re.IGNORECASE,
)
_USER = re.compile(r"([a-z][a-z0-9+.-]+://)[^/?#]*@", re.IGNORECASE)
_QUERY = re.compile(r"([a-z][a-z0-9+.-]+://[^\s?'\"]*)\?[^\s'\"]*", re.IGNORECASE)


def is_stored(text: str) -> bool:
    """Whether the text is the URL of a store, by its scheme.

    Example:
        >>> is_stored("s3://bucket/a.jpg"), is_stored("https://example.org/a.jpg"), is_stored("a.jpg")
        (True, False, False)
    """
    return is_url(text) and text.partition("://")[0].lower() in SCHEMES


def without_secrets(text: str) -> str:
    """A text with what may be secret in its URLs left out: user, password and query.

    Example:
        >>> without_secrets("no s3://me:pw@bucket/a.jpg?X-Amz-Signature=1f2e for you")
        'no s3://bucket/a.jpg for you'
    """
    return _QUERY.sub(r"\1", _USER.sub(r"\1", text))


def check_address(url: str) -> None:
    """See that a URL carries no credentials.

    Raises:
        UsageError: it does; the message does not show them.
    """
    host = url.partition("://")[2].partition("/")[0]
    container = url.lower().startswith("abfs") and ":" not in host  # abfs://container@account
    if ("@" in host and not container) or _SECRET_QUERY.search(url):
        raise UsageError(
            f"a URL must carry no user, password, key or signature. {without_secrets(url)} does: leave them to the "
            "store's own library, which reads them from its environment variables (AWS_ACCESS_KEY_ID, ...) or files"
        )
    if "::" in url:
        raise UsageError(f"a URL must name one store. {without_secrets(url)} chains several with '::'")
