"""Where a number comes from: code, libraries, machine."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

from aexad.bench.base.places import ROOT

LIBRARIES = ("torch", "torchvision", "timm", "numpy", "scipy", "pillow")


@cache
def libraries() -> dict[str, str]:
    """Versions of the libraries that results depend on."""
    found = {"python": platform.python_version()}
    return found | {name: _version(name) for name in LIBRARIES}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"


@cache
def commit() -> str:
    """The git commit of this code, with '+changes' when tracked files differ from it,
    other than results: a baseline that was just saved is no change of the code. The version where
    it was installed without git's files; git itself would look for some in the folders above."""
    if not (ROOT / ".git").exists():
        return _version("aexad-bench")

    def git(*words: str) -> str:
        return subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True,
                              text=True, check=True).stdout.strip()
    try:
        changed = git("status", "--porcelain", "--untracked-files=no", "--", ":!results")
        return git("rev-parse", "--short=12", "HEAD") + ("+changes" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def device_name(device: torch.device) -> str:
    """'NVIDIA H200', or the processor's name."""
    if device.type == "cuda":
        import torch  # here alone: whoever names a folder or a version needs no torch

        return torch.cuda.get_device_name(device)
    return _processor()


@cache
def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return "cpu: " + line.partition(":")[2].strip()
    except OSError:
        pass
    return "cpu: " + (platform.processor() or platform.machine())


def collect(device: torch.device, threads: int, more: Sequence[str] = ()) -> dict[str, Any]:
    """Everything that two comparable results should have in common, and the commit. more: packages
    that a method of somebody else's names as its own; their versions stand apart, as two methods
    need not have them in common."""
    stated = {"method_libraries": {name: _version(name) for name in more}} if more else {}
    return {**stated, "commit": commit(), "libraries": libraries(), "device": device_name(device),
            "threads": threads, "system": platform.platform()}
