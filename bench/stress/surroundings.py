"""What surrounds a command on a user's machine: home, terminal, settings of libraries, permissions,
links, disks. A real command runs in each: it writes what it writes elsewhere, bit for bit, or ends
in one line; and once the surroundings are well again, the same command ends as if nothing had been.
"""

from __future__ import annotations

import errno
import math
import os
import random
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from aexad.bench.results.model import FACTS, TENSORS
from aexad.bench.results.store import FIT, read_json
from aexad.bench.stress.calls import (
    NOWHERE,
    Call,
    Check,
    Copies,
    Undisturbed,
    away,
    both,
    closed,
    environment,
    inside,
    undisturbed,
)
from aexad.bench.stress.field import Field, Untried
from aexad.bench.stress.privileges import give_up, refused

ODD_RC = "text.usetex: True\nsavefig.transparent: True\nfont.size: 30\nbackend: TkAgg\n"
BACKENDS = ("module://matplotlib_inline.backend_inline", "module://nowhere.at_all", "TkAgg")
CARBON = ({"pue": "1000"}, {"force_cpu_power": "100000"}, {"tracking_mode": "nonsense"},
          {"force_carbon_intensity_g_co2e_kwh": "1"}, {"output_dir": "/no/such/folder"},
          {"cloud_provider": "gcp", "cloud_region": "europe-west1"})
SHORT = 30  # times the power of one reading that another of a tenth of a second may have

Kind = Callable[[Undisturbed, random.Random, Path], Iterator[Call]]


