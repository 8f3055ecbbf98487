"""A .npy file from anywhere."""

from __future__ import annotations

import tokenize
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from aexad.bench.base.refusals import reading


def read_npy(path: Path) -> np.ndarray:
    """The array of numbers in a .npy file; FileNotFoundError, ValueError for whatever is wrong with
    it, UserError for what the system refuses.

    It is mapped first, not read: a header can ask for any amount of memory, a mapping is refused
    where the file is shorter than that.
    """
    try:
        with reading(path):
            mapped = np.load(path, mmap_mode="r", allow_pickle=False)
        if not isinstance(mapped, np.ndarray):
            mapped.close()
            raise ValueError("several arrays (.npz), expected one (.npy)")
        return np.array(mapped)
    except FileNotFoundError:
        raise
    except (OSError, EOFError, SyntaxError, TypeError, KeyError, IndexError, AttributeError,
            OverflowError, RecursionError, MemoryError, tokenize.TokenError,
            BadZipFile) as error:  # numpy's parser of the header is Python's own
        raise ValueError(str(error) or type(error).__name__) from None
