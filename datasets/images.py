"""Reading and resizing one image or mask; every defect of a file is a UserError that names it."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from aexad.bench.base.errors import UserError

# Pillow knows many more and tells them by their content: PostScript would be run, for one.
FORMATS = ("PNG", "JPEG", "BMP", "TIFF")
# Pixels of the largest image. A file of a kilobyte can ask for billions. 12,000 x 8,333 is beyond
# what is printed of any dataset (MVTec: 1 MP) and takes 0.3 GB decoded, 1 GB while it is worked on.
LARGEST = 100_000_000
Image.MAX_IMAGE_PIXELS = LARGEST
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)  # refused in one line


def read_image(path: Path, size: int, interpolation: str) -> tuple[np.ndarray, tuple[int, int]]:
    """(image (size, size, 3) uint8, its size (width, height) on disk).

    interpolation: nearest; bilinear between the four nearest pixels; antialias: bilinear over the
    area that a new pixel covers.
    """
    picture = _open_rgb(path)
    shape, wanted = picture.size, (size, size)
    if interpolation == "bilinear":
        scale = (shape[0] / size, 0, 0, 0, shape[1] / size, 0)
        small = picture.transform(wanted, Image.AFFINE, scale, Image.BILINEAR)
    else:
        small = picture.resize(wanted, Image.NEAREST if interpolation == "nearest"
                               else Image.BILINEAR)
    return np.asarray(small), shape


def read_rgb(path: Path) -> np.ndarray:
    """The image at its own size, (height, width, 3) uint8."""
    return np.asarray(_open_rgb(path))


def read_mask(path: Path, size: int, shape: tuple[int, int], threshold: int, grey: bool
              ) -> np.ndarray:
    """The mask (size, size) bool, nearest. It must have the size `shape` of its image on disk and
    two values, black and another; with `grey`, whatever is above `threshold` is anomalous."""
    values = _grey_values(path)
    height, width = values.shape
    if (width, height) != shape:
        raise UserError(f"{path}: the mask is {width}x{height} pixels, its image "
                        f"{shape[0]}x{shape[1]}; make them equal")
    if not grey:
        levels = np.unique(values)
        if len(levels) > 2 or (len(levels) == 2 and levels[0] != 0):
            raise UserError(f"{path}: a non-binary mask ({len(levels)} grey values); make it black "
                            f"and white, or pass --set data.grey_masks=threshold")
        threshold = 0  # masks in {0, 1} are common, too
    small = Image.fromarray((values > threshold).astype(np.uint8) * 255)
    return np.asarray(small.resize((size, size), Image.NEAREST)) > 0


def marks_something(path: Path) -> bool:
    """Whether any pixel of a mask is not black."""
    return bool(_grey_values(path).any())


def _open_rgb(path: Path) -> Image.Image:
    picture = _open(path)
    if picture.mode.startswith("I"):  # 16-bit grey: keep the high byte, PIL's own way would clip
        return Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8)).convert("RGB")
    return picture.convert("RGB")


def _grey_values(path: Path) -> np.ndarray:
    """(height, width) of an integer type: 0 to 255, or 65535 where the file has 16 bits."""
    picture = _open(path)
    if picture.mode != "L" and not picture.mode.startswith("I"):
        picture = picture.convert("L")
    return np.asarray(picture)


def _open(path: Path) -> Image.Image:
    picture, _ = decoded(path)
    if picture.mode.startswith("F"):
        raise UserError(f"{path}: 32-bit float pixels, of which no number means white; save it "
                        f"with 8 or 16 bits")
    if picture.mode == "I" and not all(0 <= v < 2**16 for v in picture.getextrema()):
        raise UserError(f"{path}: 32-bit pixels outside 0 .. 65535; save it with 8 or 16 bits")
    return picture


def decoded(path: Path, formats: Sequence[str] = FORMATS) -> tuple[Image.Image, int]:
    """The picture as viewers and annotation tools show it, turned as its EXIF data say, and how
    many frames the file has, of which it is the first. UserError for a damaged or large one."""
    try:
        picture = Image.open(path, formats=formats)
        _check_size(path, picture)
        frames = getattr(picture, "n_frames", 1)
        picture.load()
        _check_size(path, picture)  # what is behind the header may have changed it
        ImageOps.exif_transpose(picture, in_place=True)
    except Image.DecompressionBombError as error:  # raised from twice as many on
        raise _too_large(path, str(error)) from None
    except UnidentifiedImageError:
        raise UserError(f"{path}: not an image that can be read ({', '.join(formats)}); replace "
                        f"the file") from None
    except (OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, AttributeError,
            OverflowError, MemoryError, struct.error) as error:  # what PIL's parsers raise
        reason = str(error) or type(error).__name__
        raise UserError(f"{path}: damaged image ({reason}); replace the file") from None
    return picture, frames


def _check_size(path: Path, picture: Image.Image) -> None:
    width, height = picture.size
    if width * height > LARGEST:
        raise _too_large(path, f"{width} x {height}")


def _too_large(path: Path, what: str) -> UserError:
    return UserError(f"{path}: more than {LARGEST:,} pixels ({what}); scale the image down")
