"""One's own images as a dataset of this process: `own`, with one category.

A folder in the MVTec layout is used where it is. Two folders, of images and of masks, get that
layout as links in the cache. Fits and cells declare the category's name, not its place; that it is
the same images is checked, as for any dataset, by the SHA-256 that is stored with every result.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
from pathlib import Path

import numpy as np

from aexad.bench.base.errors import UserError
from aexad.bench.base.refusals import FULL, encodable, listed, misnamed, refusal
from aexad.datasets import catalog, images as reader, passed_over
from aexad.datasets.catalog import Dataset
from aexad.datasets.category import LINKS
from aexad.datasets.folder import EXTENSIONS, GOOD, form, is_image, mask_name

NAME = "own"
GOOD_NAMES = (GOOD, "ok")
ANOMALOUS = "anomalous"  # the kind of all anomalies of two folders
TESTED = 0.2  # share of the normal images of two folders that tests; the others train
DRAW = 40  # which: always the same, as in published datasets; --seeds draws the anomalies
FORMAT = 1  # of the layout in the cache; part of its name


def chosen(args: argparse.Namespace, cache: Path) -> Dataset | None:
    """The dataset that the options give, None where they give none. UserError for folders that
    are not what they should be."""
    if not (args.data or args.images or args.masks):
        if args.data_name:
            raise UserError(f"--data-name {args.data_name}: names what --data, or --images and "
                            f"--masks, give")
        return None
    if bool(args.images) != bool(args.masks) or bool(args.data) == bool(args.images):
        raise UserError("own images: give --data DIR, or both --images DIR and --masks DIR")
    if args.datasets or args.categories:
        raise UserError(f"--{'data' if args.data else 'images'}: these images alone are used; "
                        f"leave out --datasets and --categories")
    left_out: tuple[str, ...] = ()
    if args.data:
        place = Path(args.data).resolve()
        _check_layout(place)
        name = _name(args.data_name or place.name)
    else:
        images, masks = Path(args.images).resolve(), Path(args.masks).resolve()
        together = images.parent == masks.parent and images.parent.name
        name = _name(args.data_name or (images.parent.name if together else images.name))
        place = arrange(images, masks, cache, name)
        left_out = (*passed_over.of_flat(images), *passed_over.of_flat(masks))
    return Dataset("Own images", (str(place.parent),), {name: (place.name,)}, GOOD_NAMES,
                   passed_over=left_out)


def register(own: Dataset | None) -> None:
    """Make the dataset known in this process, in place of one from before."""
    catalog.DATASETS.pop(NAME, None)
    if own:
        catalog.DATASETS[NAME] = own


def rows(own: Dataset) -> list[tuple[str, str]]:
    """Its (dataset, category)."""
    return [(NAME, category) for category in own.categories]


def _name(text: str) -> str:
    """A name that can be a folder's and a part of a file's name."""
    name = re.sub(r"[^\w.-]+", "_", text).strip("._")
    if not name:
        raise UserError(f"--data-name '{text}': give own images a name of letters and digits")
    return name


def _check_layout(place: Path) -> None:
    if not place.is_dir():
        raise UserError(f"--data {place}: no such folder")
    if any((place / "train" / good).is_dir() for good in GOOD_NAMES):
        return
    inside = sorted(p.parent for p in place.glob("*/train") if p.is_dir())
    if inside:
        raise UserError(f"--data {place}: it holds {len(inside)} categories; give one of them, as "
                        f"{inside[0]}")
    raise UserError(f"--data {place}: no folder train/good there; make it train/good, "
                    f"test/<defect>, ground_truth/<defect>, or give two folders with --images and "
                    f"--masks")


# -- two folders --


def arrange(images: Path, masks: Path, cache: Path, name: str) -> Path:
    """The MVTec layout of two folders, as links to their files: a folder in the cache.

    Anomalous images stand in test/anomalous, from where the split draws those that train; a fifth
    of the normal ones in test/good, the others in train/good.
    """
    pairs = pair(images, masks)
    files = [(str(p), *_stamp(p)) for both in pairs for p in both if p]
    key = hashlib.sha256(json.dumps([FORMAT, files]).encode()).hexdigest()[:16]
    place = cache.resolve() / LINKS / f"{name}-{key}"
    if place.exists():
        return place
    links = _layout([(image, mask) for image, mask in pairs])
    if not any(link.startswith(f"test/{ANOMALOUS}/") for link in links):
        raise UserError(f"--masks {masks}: none of its masks marks anything, so that no image is "
                        f"anomalous; make what is anomalous white in them")
    if not any(link.startswith(f"train/{GOOD}/") for link in links):
        raise UserError(f"--images {images}: no normal images to train on; those without a mask, "
                        f"or with a black one, are normal")
    building = place.with_name(f".{place.name}-{os.getpid()}")
    try:
        for link, target in links.items():
            (building / link).parent.mkdir(parents=True, exist_ok=True)
            (building / link).symlink_to(target)
        building.rename(place)
    except OSError as error:
        shutil.rmtree(building, ignore_errors=True)
        if not place.exists():  # else another process was faster
            remedy = "free some space" if error.errno in FULL else "set AEXAD_CACHE to another disk"
            raise UserError(f"{place}: cannot link the images there ({error.strerror}); {remedy}"
                            ) from None
    return place


def _stamp(path: Path) -> tuple[int, int]:
    """Size and time of a file that is going to be read. UserError where that can't be."""
    if not encodable(path.name):
        raise misnamed(path)
    try:
        stat = path.stat()
    except OSError as error:
        raise refusal(error, path) from None
    return stat.st_size, stat.st_mtime_ns


