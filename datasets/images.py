"""Reading and resizing one image or mask; every defect of a file is a UserError that names it."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from aexad.bench.base.errors import UserError
from aexad.bench.base.refusals import not_fetched, of_system, refusal
from aexad.datasets.data_params import DataParams

# Pillow knows many more and tells them by their content: PostScript would be run, for one.
FORMATS = ("PNG", "JPEG", "BMP", "TIFF")
# Pixels of the largest image. A file of a kilobyte can ask for billions. 12,000 x 8,333 is beyond
# what is printed of any dataset (MVTec: 1 MP) and takes 0.3 GB decoded, 1 GB while it is worked on.
LARGEST = 100_000_000
Image.MAX_IMAGE_PIXELS = LARGEST
NOISE = 16  # grey values that JPEG may put into a plain area
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)  # refused in one line


def read_image(path: Path, size: int, interpolation: str, bits: int = 16
               ) -> tuple[np.ndarray, tuple[int, int]]:
    """(image (size, size, 3) uint8, its size (width, height) on disk).

    interpolation: nearest; bilinear between the four nearest pixels; antialias: bilinear over the
    area that a new pixel covers. bits: those in use of 16-bit grey images.
    """
    picture = _open_rgb(path, bits)
    return resized(picture, (size, size), interpolation), picture.size


def read_working(path: Path, data: DataParams) -> tuple[np.ndarray, tuple[int, int]]:
    """As `read_image`, at the working size that `data` says."""
    picture = _open_rgb(path, data.bits)
    return (resized(picture, data.working(*picture.size), data.image_interp), picture.size)


def resized(picture: Image.Image, wanted: tuple[int, int], interpolation: str) -> np.ndarray:
    """A picture in RGB -> (height, width, 3) uint8; wanted: (width, height); interpolation: as in
    `read_image`."""
    width, height = picture.size
    if interpolation == "bilinear":
        scale = (width / wanted[0], 0, 0, 0, height / wanted[1], 0)
        return np.asarray(picture.transform(wanted, Image.AFFINE, scale, Image.BILINEAR))
    return np.asarray(picture.resize(wanted, Image.NEAREST if interpolation == "nearest"
                                     else Image.BILINEAR))


def size_of(path: Path) -> tuple[int, int]:
    """Width and height of the image on disk."""
    return _open(path).size


def read_rgb(path: Path, bits: int = 16) -> np.ndarray:
    """The image at its own size, (height, width, 3) uint8. bits: as in `read_image`."""
    return np.asarray(_open_rgb(path, bits))


def narrow(images: Iterable[np.ndarray]) -> np.ndarray:
    """(N,) which of the images (H, W, 3) uint8 use a small part of the range: none of their values
    reaches a quarter of white, as of 14 bits in a file of 16, or all are almost alike."""
    ranges = [(image.min(), image.max()) for image in images]
    return np.array([high < 64 or high - low < NOISE for low, high in ranges], bool)


def narrow_range(image: np.ndarray, path: Path) -> str:
    """What narrow images do, of which `image`, of the file at `path`, is one."""
    return (f"use a small part of their range ({path}: {image.min()} to {image.max()} of 255, as "
            f"it is read)")


def narrow_note(images: Sequence[np.ndarray], path: Path) -> str:
    """What to say of `images`, of which all are narrow and the first is the file at `path`."""
    said = narrow_range(images[0], path)
    if images[0].max() < 64 and is_deep(path):
        used = 8 + max(int(image.max()) for image in images).bit_length()
        return f"{said}; for data of {used} bits in files of 16 pass --set data.bits={used}"
    return f"{said}; scale their values up if the cameras' white is no more than that"


def is_deep(path: Path) -> bool:
    """Whether an image has 16 bits of grey, of which data.bits says how many are in use."""
    return _open(path).mode.startswith("I")


def read_mask(path: Path, size: int, shape: tuple[int, int], threshold: int, grey: bool
              ) -> np.ndarray:
    """The mask (size, size) bool, nearest; what `marked` reads, resized."""
    return shrunk(marked(path, shape, threshold, grey), (size, size))


def shrunk(mask: np.ndarray, wanted: tuple[int, int]) -> np.ndarray:
    """(H, W) bool -> (height, width), nearest; wanted: (width, height)."""
    picture = Image.fromarray(mask.astype(np.uint8) * 255)
    return np.asarray(picture.resize(wanted, Image.NEAREST)) > 0


def marked(path: Path, shape: tuple[int, int], threshold: int, grey: bool) -> np.ndarray:
    """The anomalous pixels of a mask, (height, width) bool. It must have the size `shape` of its
    image on disk and two values, black and another; with `grey`, whatever is above `threshold` is
    anomalous. UserError also where nothing, or everything, would be marked although the file says
    otherwise: what can't be seen so is read in a wrong way."""
    values = _grey_values(path)
    height, width = values.shape
    if (width, height) != shape:
        raise UserError(f"{path}: the mask is {width}x{height} pixels, its image "
                        f"{shape[0]}x{shape[1]}; make them equal")
    least, most = int(values.min()), int(values.max())
    if not grey:
        _check_binary(path, values, threshold)
        threshold = 0  # masks in {0, 1} are common, too
    elif 0 < most <= threshold:
        raise UserError(f"{path}: no value is above data.mask_threshold {threshold}, the largest "
                        f"is {most}, so that it would mark nothing although it is not black; for "
                        f"class numbers pass --set data.mask_threshold=0, or make it black where "
                        f"nothing is meant")
    elif least > threshold and most - least > NOISE:
        raise UserError(f"{path}: all values are above data.mask_threshold {threshold}, the "
                        f"smallest is {least}, so that it would mark everything; make what is "
                        f"normal black, or pass --set data.mask_threshold={min(least, 254)}")
    return values > threshold


