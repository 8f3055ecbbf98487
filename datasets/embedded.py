"""The embedded suite: drawn inspection images with exact defect masks, no download needed.

Three categories (woven cloth, planks, a gear on a conveyor belt) with three defect types each.
An image is a pure function of ``(category, kind, index, split)``, made in three steps, each with
its own random stream:

1. a *scene* is drawn: the clean surface, before light and camera;
2. a *defect* gives a layer of changed surface and an opacity ``alpha`` in [0, 1], cut to nought
   up to ``ALPHA_FLOOR``: ``alpha > 0`` is the mask, all other pixels equal the clean rendering;
3. a *camera* lights the surface unevenly, tints it, adds sensor noise and quantises to 8 bits.

Normals vary strongly in grey value at all scales and a defect may be lighter or darker than what
it covers, so that no threshold and no mean image finds it well: the local structure does.
"""

from __future__ import annotations

import pathlib
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import scipy  # scipy.ndimage is loaded when an image is drawn: tables of stored results draw none
from PIL import Image

from aexad.datasets.suite import CATEGORIES

SIZE = 256
ALPHA_FLOOR = 0.2  # A defect with less than this share of its strength is left out altogether.
TRAIN_GOOD, TEST_GOOD, TEST_DEFECT = 60, 20, 12

Array = np.ndarray
Rng = np.random.Generator
_Y, _X = np.mgrid[:SIZE, :SIZE].astype(np.float64)
_YARNS = np.array([[0.15, 0.22, 0.38], [0.80, 0.76, 0.66], [0.52, 0.20, 0.18]])
_SETT = np.array([0, 0, 0, 0, 0, 1, 1, 0, 1, 1, 1, 1, 1, 2, 2, 1, 1, 0, 0, 2])  # yarn per thread
_EARLY, _LATE = np.array([0.76, 0.57, 0.36]), np.array([0.38, 0.22, 0.11])  # wood of a year


class _Scene(NamedTuple):
    """A clean surface: RGB in [0, 1], where a defect may lie, and what a defect must know."""

    image: Array
    support: Array
    facts: dict[str, Any]


def _noise(rng: Rng, sigma: float | tuple[float, float]) -> Array:
    """Smooth noise with mean 0 and standard deviation 1; ``sigma`` in pixels, (y, x) if two."""
    field = scipy.ndimage.gaussian_filter(rng.standard_normal(_X.shape), sigma, mode="wrap",
                                          truncate=3)
    return (field - field.mean()) / field.std()


def _turn(angle: float, centre: tuple[float, float] = (SIZE / 2, SIZE / 2)) -> tuple[Array, Array]:
    """Pixel coordinates along and across an axis turned by ``angle`` about ``centre`` (y, x)."""
    y, x = _Y - centre[0], _X - centre[1]
    return x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)


def _mix(first: Any, second: Any, share: Array) -> Array:
    """``first`` where share is 0, ``second`` where it is 1; colours or images alike."""
    share = np.clip(share, 0, 1)[..., None]
    return np.asarray(first) * (1 - share) + np.asarray(second) * share


def _ramp(field: Array, width: float) -> Array:
    """0 to 1 across ``width`` pixels about the zero of a signed distance (inside positive)."""
    return np.clip(field / width + 0.5, 0.0, 1.0)


def _blob(rng: Rng, centre: tuple[float, float], radius: float, rough: float) -> Array:
    """About the signed distance to a random closed outline of mean radius ``radius``."""
    stretch = rng.uniform(1.0, 1.3) ** np.array([-1, 1])[:, None, None]
    along, across = _turn(rng.uniform(0, np.pi), centre) * stretch
    angle, limit = np.arctan2(across, along), np.ones((SIZE, SIZE))
    for k in range(2, 8):
        limit += rough * rng.normal() / k * np.cos(k * angle + rng.uniform(0, 2 * np.pi))
    return radius * np.maximum(limit, 0.4) - np.hypot(along, across)


def _place(rng: Rng, support: Array, margin: int = 28) -> tuple[int, int]:
    """A point (y, x) drawn evenly from the support, off the border of the image."""
    y, x = rng.choice(np.argwhere(support[margin:-margin, margin:-margin])) + margin
    return int(y), int(x)


