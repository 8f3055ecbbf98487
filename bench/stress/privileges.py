"""Root is refused nothing, whatever a file's mode says; a process of root's can give that up."""

from __future__ import annotations

import ctypes
import os
import tempfile
from pathlib import Path

CAPABILITIES = (1, 2)  # Linux: CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
VERSION = 0x20080522  # of what capget and capset take
DROP = 24  # prctl's PR_CAPBSET_DROP: for what this process starts


def give_up() -> None:
    """From now on this process is refused what a mode refuses its owner, and all that it starts."""
    if os.geteuid():
        return
    libc, header = ctypes.CDLL(None), (ctypes.c_uint32 * 2)(VERSION, 0)
    for capability in CAPABILITIES:
        libc.prctl(DROP, capability, 0, 0, 0)
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; then of higher numbers
    libc.capget(header, sets)
    for i in range(3):
        sets[i] &= ~sum(1 << capability for capability in CAPABILITIES)
    libc.capset(header, sets)


def refused(folder: Path) -> bool:
    """Whether a child process can be refused a file that is in `folder`."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        os.chmod(place, 0)
        pid = os.fork()
        if pid == 0:
            try:
                give_up()
                os._exit(os.access(place, os.R_OK))
            finally:
                os._exit(2)
        return os.waitpid(pid, 0)[1] == 0
