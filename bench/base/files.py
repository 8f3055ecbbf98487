"""Temporary neighbours of files that are being written. Their names say which process on which
machine writes them, so that what a killed one left is told from what another is writing."""

from __future__ import annotations

import glob
import os
import platform
import re
from pathlib import Path

_HERE = re.sub(r"\W", "-", platform.node())[:40]


def neighbour(path: Path) -> Path:
    """Where this process writes what will be renamed to `path`. Its name is short whatever that
    of `path` is: a name of 255 bytes is a good one. It has the end of that name, in which files
    that are written together differ."""
    return path.with_name(f".{path.name[-30:]}.{_HERE}.{os.getpid()}.tmp")


def sweep(folder: Path) -> None:
    """Remove the neighbours that processes of this machine left when they were killed."""
    for path in folder.glob(f".*.{glob.escape(_HERE)}.*.tmp"):
        pid = path.name.split(".")[-2]
        if pid.isdigit() and not alive(int(pid)):
            path.unlink(missing_ok=True)


def alive(pid: int) -> bool:
    """Whether this machine has a process of that id; another user's counts."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):  # none has an id that is no id
        return False
    except PermissionError:
        pass
    return True