def pair(images: Path, masks: Path) -> list[tuple[Path, Path | None]]:
    """Each image of a folder, sorted by name, with its mask `<stem>.<ext>` or `<stem>_mask.<ext>`
    in the other, or None. UserError for a mask of no image, as the image that it is of would
    count as normal, and for names that are not unique."""
    if images == masks:
        raise UserError(f"--images, --masks: both are {images}; put the masks into a folder of "
                        f"their own")
    pictures = _by_stem("--images", images)
    found: dict[str, Path] = {}
    for stem, mask in _by_stem("--masks", masks).items():
        image = stem if stem in pictures else mask_name(mask).removesuffix("_mask")
        if image not in pictures:
            raise UserError(f"{mask}: a mask without an image; expected {images / image}.png or "
                            f"another kind of image, or remove the mask")
        if image in found:
            raise UserError(f"{mask}: a second mask of {pictures[image].name}, beside "
                            f"{found[image].name}; remove one")
        found[image] = mask
    if not found:
        raise UserError(f"--masks {masks}: no masks there; name them as the images, or "
                        f"<image>_mask.png")
    return [(path, found.get(stem)) for stem, path in pictures.items()]


def _by_stem(option: str, folder: Path) -> dict[str, Path]:
    """The images in a folder by their names without extension (`form`), sorted."""
    if not folder.is_dir():
        raise UserError(f"{option} {folder}: no such folder")
    found: dict[str, Path] = {}
    for path in listed(folder):
        if is_image(path):
            if (stem := form(path.stem)) in found:
                raise UserError(f"{path}: {found[stem].name} has the same name with another "
                                f"extension or in another Unicode form; remove or rename one")
            found[stem] = path
    if not found and option == "--images":
        raise UserError(f"--images {folder}: no images ({', '.join(EXTENSIONS)}) directly in it")
    return found


def _layout(pairs: list[tuple[Path, Path | None]]) -> dict[str, Path]:
    """Where each file goes: path in the category -> file."""
    anomalies = [(image, mask) for image, mask in pairs if mask and reader.marks_something(mask)]
    marked = {image for image, _ in anomalies}
    normals = [image for image, _ in pairs if image not in marked]
    order = np.random.RandomState(DRAW).permutation(len(normals))
    tested = {normals[i] for i in order[:round(TESTED * len(normals))]}
    links = {f"{'test' if image in tested else 'train'}/{GOOD}/{image.name}": image
             for image in normals}
    for image, mask in anomalies:
        links[f"test/{ANOMALOUS}/{image.name}"] = image
        links[f"ground_truth/{ANOMALOUS}/{image.stem}_mask{mask.suffix}"] = mask
    return links
