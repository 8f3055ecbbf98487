"""Several GPUs are shared out, one fit each: a file lock per GPU, which holds across runners and
engines on a machine and goes away with its process, however that ends."""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

POLL = 0.5  # seconds between two looks for a free GPU


def default_device() -> str:
    """'cuda' where there is a GPU."""
    import torch  # not above: who only names an option needs none

    return "cuda" if torch.cuda.is_available() else "cpu"


def visible() -> list[str]:
    """What identifies each GPU that torch sees, in torch's order; the same in every process,
    whatever CUDA_VISIBLE_DEVICES makes of their numbers."""
    import torch  # as above

    if not torch.cuda.is_available():
        return []
    return [str(torch.cuda.get_device_properties(i).uuid)
            for i in range(torch.cuda.device_count())]


@contextmanager
def one(device: str, gpus: Sequence[str] | None = None, folder: Path | None = None,
        say: Callable[[str], None] = lambda line: None) -> Iterator[str]:
    """The device for one fit: of several GPUs the first that is free, as 'cuda:1', waiting while
    none is. A device with a number, a single GPU and the CPU stay as they are, and are not locked.

    gpus, folder: what `visible()` gives, and where the locks are; others in tests.
    """
    if device != "cuda":
        yield device
        return
    gpus = visible() if gpus is None else gpus
    if len(gpus) < 2:
        yield device
        return
    number, file = _wait([_path(gpu, folder) for gpu in gpus], say)
    try:
        yield f"cuda:{number}"
    finally:
        os.close(file)  # and with it the lock; the file stays, as another may wait for it


def _path(gpu: str, folder: Path | None) -> Path:
    return (folder or Path(tempfile.gettempdir())) / f"aexad-gpu-{gpu}.lock"


def _wait(paths: list[Path], say: Callable[[str], None]) -> tuple[int, int]:
    """The position of the first path that could be locked, and its open file."""
    told = False
    while True:
        for number, path in enumerate(paths):
            file = _open(path)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return number, file
            except BlockingIOError:
                os.close(file)
        if not told:
            say(f"waits for one of {len(paths)} GPUs")
            told = True
        time.sleep(POLL)


def _open(path: Path) -> int:
    """A file to lock. Another user may have made it: then it is there to be read, and no more is
    needed (asking to make it would be refused in a sticky folder)."""
    try:
        return os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return os.open(path, os.O_RDONLY | os.O_CREAT, 0o644)
