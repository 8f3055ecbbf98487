"""Parameters of the data, for all methods the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aexad.bench.base.errors import UserError
from aexad.bench.base.params import param

if TYPE_CHECKING:  # it imports numpy, and the command line reads these parameters
    from aexad.bench.measure.tiles import Tiling


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
    tile: int | None = param(None, "side of tiles, pixels of the image, that are resized to size "
                             "one by one; none: the whole image is, as in the paper",
                             low=32, high=100_000, before=None)
    tile_overlap: float = param(0.25, "part of a tile's side that its neighbour shares, at least",
                                low=0.0, high=0.75, before=0.25)

    def __post_init__(self) -> None:
        if self.tile is None:
            if self.tile_overlap != 0.25:
                raise UserError(f"data.tile_overlap={self.tile_overlap}: nothing is cut into tiles "
                                f"without data.tile; give it, or leave this out")
            return
        from aexad.bench.measure.tiles import UNIT  # numpy, for those who cut

        if self.tile < self.size:
            raise UserError(f"data.tile={self.tile}: smaller than data.size={self.size}, to which "
                            f"a tile is shrunk; raise it, or lower data.size")
        elif self.size % UNIT:
            raise UserError(f"data.size={self.size}: must be a multiple of {UNIT} with data.tile")

    @property
    def tiling(self) -> Tiling | None:
        """How images at their working size are cut."""
        from aexad.bench.measure.tiles import Tiling  # as above

        return None if self.tile is None else Tiling(self.size, self.tile_overlap)

    def working(self, width: int, height: int) -> tuple[int, int]:
        """The width and height at which an image of that size on disk is worked on: with tiles its
        size times size / tile, to the nearest pixel, halves up."""
        if self.tile is None:
            return self.size, self.size
        across, down = (max(1, (2 * side * self.size + self.tile) // (2 * self.tile))
                        for side in (width, height))
        return across, down

    @property
    def scale(self) -> str:
        """The working size, in words."""
        return f"{self.size} px" + (f" for {self.tile}" if self.tile else "")
