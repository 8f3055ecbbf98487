"""TIFF files of number types that Pillow doesn't know: floats of 16 and 64 bits, whole numbers of
32 and 64, as tifffile and scikit-image write them."""

from __future__ import annotations

import logging
import struct
import zlib
from pathlib import Path

import numpy as np

from aexad.bench.base.errors import UserError, first_line
from aexad.bench.base.refusals import of_system, refusal
from aexad.datasets.images import LARGEST

KINDS = ("float16", "float64", "int64", "uint64", "uint32")
DAMAGED = (OSError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError,
           RuntimeError, MemoryError, struct.error, zlib.error)  # what tifffile's parser raises


def read(path: Path) -> np.ndarray | None:
    """The one page of a TIFF file, (height, width) of one of KINDS, or None where it is none.
    UserError for one that is damaged or has several pages."""
    import tifffile  # for those who have such files

    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # what is wrong is told in one line
    try:
        with tifffile.TiffFile(path) as file:
            page = file.pages.first
            if str(page.dtype) not in KINDS:
                return None
            if len(file.pages) > 1:
                raise UserError(f"{path}: {len(file.pages)} pages; expected one map")
            if page.size > LARGEST:
                raise UserError(f"{path}: more than {LARGEST:,} pixels; scale the map down")
            if page.tags.valueof("Orientation", 1) != 1:
                raise UserError(f"{path}: turned by its orientation tag; write it upright")
            return page.asarray()
    except tifffile.TiffFileError:
        return None
    except DAMAGED as error:
        if of_system(error):
            raise refusal(error, path) from None
        raise UserError(f"{path}: cannot be read ({first_line(error)}); write it without "
                        f"compression, or as .npy") from None