def _radius(rng: Rng, low: float, high: float) -> float:
    """A size drawn evenly in its logarithm, so that small defects are as common as large."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _weave(facts: dict[str, Any], lost: Array | None = None, lost_warp: bool = False) -> Array:
    """A 2/2 twill in a checked sett; where ``lost``, one family of threads is missing."""
    u, v = facts["u"], facts["v"]
    i, j = np.floor(u).astype(int), np.floor(v).astype(int)
    bare = np.zeros(u.shape, bool) if lost is None else lost
    over = np.where(bare, not lost_warp, (i + j) % 4 < 2)  # the warp lies on top
    off = np.where(over, u - i, v - j) - 0.5
    # Where its partner is gone a thread lies flat: no crowning, and the ground shows beside it.
    crown = np.where(over, (v + i) % 4, (u + j) % 4 - 2) / 2
    crown = np.where(bare, 0.35, np.sin(np.pi * np.clip(crown, 0, 1)))
    body = np.cos(np.pi * off * np.where(bare, 1.35, 0.92)).clip(0) * (0.5 + 0.3 * crown) + 0.28
    thread = np.where(over, i, j)
    tone = facts["uneven"][1 - over, thread % 97] * (1 + 0.06 * facts["fibre"])
    return _YARNS[_SETT[thread % len(_SETT)]] * (tone * body)[..., None]


def _fabric(rng: Rng) -> _Scene:
    """Cloth with its own turn, thread pitch, sett phase, waviness and uneven threads."""
    along, across, pitch = *_turn(rng.normal(0, 0.04)), rng.uniform(6.6, 7.6)
    facts = {  # u and v count the warp and weft threads; the offset keeps them positive
        "u": (along + 1.5 * _noise(rng, 22)) / pitch + 100 + rng.uniform(0, 40),
        "v": (across + 1.5 * _noise(rng, 22)) / pitch + 100 + rng.uniform(0, 40),
        "pitch": pitch, "uneven": rng.normal(1, 0.07, (2, 97)), "fibre": _noise(rng, 0.7),
    }
    return _Scene(_weave(facts), np.ones((SIZE, SIZE), bool), facts)


def _broken_thread(rng: Rng, scene: _Scene) -> tuple[Array, Array]:
    """Two or three neighbouring threads are missing over a length; those crossing lie bare."""
    spot = _place(rng, scene.support, 48)
    lost_warp = rng.random() < 0.5
    across, along = ("u", "v") if lost_warp else ("v", "u")
    row = np.floor(scene.facts[across])
    nth = row - row[spot]
    run = np.abs(scene.facts[along] - scene.facts[along][spot])
    half = _radius(rng, 50, 170) / scene.facts["pitch"] / 2
    # Every thread of the gap breaks at its own place, so the two ends are ragged.
    ragged = half + rng.uniform(-1.5, 1.5, 3)[np.clip(nth, 0, 2).astype(int)]
    lost = (nth >= 0) & (nth < rng.integers(2, 4)) & (run < ragged)
    return _weave(scene.facts, lost, lost_warp), lost.astype(float)


def _hole(rng: Rng, scene: _Scene) -> tuple[Array, Array]:
    """The cloth is torn open: the table shows, with the cloth's shadow and a few loose ends."""
    radius = _radius(rng, 12, 32)
    field = _blob(rng, _place(rng, scene.support), radius, 0.35) + 1.6 * _noise(rng, 2.5)
    table = np.array([0.46, 0.43, 0.40]) * rng.choice([0.4, 1.2])
    lit = np.clip(scipy.ndimage.shift(field, (4, 4), order=1, mode="nearest") / 5, 0, 1)
    layer = table * ((0.45 + 0.55 * lit) * (1 + 0.05 * _noise(rng, 1.5)))[..., None]
    # Threads hang into the hole from its rim, each its own way far, thinner than in the cloth.
    thread = np.floor(scene.facts["u"]).astype(int)
    reach = rng.uniform(-2, 0.6 * radius, 97)[thread % 97]
    loose = (np.abs(scene.facts["u"] - thread - 0.5) < 0.26) & (field < reach)
    layer = np.where(loose[..., None], 0.85 * _YARNS[_SETT[thread % len(_SETT)]], layer)
    return layer, _ramp(field, 2)


def _stain(rng: Rng, scene: _Scene) -> tuple[Array, Array]:
    """A fluid has dyed or bleached the threads, most at the rim where it dried."""
    field = _blob(rng, _place(rng, scene.support), _radius(rng, 13, 34), 0.25)
    rim = np.exp(-((field - 4) ** 2) / 12)
    *dye, base = rng.choice([(0.74, 0.52, 0.18, 0.10), (0.98, 0.92, 0.64, 0.28)])
    dyed = np.array(dye) * (0.75 * scene.image.mean(axis=2, keepdims=True) + base)
    return _mix(scene.image, dyed, 0.8 + 0.2 * rim + 0.05 * _noise(rng, 8)), _ramp(field, 4)


