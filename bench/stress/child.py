"""Commands in forked processes: what `aexad-bench` calls, without its seconds of imports."""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from aexad import methods
from aexad.bench.base.errors import UserError

Main = Callable[[Sequence[str]], int]  # takes the words of a command, returns its status
CRASHED = 70  # status of a command that ended in an exception


class Child:
    """A running command. code: its status once it has ended, negative where a signal ended it."""

    def __init__(self, main: Main, words: Sequence[str], log: Path,
                 prepare: Callable[[], None] | None = None) -> None:
        """Start the command; its output goes to `log`. main: what runs a command; prepare: called
        first, in the child."""
        # All that is imported here is imported once for all children.
        import codecarbon  # noqa: F401
        for name in methods.entries():
            with suppress(UserError):  # whose library is not installed
                methods.load(name)

        self.log, self.code = log, None
        log.write_bytes(b"")
        sys.stdout.flush(), sys.stderr.flush()
        self.pid = os.fork()
        if self.pid:
            return
        status = CRASHED
        try:
            os.setsid()
            file = os.open(log, os.O_WRONLY | os.O_APPEND)
            for stream in (1, 2):
                os.dup2(file, stream)
            # a pytest may have put others in their place
            sys.stdout, sys.stderr = (open(i, "w", closefd=False) for i in (1, 2))
            if prepare:
                prepare()
            status = main(list(words))
        except BaseException:  # noqa: BLE001  a child that ends here ends with its status
            traceback.print_exc()
        finally:
            sys.stdout.flush(), sys.stderr.flush()
            os._exit(status)

    def alive(self) -> bool:
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
        return self.code is None

    def wait(self, seconds: float) -> None:
        """Until it ends; after so many seconds it is killed."""
        until = time.monotonic() + seconds
        while self.alive():
            if time.monotonic() > until:
                os.kill(self.pid, signal.SIGKILL)
            time.sleep(0.01)

    def kill_after(self, seconds: float) -> int:
        """Kill it after so many seconds where it still runs; returns how many kills that were."""
        until = time.monotonic() + seconds
        while self.alive() and time.monotonic() < until:
            time.sleep(0.002)
        if not self.alive():
            return 0
        os.kill(self.pid, signal.SIGKILL)
        self.wait(60)
        return 1

    def workers(self) -> list[int]:
        """The processes of joblib's workers."""
        found = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                parent = int(stat.read_text().rpartition(")")[2].split()[1])
                command = (stat.parent / "cmdline").read_bytes()
            except OSError:
                continue
            if parent == self.pid and b"loky" in command and b"resource_tracker" not in command:
                found.append(int(stat.parent.name))
        return found

    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def said(self) -> str:
        """The last lines, in one."""
        return " | ".join(self.text().strip().splitlines()[-3:])[-500:]

    def refused(self) -> bool:
        """Status 2, one line that says why, and no traceback."""
        errors = [line for line in self.text().splitlines() if line.startswith("error: ")]
        return self.code == 2 and len(errors) == 1 and "Traceback" not in self.text()

    def table(self) -> list[str]:
        """The lines of the table itself."""
        return [line for line in self.text().splitlines() if line.startswith(("  ", "Table"))]
