"""Arrays that are too large for memory, mapped from files: their pages come and go as they are
used, and no copy of a whole one is made."""

from __future__ import annotations

import errno
import math
import os
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

LARGE = 1 << 28  # bytes of an array that is mapped and not held: 1783 images of 224 px
IN_MEMORY = 2 << 30  # bytes of a method's arrays together; what goes beyond is mapped
BLOCK = 1 << 22  # bytes read, or bytes of rows in work, at a time
CANNOT_RESERVE = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)
_LOCAL_HEADER = 30  # bytes before a zip member's name


def new_array(path: Path, shape: tuple[int, ...], dtype: DTypeLike) -> np.memmap:
    """An array in a file that nobody else sees, and that is gone with the array, whatever happens.
    OSError where there is no room for it: a page that finds none later would end the process."""
    with open(path, "wb+") as file:
        path.unlink()
        size = math.prod(shape) * np.dtype(dtype).itemsize
        if hasattr(os, "posix_fallocate") and size:
            try:
                os.posix_fallocate(file.fileno(), 0, size)
            except OSError as error:
                if error.errno not in CANNOT_RESERVE:  # not every file system can
                    raise
        return np.memmap(file, dtype, "w+", shape=shape)


def apart(flat: NDArray[Any], shapes: Sequence[tuple[int, ...]]) -> list[NDArray[Any]]:
    """The arrays of these shapes that lie one behind the other in `flat` (n,). ValueError where
    they are not all that is there."""
    ends = np.cumsum([math.prod(shape) for shape in shapes])
    if flat.shape != (ends[-1],):
        raise ValueError(f"{flat.shape}: not of the size that its {len(shapes)} parts have")
    return [part.reshape(shape) for part, shape in zip(np.split(flat, ends[:-1]), shapes)]


def rows_at_a_time(array: NDArray[Any]) -> int:
    """How many rows of an array are about BLOCK bytes, one at least."""
    return max(BLOCK * len(array) // max(array.nbytes, 1), 1)


def read_npz(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of an .npz file as numpy.savez writes it, each read and checked against its
    checksum; the LARGE ones mapped from then on, what is written to them stays in memory. Errors
    are those of numpy.load."""
    with np.load(path, allow_pickle=False) as stored:
        members = {name.removesuffix(".npy"): stored.zip.getinfo(name)
                   for name in stored.zip.namelist()}
        return {name: (_mapped(path, stored.zip, info) if _large(info) else stored[name])
                for name, info in members.items()}


def _large(info: zipfile.ZipInfo) -> bool:
    return info.file_size > LARGE and info.compress_type == zipfile.ZIP_STORED


def _mapped(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> NDArray[Any]:
    with archive.open(info) as member:
        version = np.lib.format.read_magic(member)
        header = {(1, 0): np.lib.format.read_array_header_1_0,
                  (2, 0): np.lib.format.read_array_header_2_0}[version]
        shape, fortran, dtype = header(member)
        begin = member.tell()
        while member.read(BLOCK):  # to its end, where its checksum is compared
            pass
    with open(path, "rb") as file:
        file.seek(info.header_offset)
        local = file.read(_LOCAL_HEADER)
        begin += info.header_offset + _LOCAL_HEADER + sum(
            int.from_bytes(local[i:i + 2], "little") for i in (26, 28))  # of its name, and more
        return np.asarray(np.memmap(file, dtype, "c", begin, shape, "F" if fortran else "C"))