def _check_binary(path: Path, values: np.ndarray, threshold: int) -> None:
    levels = np.unique(values)
    if len(levels) > 2 or (len(levels) == 2 and levels[0] != 0):
        few = f": {', '.join(map(str, levels))}" if len(levels) <= 8 else ""
        more = " --set data.mask_threshold=0" if levels[-1] <= threshold else ""
        either = "" if more or not few else (" (what is above data.mask_threshold is marked: 0 for "
                                             "class numbers)")
        raise UserError(f"{path}: a non-binary mask ({len(levels)} grey values){few}; make it "
                        f"black and white, or pass --set data.grey_masks=threshold{more}{either}")


def marks_something(path: Path) -> bool:
    """Whether any pixel of a mask is not black."""
    return bool(_grey_values(path).any())


def _open_rgb(path: Path, bits: int) -> Image.Image:
    picture = _open(path)
    if picture.mode.startswith("I"):  # 16-bit grey: keep the high byte, PIL's own way would clip
        values = np.asarray(picture)
        if values.max() >= 2**bits:
            raise UserError(f"{path}: a value of {values.max()}, more than {bits} bits hold; raise "
                            f"--set data.bits")
        return Image.fromarray((values >> (bits - 8)).astype(np.uint8)).convert("RGB")
    return picture.convert("RGB")


def _grey_values(path: Path) -> np.ndarray:
    """(height, width) of an integer type: 0 to 255, or 65535 where the file has 16 bits. UserError
    where the file holds a shape that its grey values don't show."""
    picture = _open(path)
    if picture.mode.startswith("I"):
        return np.asarray(picture)
    values = np.asarray(picture if picture.mode == "L" else picture.convert("L"))
    if picture.has_transparency_data:
        values = _seen(path, values, _alpha(path, picture))
    if values.min() == values.max() and picture.mode not in ("L", "1", "LA"):
        colours = np.asarray(picture if picture.mode == "P" else picture.convert("RGB"))
        if (colours != colours[0, 0]).any():
            raise UserError(f"{path}: its colours are all equally bright, so that they mark "
                            f"nothing or everything; make it black and white")
    return values


def _alpha(path: Path, picture: Image.Image) -> np.ndarray:
    try:
        return np.asarray(picture.convert("RGBA").getchannel("A"))
    except (ValueError, TypeError, IndexError, OverflowError) as error:
        raise UserError(f"{path}: damaged image (transparency: {error}); replace the file"
                        ) from None


def _seen(path: Path, grey: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """The grey values of a mask that has transparency: where only that tells a shape, what is
    opaque is marked, and what is invisible marks nothing."""
    least, most = alpha.min(), alpha.max()
    if least == 255:
        return grey
    if grey.min() == grey.max() > 0:
        return alpha
    seen = np.where(alpha > 0, grey, 0).astype(grey.dtype)
    if least != most and not seen.any():
        raise UserError(f"{path}: transparent in part, and black where it is not, so that nobody "
                        f"can tell what is marked; save it as black and white without "
                        f"transparency")
    levels = np.unique(grey)
    binary = len(levels) == 2 and levels[0] == 0  # then the colours say it
    return grey if binary or least == most else seen


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
        raise UserError(f"{path}: " + (not_fetched(path) or f"not an image that can be read "
                                       f"({', '.join(formats)}); replace the file")) from None
    except (OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, AttributeError,
            OverflowError, MemoryError, struct.error) as error:  # what PIL's parsers raise
        if of_system(error):
            raise refusal(error, path) from None
        reason = str(error) or type(error).__name__
        raise UserError(f"{path}: damaged image ({reason}); replace the file") from None
    return picture, frames


def _check_size(path: Path, picture: Image.Image) -> None:
    width, height = picture.size
    if width * height > LARGEST:
        raise _too_large(path, f"{width} x {height}")


def _too_large(path: Path, what: str) -> UserError:
    return UserError(f"{path}: more than {LARGEST:,} pixels ({what}); scale the image down")