def home(plain: Undisturbed, rng: random.Random, place: Path) -> Iterator[Call]:
    """Missing, read-only, and `~` that no shell has read."""
    no_places = dict.fromkeys(("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "TORCH_HOME", "HF_HOME"))
    (place / "kept").mkdir(mode=0o555)
    (place / "file").touch()
    kept = place / "kept" if refused(place) else Path("/proc")  # where not even root makes a folder
    for name, where in (("a missing home", place / "file/home"), ("a read-only home", kept)):
        prepare = both(environment(HOME=where, **no_places), give_up)
        yield Call(name, *plain.table(place / name), prepare)
        yield Call(f"{name}, weights wanted", plain.table(
            place / name, "--methods", "ae_xad", "--set", "ae_xad.encoder=resnet50")[0],
            prepare=prepare, status=2, says="--weights")
    for name in ("options", "variables"):
        own, here = place / f"home of {name}", place / f"here, {name}"
        own.mkdir()
        (own / "data").symlink_to(plain.field.data)
        words, given = plain.field.words(own / "r"), {}
        if name == "options":
            words += ["--data-root=~/data", "--results=~/r"]
        else:
            words = [words[0], *words[5:]]
            given = {"AEXAD_DATA": "~/data", "AEXAD_RESULTS": "~/r", "AEXAD_CACHE": "~/c"}
        yield Call(f"~ in {name}", words, _nothing_in(here, plain.table(own / "r")[1]),
                   inside(here, HOME=own, **given))


def _nothing_in(folder: Path, check: Check, *but: str) -> Check:
    return lambda: check() + [f"{p.name} was made in the working folder"
                              for p in sorted(folder.iterdir()) if p.name not in but]


def output(plain: Undisturbed, rng: random.Random, place: Path) -> Iterator[Call]:
    """Terminals and files that do not take what is printed."""
    encoding = rng.choice(("ascii", "latin-1", "cp437", "iso8859-7"))
    yield Call(encoding, *plain.any(rng, place / "a", "table", "run", "explain"),
               environment(PYTHONIOENCODING=encoding), fresh=True)
    yield Call("the C locale", *plain.any(rng, place / "b", "table", "run", "explain"),
               environment(LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0"), fresh=True)
    streams = rng.choice(((1,), (2,), (1, 2), (0, 1, 2)))
    yield Call(f"closed: {streams}", *plain.any(rng, place / "c", "table", "run", "explain"),
               both(*(partial(os.close, stream) for stream in streams)), fresh=True)
    for name, opened in (("a full disk behind >", _full_disk), ("a closed window", _closed_window)):
        yield Call(name, *plain.any(rng, place / name, "table", "run"), partial(_print_to, opened),
                   1, "error: the output cannot be written (", fresh=True)


def _print_to(opened: Callable[[], int]) -> None:
    os.dup2(opened(), 1)


def _full_disk() -> int:
    return os.open("/dev/full", os.O_WRONLY)


def _closed_window() -> int:
    there, here = os.openpty()
    os.close(there)
    return here


def matplotlib(plain: Undisturbed, rng: random.Random, place: Path) -> Iterator[Call]:
    """What a user has set for pictures, or a notebook has."""
    here, rc = place / "here", place / "rc" / "matplotlibrc"
    for folder in (here, rc.parent):
        folder.mkdir()
        (folder / "matplotlibrc").write_text(ODD_RC, "utf-8")
    backend = rng.choice(BACKENDS)
    for name, prepare in ((backend, environment(MPLBACKEND=backend)),
                          ("a matplotlibrc here", inside(here)),
                          ("a matplotlibrc", environment(MATPLOTLIBRC=rc)),
                          ("a matplotlibrc in its folder", environment(MPLCONFIGDIR=rc.parent))):
        yield Call(name, *plain.any(rng, place / name.replace("/", "-"), "run", "explain"), prepare,
                   fresh=True)


def codecarbon(plain: Undisturbed, rng: random.Random, place: Path) -> Iterator[Call]:
    """What a user has set for CodeCarbon, or broken."""
    file = ".codecarbon.config"
    for where in ("home", "here", "variables", "broken"):
        given = rng.choice(CARBON)
        here, own = place / f"{where}, here", place / f"{where}, home"
        prepare = inside(here, HOME=own, **{
            f"CODECARBON_{k.upper()}": v for k, v in given.items() if where == "variables"})
        text = "[codecarbon\n" if where == "broken" else "[codecarbon]\n" + "".join(
            f"{key}={value}\n" for key, value in given.items())
        own.mkdir()
        if where != "variables":
            ((own if where == "home" else here) / file).write_text(text, "utf-8")
        words, check = plain.table(place / where)
        check = _same_power(place / where, plain.field.whole, check)
        yield Call(f"{where}: {given}", words, _nothing_in(here, check, file), prepare)


def _same_power(results: Path, whole: Path, check: Check) -> Check:
    return lambda: check() + _other_power(results, whole)


def _other_power(results: Path, whole: Path) -> list[str]:
    """Readings of fits that are of another country, tool or power than those of the whole run."""
    wrong = []
    for path in sorted(whole.rglob(FIT)):
        was = read_json(path)["emissions"]
        now = (read_json(results / path.relative_to(whole)) or {}).get("emissions")
        if not now or any(now[key] != was[key] for key in ("country", "mode")):
            wrong.append(f"measured otherwise: {now}, not {was}")
        elif now["kwh"] and was["kwh"]:
            grams, power = (math.log(f(now) / f(was)) for f in (
                lambda r: r["grams"] / r["kwh"], lambda r: r["kwh"] / r["seconds"]))
            if abs(grams) > 1e-6 or abs(power) > math.log(SHORT):
                wrong.append(f"another energy: {now}, not {was}")
    return wrong


def permissions(plain: Undisturbed, rng: random.Random, place: Path) -> Iterator[Call]:
    """What may not be read: images, masks, datasets, results, the cache, models."""
    if not refused(place):
        raise Untried("this user is refused nothing")
    copies = Copies(plain, place)
    for path in (*copies.of_data(), copies.data):
        with closed(path):
            yield copies.new("no permission", path, give_up)
    for path in (*copies.of_results(rng), copies.results, copies.results / "cells"):
        with closed(path):
            yield copies.again("no permission", path, give_up)
    for path in (copies.model, copies.model / FACTS, copies.model / TENSORS):
        with closed(path):
            yield copies.explained("no permission", path, give_up)
    (place / "cache").mkdir(exist_ok=True)
    with closed(place / "cache"):
        yield Call("a cache that is closed", *plain.table(place / "uncached"), says="cannot cache",
                   prepare=both(give_up, environment(AEXAD_CACHE=place / "cache")))
    yield from copies.given_back()


def links(plain: Undisturbed, rng: random.Random, place: Path) -> Iterator[Call]:
    """Links to what is not there: data that was not fetched, a disk that is not mounted."""
    copies = Copies(plain, place)
    for path in copies.of_data():
        with away(path, place / "aside"):
            yield copies.new("a link to", path)
    for path in (*copies.of_results(rng), copies.results, copies.results / "cells"):
        with away(path, place / "aside"):
            yield copies.again("a link to", path)
    for path in (copies.model, copies.model / FACTS, copies.model / TENSORS):
        with away(path, place / "aside"):
            yield copies.explained("a link to", path)
    (place / "gone").symlink_to(NOWHERE)
    yield Call("a cache that is not mounted", *plain.table(place / "uncached"), says="cannot cache",
               prepare=environment(AEXAD_CACHE=place / "gone"))
    yield from copies.given_back()


def modes(plain: Undisturbed, rng: random.Random, place: Path) -> Iterator[Call]:
    """A disk that knows no modes, links or syncing, as CIFS, vfat and FUSE."""
    number = rng.choice((errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS))

    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    def prepare() -> None:
        for name in ("chmod", "fchmod", "lchmod", "chown", "utime", "link", "symlink", "setxattr"):
            setattr(os, name, refuse)
        if number != errno.EPERM:
            os.fsync = refuse

    for name in ("table", "fit", "explain"):
        yield Call(f"{name}, {os.strerror(number)}", *getattr(plain, name)(place / name), prepare)


KINDS: dict[str, Kind] = {
    "home": home, "output": output, "matplotlib settings": matplotlib,
    "CodeCarbon settings": codecarbon, "no permission": permissions, "links to nowhere": links,
    "a disk without modes": modes}


def fault(kind: Kind) -> Callable[[Field, random.Random, Path], tuple[int, list[str]]]:
    """A round: the commands of a kind, one after another."""
    def tried(field: Field, rng: random.Random, results: Path) -> tuple[int, list[str]]:
        results.mkdir()
        calls = kind(undisturbed(field), rng, results)
        return 0, [what for call in calls for what in call.run(field)]
    return tried
