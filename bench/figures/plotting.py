"""The one door to matplotlib: pictures depend on what is written here, and on no one's matplotlibrc
or MPLBACKEND, which may be broken, or ask for a program or a window that is not there."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, chdir, contextmanager
from pathlib import Path

NOTHING = {"MPLBACKEND": "agg", "MATPLOTLIBRC": os.devnull}  # in place of the user's


@contextmanager
def _without_settings() -> Iterator[None]:
    """What matplotlib reads while it is imported are no settings of the user's. Its first choice, a
    matplotlibrc in the working folder, can only be avoided from elsewhere."""
    before = {name: os.environ.get(name) for name in NOTHING}
    log = logging.getLogger("matplotlib")
    level = log.level
    with ExitStack() as stack:
        if os.path.lexists("matplotlibrc"):
            stack.enter_context(chdir(Path(__file__).parent))
        os.environ.update(NOTHING)
        log.setLevel(logging.ERROR)  # no home for its cache of fonts: it takes a temporary folder
        try:
            yield
        finally:
            log.setLevel(level)
            for name, value in before.items():
                os.environ.pop(name, None)
                if value is not None:
                    os.environ[name] = value


with _without_settings():
    import matplotlib
    from matplotlib import colormaps, patheffects
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch
    from matplotlib.textpath import TextPath
    from matplotlib.ticker import MaxNLocator

__all__ = ["Artist", "Axes", "Figure", "Line2D", "MaxNLocator", "Patch", "TextPath", "colormaps",
           "patheffects", "use", "use_while"]


def use(settings: dict[str, object]) -> None:
    """matplotlib's own defaults with `settings`, also where something else has imported it first,
    with the user's."""
    own = dict(matplotlib.rcParamsDefault.items())
    matplotlib.rcParams.update({**own, "backend": "agg", **settings})


def use_while(settings: dict[str, object]) -> AbstractContextManager[None]:
    """`settings` beside those in use, for as long as the context lasts."""
    return matplotlib.rc_context(settings)
