"""Parameters of the data, for all methods the same."""

from __future__ import annotations

from dataclasses import dataclass

from aexad.bench.base.params import param


@dataclass(frozen=True)
class DataParams:
    """How images are read and split."""

    size: int = param(224, "side of the images, pixels, a multiple of 8 (Section 5.1)",
                      low=32, high=4096)
    image_interp: str = param("nearest", "resizing of images (row 20)",
                              choices=("nearest", "bilinear", "antialias"))
    mask_threshold: int = param(127, "grey masks: anomalous above this (row 21)", low=0, high=254)
    grey_masks: str = param("auto", "masks of more than two values: refuse them, cut them at "
                            "mask_threshold, or as the dataset's publishers made them",
                            choices=("auto", "refuse", "threshold"))
    per_type: int | None = param(None, "anomalies of each type that train; none: the dataset's "
                                 "rule, 3 in the paper (Section 5.1; row 44)",
                                 low=1, high=1_000_000)
    bits: int = param(16, "bits that 16-bit grey images use, such as 12 of a camera's; of them the "
                      "highest 8 are kept", low=8, high=16, before=16)
    max_train: int | None = param(None, "most training images of a category; none: all",
                                  low=4, high=1_000_000)
