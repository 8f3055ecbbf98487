"""The datasets of the paper as data: categories, folder names, split rule (Section 5.1).

To add a dataset in the MVTec folder layout, add an entry to DATASETS.
"""

from __future__ import annotations

from dataclasses import dataclass

from aexad.datasets import suite


@dataclass(frozen=True)
class Dataset:
    """One dataset. Paths are <data root>/<one of folders>/<one of a category's folders>.

    categories: name -> names that its folder may have ('' = the dataset's own folder).
    good: names of the folders of normal images. per_type: anomalies of each type that go to
    training. train_anomalies: a total in its place, drawn over all types, unless the folder train/
    holds anomalies itself. grey_masks: masks have been resampled by their publishers, so that
    values between black and white are expected and cut at data.mask_threshold. passed_over: what
    was passed over in the making of a user's own one.
    """

    title: str
    folders: tuple[str, ...]
    categories: dict[str, tuple[str, ...]]
    good: tuple[str, ...] = ("good",)
    per_type: int = 3
    train_anomalies: int | None = None
    grey_masks: bool = False
    passed_over: tuple[str, ...] = ()


def _same(*names: str) -> dict[str, tuple[str, ...]]:
    return {name: (name,) for name in names}


DATASETS: dict[str, Dataset] = {
    "mvtec": Dataset(
        "MVTec AD", ("mvtec", "mvtec_ad", "mvtec_anomaly_detection", "MVTec"),
        _same("bottle", "cable", "capsule", "carpet", "grid", "hazelnut", "leather", "metal_nut",
              "pill", "screw", "tile", "toothbrush", "transistor", "wood", "zipper")),
    "wfdd": Dataset(
        "WFDD", ("wfdd", "WFDD"),
        _same("grey_cloth", "grid_cloth", "pink_flower", "yellow_cloth")),
    "btad": Dataset(
        "BTAD", ("btad", "BTAD", "BTech_Dataset_transformed"),
        {f"btad_{n}": (n, f"btad_{n}") for n in ("01", "02", "03")}, good=("ok", "good")),
    # For the three small sets the paper's "three of each type" can't be: Table 3's fractions are
    # k/25, k/15 and k/7, so 25, 15 and 7 anomalies are tested and the others train (row 44).
    "wood": Dataset("Wood", ("wood",), {"wood": ("", "wood")},
                    train_anomalies=51, grey_masks=True),
    "hazelnut": Dataset("Hazelnut", ("hazelnut",), {"hazelnut": ("", "hazelnut")},
                        train_anomalies=10, grey_masks=True),
    "road": Dataset("Road Inspection", ("road", "road_inspection"), {"road": ("", "road")},
                    train_anomalies=10, grey_masks=True),
    "embedded": Dataset("Embedded suite (generated)", ("embedded",), _same(*suite.CATEGORIES)),
}

PAPER = tuple(name for name in DATASETS if name != "embedded")


def all_categories(datasets: tuple[str, ...]) -> list[tuple[str, str]]:
    """(dataset, category) pairs in the order of the paper's tables."""
    return [(d, c) for d in datasets for c in DATASETS[d].categories]
