"""Arrays in one file: an ``.npz`` without pickles whose members can be mapped into memory where they stand."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from shared.errors import DataError
from shared.types import AnyArray, Float32

_ALIGN = 64
"""Every array begins at a multiple of so many bytes, which vector instructions like; NumPy's own writer does not."""
_PADDING = 0xD935
"""The id of an extra field that only pads (Android's ``zipalign`` uses it so)."""
_LOCAL_HEADER = 30
_ZIP64_EXTRA = 20


def pack(arrays: Mapping[str, AnyArray]) -> bytes:
    """An uncompressed ``.npz``, as :func:`numpy.load` reads it; the same arrays always give the same bytes.

    Raises:
        ValueError: an array holds Python objects, which only a pickle could keep.

    Example:
        >>> content = pack({"one": np.arange(3)})
        >>> np.load(io.BytesIO(content))["one"].tolist()
        [0, 1, 2]
    """
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)
            info = zipfile.ZipInfo(f"{name}.npy")  # dated 1980, so that bytes tell of nothing but the arrays
            taken = content.tell() + _LOCAL_HEADER + len(info.filename.encode()) + 4
            if member.tell() * 1.05 > zipfile.ZIP64_LIMIT:
                taken += _ZIP64_EXTRA  # zipfile adds it by this very rule
            padding = -taken % _ALIGN
            info.extra = struct.pack("<HH", _PADDING, padding) + bytes(padding)
            archive.writestr(info, member.getbuffer())
    return content.getvalue()


def unpack(path: Path, *, mmap: bool = False) -> dict[str, AnyArray]:
    """The arrays of :func:`pack`, read, or mapped into memory, read-only, where they stand in the file.

    Raises:
        DataError: they cannot be mapped: a member is compressed.
        ValueError: a member is no array, or one that needs a pickle.
        zipfile.BadZipFile: the file is no archive.
    """
    if not mmap:
        with np.load(path, allow_pickle=False) as archive:
            return {key: archive[key] for key in archive.files}
    with zipfile.ZipFile(path) as archive, path.open("rb") as file:
        return {info.filename.removesuffix(".npy"): _map(path, file, info) for info in archive.infolist()}


def read_array(name: str, arrays: Mapping[str, AnyArray], shape: tuple[int, ...]) -> Float32:
    """A float32 array of that shape. Values must be finite; those of a mapped array are not looked at.

    Raises:
        DataError: it is missing or another one.
    """
    found = arrays.get(name, np.zeros(0))
    fits = found.shape == shape and found.dtype == np.float32
    if not fits or not (isinstance(found, np.memmap) or np.isfinite(found).all()):
        wanted = f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"
        came = f"{found.dtype} {found.shape}"
        raise DataError(f"{name} must be a finite float32 array of shape {wanted}. Got {came} instead")
    return found


def _map(path: Path, file: Any, info: zipfile.ZipInfo) -> AnyArray:
    if info.compress_type != zipfile.ZIP_STORED:
        raise DataError(f"{info.filename} of {path.name} is compressed and cannot be mapped. Load it with mmap=False")
    file.seek(info.header_offset)
    header = file.read(_LOCAL_HEADER)
    if len(header) < _LOCAL_HEADER or header[:4] != b"PK\x03\x04":
        raise zipfile.BadZipFile(f"{info.filename} has no local header")
    file.seek(sum(struct.unpack("<HH", header[26:30])), io.SEEK_CUR)
    version = np.lib.format.read_magic(file)
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read_header(file)
    if dtype.hasobject:
        raise ValueError(f"{info.filename} needs a pickle (allow_pickle), which is never read")
    if not np.prod(shape, dtype=np.int64):
        return np.zeros(shape, dtype=dtype)  # nothing to map
    return np.memmap(path, dtype=dtype, mode="r", offset=file.tell(), shape=shape, order="F" if fortran else "C")