def _wood(rng: Rng) -> _Scene:
    """Planks side by side, each a flat cut through year rings, with its own tint and pores."""
    along, across = _turn(rng.normal(0, 0.03))
    width = rng.uniform(50, 100)
    position = across / width + 50 + rng.uniform()
    plank = np.floor(position).astype(int)
    heart, tip = rng.uniform(-1.2, 1.2, 97)[plank] * width, rng.uniform(-500, 500, 97)[plank]
    sway = 7 * _noise(rng, (12, 60)) + 1.2 * _noise(rng, (2, 14))
    # Distance in a stretched frame: arches near the tip, straight grain far from it.
    ring = np.hypot((position - plank - 0.5) * width - heart + sway, 0.13 * (along - tip))
    ring = ring / rng.uniform(9, 14) + plank * 7.3
    year = np.floor(ring).astype(int)
    # Late wood darkens slowly through a year and ends at once.
    phase = (ring - year) ** 2 * np.clip((1 - (ring - year)) * 6, 0, 1)
    late = phase * rng.uniform(0.6, 1.4, 997)[year % 997] + 0.06 * _noise(rng, (0.8, 12))
    pores = np.clip(_noise(rng, (0.7, 5)) - 1.2, 0, 1)
    # Timber of all sorts, from pale to dark, so that no grey value is odd in itself.
    tint = rng.uniform(0.5, 1.25, 97)[plank] * (1 + 0.05 * _noise(rng, (6, 45)))
    seam = np.clip(np.minimum(position - plank, plank + 1 - position) * width / 1.8, 0, 1)
    image = _mix(_EARLY, _LATE, 0.08 + late + 0.55 * pores) * (tint * (0.3 + 0.7 * seam))[..., None]
    return _Scene(image, np.ones((SIZE, SIZE), bool), {})


def _knot(rng: Rng, scene: _Scene) -> tuple[Array, Array]:
    """A branch cut across: closed rings inside dark bark, of a dark or a pale resinous kind."""
    radius = _radius(rng, 13, 32)
    field = _blob(rng, _place(rng, scene.support), radius, 0.12) + 0.8 * _noise(rng, 5)
    rings = 0.5 + 0.5 * np.sin(2 * np.pi * field / rng.uniform(5, 7) + 0.5 * _noise(rng, 6))
    early, late = rng.choice([[_LATE * 1.8, _LATE * 0.9], [_EARLY * 1.15, _EARLY * 0.65]])
    layer = _mix(late, early, 0.1 + 0.65 * rings + 0.25 * field / radius)
    return _mix(layer, _LATE * 0.55, 0.8 * np.exp(-((field - 1.5) ** 2) / 5)), _ramp(field, 3)


def _liquid(rng: Rng, scene: _Scene) -> tuple[Array, Array]:
    """A spill: a wet, darker pool or a milky one, the grain dimmed, with a glint on its rim."""
    field = _blob(rng, _place(rng, scene.support), _radius(rng, 14, 36), 0.3)
    slope_y, slope_x = np.gradient(scipy.ndimage.gaussian_filter(field, 2))
    lamp = rng.uniform(0, 2 * np.pi)
    facing = slope_y * np.sin(lamp) + slope_x * np.cos(lamp)
    rim = np.exp(-((field - 3) ** 2) / 8)
    film, haze = rng.choice([[(0.74, 0.64, 0.54), (0, 0, 0)], [(0.6, 0.6, 0.6), (0.2, 0.2, 0.19)]])
    layer = (scene.image * film + haze) * (1 - 0.5 * rim * np.clip(-facing, 0, 1))[..., None]
    return _mix(layer, (0.95, 0.95, 0.93), 0.8 * rim * np.clip(facing, 0, 1) ** 2), _ramp(field, 2)


def _scratch(rng: Rng, scene: _Scene) -> tuple[Array, Array]:
    """A bent gouge: one flank catches the light and the other lies in shadow."""
    length, width = _radius(rng, 70, 200), rng.uniform(5, 8)
    along, across = _turn(rng.uniform(0, np.pi), _place(rng, scene.support, 60))
    inside = np.clip(along, -length / 2, length / 2)
    # Distance to a parabola in its own frame: height over it divided by its slope, ends round.
    bend = rng.normal(0, 0.5) / length
    gap = (across - bend * inside**2) / np.hypot(1, 2 * bend * inside) + 0.5 * _noise(rng, 4)
    floor = rng.choice([[0.34, 0.23, 0.15], [0.66, 0.54, 0.38]])
    flank = np.clip(gap / (width / 2), -1, 1) * rng.choice([-1, 1])
    layer = floor * ((1 + 0.1 * _noise(rng, 1.0)) * (1 + 0.6 * flank))[..., None]
    return layer, _ramp(width / 2 - np.hypot(gap, along - inside), 2)


