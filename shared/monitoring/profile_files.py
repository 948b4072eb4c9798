"""Profiles in folders, read without unpickling anything.

::

    PROFILE/profile.toml              what it is of, its counts, and the names of its columns
    PROFILE/arrays-0123456789ab.npz   sketches and samples; the name holds the beginning of its sha256

The arrays are written first and the TOML that names them is put in its place whole, so a folder holds the old profile
or the new one, whenever its writer ends.
"""

from __future__ import annotations

import hashlib
import io
import math
import os
import tomllib
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import tomli_w

from shared.catalogue import ModelCard
from shared.errors import DataError, UsageError
from shared.monitoring.profile import Profile
from shared.monitoring.sketches import CategorySketch, NumberSketch, Rows
from shared.types import AnyArray

FILE = "profile.toml"
FORMAT = 1
_CALIBRATION = "calibration-"
_SAMPLES = ("sample", "vectors", "judged")


def model_digest(card: ModelCard) -> str:
    """What identifies a model in profiles and logs: sha256 of its card's fingerprint, 64 hex digits."""
    return hashlib.sha256(card.fingerprint.encode()).hexdigest()


def is_profile(folder: str | Path) -> bool:
    """Whether a profile stands in a folder."""
    return (Path(folder) / FILE).is_file()


def save_profile(profile: Profile, folder: str | Path) -> None:
    """Write a profile; one that stands there is replaced.

    Raises:
        UsageError: the folder cannot be written, or holds other files.
    """
    place, arrays = Path(folder), dict[str, AnyArray]()
    table: dict[str, Any] = {"format": FORMAT, "task": profile.task, "model": profile.model, "n": profile.n}
    table |= {"failed": profile.failed, "created": profile.created, "rate": profile.rate}
    if math.isfinite(profile.first):
        table |= {"first": profile.first, "last": profile.last}
    table["numbers"], table["categories"] = [], []
    for at, (name, number) in enumerate(profile.numbers.items()):
        row = {"name": name, "n": number.n, "missing": number.missing, "mean": number.mean, "m2": number.m2}
        table["numbers"].append(row)
        arrays[f"kll-{at}"] = number.kll
    for at, (name, category) in enumerate(profile.categories.items()):
        table["categories"].append({"name": name, "n": category.n})
        arrays[f"items-{at}"] = category.items
    for part in _SAMPLES:
        rows: Rows = getattr(profile, part)
        table[part] = list(rows.columns)
        arrays[f"{part}-keys"] = rows.keys
        arrays |= {f"{part}-{at}": values for at, values in enumerate(rows.columns.values())}
    arrays |= {_CALIBRATION + name: values for name, values in profile.calibration.items()}
    content = io.BytesIO()
    np.savez_compressed(content, allow_pickle=False, **arrays)
    digest = hashlib.sha256(content.getvalue()).hexdigest()
    table |= {"arrays": f"arrays-{digest[:12]}.npz", "sha256": digest}
    try:
        place.mkdir(parents=True, exist_ok=True)
        strangers = [one.name for one in place.iterdir() if not _ours(one.name)]
        if strangers:
            raise UsageError(f"a profile's folder must hold nothing else. {place} holds {strangers[0]}")
        _replace(place / table["arrays"], content.getvalue())
        _replace(place / FILE, tomli_w.dumps(table).encode())
        for old in place.glob("arrays-*.npz"):
            if old.name != table["arrays"]:
                old.unlink(missing_ok=True)
    except OSError as error:
        raise UsageError(f"a profile must be a folder that can be written. Got {place}: {error}") from error


def load_profile(folder: str | Path) -> Profile:
    """The profile in a folder.

    Raises:
        DataError: none stands there, or it is damaged; the message says which file and why.
    """
    place = Path(folder)
    try:
        table = tomllib.loads((place / FILE).read_text("utf-8"))
        content = (place / str(table["arrays"])).read_bytes()
    except FileNotFoundError as error:
        raise DataError(
            f"{place} must be the folder of a profile. There is no {error.filename}: make one with "
            "'triptych monitor profile'"
        ) from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError) as error:
        raise DataError(f"{place / FILE} must be the TOML of a profile. {error}") from error
    if hashlib.sha256(content).hexdigest() != table.get("sha256"):
        raise DataError(f"{place / table['arrays']} must hold the bytes that {FILE} names. It was changed")
    if table.get("format") != FORMAT:
        raise DataError(f"{place / FILE} must be of format {FORMAT}. Got {table.get('format')!r}: profile anew")
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return _profile(table, {name: arrays[name] for name in arrays.files})
    except (KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise DataError(f"{place / FILE} must describe a profile whole. {error!r}") from error


def _profile(table: Mapping[str, Any], arrays: Mapping[str, AnyArray]) -> Profile:
    numbers = {
        row["name"]: NumberSketch(row["n"], row["missing"], row["mean"], row["m2"], arrays[f"kll-{at}"])
        for at, row in enumerate(table["numbers"])
    }
    categories = {
        row["name"]: CategorySketch(row["n"], arrays[f"items-{at}"]) for at, row in enumerate(table["categories"])
    }
    samples = {
        part: Rows(
            arrays[f"{part}-keys"],
            MappingProxyType({name: arrays[f"{part}-{at}"] for at, name in enumerate(table[part])}),
        )
        for part in _SAMPLES
    }
    return Profile(
        task=table["task"],
        model=table["model"],
        n=table["n"],
        failed=table["failed"],
        created=table["created"],
        first=table.get("first", math.nan),
        last=table.get("last", math.nan),
        rate=table["rate"],
        numbers=MappingProxyType(numbers),
        categories=MappingProxyType(categories),
        calibration={
            name.removeprefix(_CALIBRATION): values for name, values in arrays.items() if name.startswith(_CALIBRATION)
        },
        **samples,
    )


def _ours(name: str) -> bool:
    return name == FILE or name.startswith("arrays-") or name.endswith(".tmp")


def _replace(path: Path, content: bytes) -> None:
    """A file whole or not at all."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    with open(temporary, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
