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
    of `path` is: a name of 255 bytes is a good one."""
    return path.with_name(f".{path.name[:30]}.{_HERE}.{os.getpid()}.tmp")


def sweep(folder: Path) -> None:
    """Remove the neighbours that processes of this machine left when they were killed."""
    for path in folder.glob(f".*.{glob.escape(_HERE)}.*.tmp"):
        pid = path.name.split(".")[-2]
        if pid.isdigit() and not _alive(int(pid)):
            path.unlink(missing_ok=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