def _metal(facts: dict[str, Any], height: Array) -> Array:
    """Turned steel under a lamp: the slope of ``height`` and the lathe's grain make the shade."""
    slope_y, slope_x = np.gradient(height)
    relief = -(slope_x * np.cos(facts["lamp"]) + slope_y * np.sin(facts["lamp"]))
    shade = np.clip(facts["sheen"] + 0.34 * np.tanh(1.6 * relief), 0.05, 1)
    return facts["steel"] * shade[..., None]


def _belt(rng: Rng) -> Array:
    """The conveyor under the part: a ribbed, worn, bluish mat."""
    along, _ = _turn(rng.normal(0, 0.06))
    rib = np.sin(2 * np.pi * along / rng.uniform(15, 19) + rng.uniform(0, 2 * np.pi))
    tone = rng.uniform(0.42, 0.62) + 0.22 * np.tanh(2 * rib) + 0.05 * _noise(rng, 25)
    return np.array([0.82, 0.98, 1.12]) * (tone + 0.03 * _noise(rng, 1.2))[..., None]


def _shaded(facts: dict[str, Any], cover: Array) -> Array:
    """The belt with the soft shadow that a body of this ``cover`` casts away from the lamp."""
    shift = (5 * np.sin(facts["lamp"]), 5 * np.cos(facts["lamp"]))
    shifted = scipy.ndimage.shift(cover, shift, order=1, mode="nearest")
    fall = scipy.ndimage.gaussian_filter(shifted, 4)
    return facts["belt"] * (1 - 0.5 * fall)[..., None]


def _part(rng: Rng) -> _Scene:
    """A gear blank: toothed rim, bore, raised collar and six holes; pose, lamp and grain vary."""
    centre = tuple(SIZE / 2 + rng.uniform(-9, 9, 2))
    scale, spin, lamp = rng.uniform(0.94, 1.06), *rng.uniform(0, 2 * np.pi, 2)
    x, y = _turn(spin, centre)
    radius, angle = np.hypot(x, y) / scale, np.arctan2(y, x)
    solid = np.minimum(100 + 4 * np.tanh(3 * np.cos(22 * angle)) - radius, radius - 30)
    sector = (angle + np.pi / 6) % (np.pi / 3) - np.pi / 6  # one of six equal ones, with a hole
    solid = np.minimum(solid, np.hypot(radius * np.cos(sector) - 74, radius * np.sin(sector)) - 8)
    cover = _ramp(solid * scale, 1.5)
    grain = np.interp(radius, np.arange(140), rng.normal(0, 0.06, 140))
    # A turned face shines in two opposite fans, which wander with the lamp.
    fans = 0.20 * np.cos(2 * (angle + spin - lamp)) + 0.08 * np.cos(angle + spin - lamp)
    facts = {
        "height": 5 * np.clip(solid / 5, 0, 1) ** 0.7
        + 3 * np.clip((9 - np.abs(radius - 46)) / 4, 0, 1),  # the rim's bevel and the collar
        "lamp": lamp, "cover": cover, "belt": _belt(rng),
        "sheen": 0.53 + fans + grain + 0.02 * _noise(rng, 1.0),
        "steel": np.array([1.02, 1.0, 0.95]) + rng.normal(0, 0.02, 3),
        "rim": np.where(rng.random() < 0.75, np.abs(radius - 92) < 3, np.abs(radius - 38) < 2),
    }
    steel = _metal(facts, facts["height"])
    return _Scene(_mix(_shaded(facts, cover), steel, cover), cover > 0, facts)


def _contamination(rng: Rng, scene: _Scene) -> tuple[Array, Array]:
    """Foreign matter in a cluster of crumbs: rust, dark grease or pale dried coolant."""
    centre, spread = _place(rng, scene.support), rng.uniform(8, 18)
    field = _blob(rng, centre, _radius(rng, 11, 24), 0.35)
    for _ in range(rng.integers(2, 7)):
        crumb = tuple(rng.normal(centre, spread))
        field = np.maximum(field, _blob(rng, crumb, rng.uniform(3, 8), 0.35))
    colour = rng.choice([[0.62, 0.36, 0.18], [0.30, 0.27, 0.20], [0.76, 0.75, 0.60]])
    layer = _mix(scene.image, colour, np.full(field.shape, 0.85))
    return layer * (1 + 0.25 * _noise(rng, 1.6))[..., None], _ramp(field, 2) * scene.support


def _dent(rng: Rng, scene: _Scene) -> tuple[Array, Array]:
    """The metal is pushed in: the same surface, dulled, creased and shaded at a lower height."""
    size = _radius(rng, 16, 32)
    field = _blob(rng, _place(rng, scene.support), size, 0.12)
    depth = size * rng.uniform(0.5, 0.7) * (1 - (1 - np.clip(field / size, 0, 1)) ** 2)
    crease = 0.88 - 0.4 * np.exp(-((field - 2) ** 2) / 5)
    layer = _metal(scene.facts, scene.facts["height"] - depth)
    return layer * crease[..., None], _ramp(field, 2) * scene.facts["cover"]


def _missing_piece(rng: Rng, scene: _Scene) -> tuple[Array, Array]:
    """A chunk has broken off the rim or the bore; the belt shows behind a rough broken face."""
    spot = _place(rng, scene.facts["rim"], 8)
    field = _blob(rng, spot, _radius(rng, 17, 34), 0.3) + 1.2 * _noise(rng, 2.5)
    belt = _shaded(scene.facts, scene.facts["cover"] * (1 - _ramp(field, 1.5)))
    face = np.exp(-((field - 2) ** 2) / 5) * (0.8 + 0.2 * _noise(rng, 1))
    return _mix(belt, (0.34, 0.33, 0.33), face), _ramp(field, 1.5) * scene.support


_SCENES: dict[str, Callable[[Rng], _Scene]] = {"fabric": _fabric, "wood": _wood, "part": _part}
_DEFECTS: dict[str, dict[str, Callable[[Rng, _Scene], tuple[Array, Array]]]] = {
    "fabric": {"broken_thread": _broken_thread, "hole": _hole, "stain": _stain},
    "wood": {"knot": _knot, "liquid": _liquid, "scratch": _scratch},
    "part": {"contamination": _contamination, "dent": _dent, "missing_piece": _missing_piece},
}


def _camera(rng: Rng) -> Callable[[Array], Array]:
    """One exposure: uneven light, white balance and sensor noise, the same for any surface."""
    light = 1 + rng.uniform(0.05, 0.4) * _turn(rng.uniform(0, 2 * np.pi))[0] / SIZE
    gain = light[..., None] * rng.uniform(0.85, 1.1) * rng.normal(1, 0.025, 3)
    noise = rng.normal(0, rng.uniform(0.01, 0.02), (SIZE, SIZE, 3))
    return lambda surface: np.rint(np.clip(surface * gain + noise, 0, 1) * 255).astype(np.uint8)


def render(category: str, kind: str, index: int, split: str) -> tuple[Array, Array, Array]:
    """The image, the same scene without its defect, and the mask; see ``sample``."""
    if kind != "good" and kind not in CATEGORIES[category]:
        raise ValueError(f"{category} has no defect type {kind!r}")
    # crc32 is the same on every machine and in every run, which hash() of a string is not.
    words = [zlib.crc32(word.encode()) for word in (category, kind, split)]
    streams = np.random.SeedSequence([*words, index]).spawn(3)
    scene_rng, defect_rng, camera_rng = (np.random.default_rng(stream) for stream in streams)
    scene, shoot = _SCENES[category](scene_rng), _camera(camera_rng)
    layer, alpha = scene.image, np.zeros((SIZE, SIZE))
    if kind != "good":
        layer, alpha = _DEFECTS[category][kind](defect_rng, scene)
    alpha = np.where(alpha > ALPHA_FLOOR, alpha, 0.0)
    return shoot(_mix(scene.image, layer, alpha)), shoot(scene.image), alpha > 0


def sample(category: str, kind: str, index: int, split: str) -> tuple[Array, Array]:
    """One image (uint8, 256 x 256 x 3) and its mask (bool); ``kind`` is 'good' or a defect."""
    return render(category, kind, index, split)[::2]


def _save(pixels: Array, path: pathlib.Path) -> None:
    """Write a PNG fast rather than small: noise hardly compresses, and time matters more."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, compress_level=1)


def write(root: pathlib.Path, category: str) -> None:
    """Write one category under ``root`` as PNG files in the MVTec folder layout."""
    parts = [("train", "good", TRAIN_GOOD), ("test", "good", TEST_GOOD)]
    parts += [("test", kind, TEST_DEFECT) for kind in CATEGORIES[category]]
    for split, kind, count in parts:
        for index in range(count):
            image, mask = sample(category, kind, index, split)
            _save(image, root / category / split / kind / f"{index:03d}.png")
            if kind != "good":
                truth = root / category / "ground_truth" / kind / f"{index:03d}_mask.png"
                _save(mask.astype(np.uint8) * 255, truth)
