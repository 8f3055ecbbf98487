"""Rules on single maps: the mean + a*sigma threshold, the filter radius, the Gaussian filter.

Methods (filter radius) and metrics (binarisation) both take these rules from here, so that they
exist once. Source: AE-XAD paper, Section 4.3; where it is silent the docstrings name the choice.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray
from scipy import ndimage

# Large enough for numpy to run at full speed, small enough that the float64 copy of one block
# (8 MiB) does not matter beside a whole test set of float32 maps.
_BLOCK = 1 << 20


def as_float_map(h: ArrayLike) -> NDArray[np.floating]:
    """`h` as an array that is float32 or float64; other real types become float64.

    Raises ValueError if it is empty or has NaN or infinite values: a NaN compares false with
    everything and would only look like a bad heatmap.
    """
    h = np.asarray(h)
    if h.dtype not in (np.float32, np.float64):
        h = h.astype(np.float64)
    if h.size == 0:
        raise ValueError("empty map")
    # min and max propagate NaN and, unlike isfinite, need no temporary array.
    if not (math.isfinite(h.min()) and math.isfinite(h.max())):
        raise ValueError("map with NaN or infinite values")
    return h


def mean_std(h: ArrayLike, rows: NDArray[np.int64] | None = None) -> tuple[float, float]:
    """Mean and population standard deviation (ddof 0) of all elements, in float64.

    h: real array of any shape, from one map (H, W) to a whole test set (N, H, W), which may be
    mapped from a file; rows: positions along its first axis, of which alone the elements count.
    Works in two passes over blocks, without a copy of everything. Raises ValueError on
    NaN/inf/empty.
    """
    h = as_float_map(h)
    flat, each = h.reshape(-1), h.size // len(h) if h.ndim else 1
    size = h.size if rows is None else each * len(rows)
    if not size:
        raise ValueError("empty map")

    def blocks() -> Iterator[NDArray[np.floating]]:
        """(n,) of _BLOCK elements, the last of fewer: those of `rows` one behind the other."""
        for i in range(0, size, _BLOCK):
            if rows is None:
                yield flat[i:i + _BLOCK]
            else:
                first, last = i // each, -(-min(i + _BLOCK, size) // each)
                some = np.concatenate([flat[r * each:(r + 1) * each] for r in rows[first:last]])
                yield some[i - first * each:i - first * each + _BLOCK]

    mu, low, high = 0.0, math.inf, -math.inf
    for b in blocks():
        mu += float(b.sum(dtype=np.float64))
        low, high = min(low, float(b.min())), max(high, float(b.max()))
    # Rounding can push the mean of a constant map just outside its range; then every pixel would
    # count as above the threshold.
    mu = min(max(mu / size, low), high)
    squares = 0.0
    for b in blocks():
        d = np.subtract(b, mu, dtype=np.float64)
        squares += float(np.square(d, out=d).sum())
    return mu, math.sqrt(squares / size)


def thresholds(
    moments: tuple[float, float], a: float | Sequence[float], dtype: DTypeLike
) -> NDArray[np.floating]:
    """mu + a*sigma for one or several a, computed in float64 and rounded to the maps' dtype.

    moments: (mu, sigma) from `mean_std`. The result has the shape of `a`.

    The comparison happens in the precision of the map, so that float64 rounding noise in mu or
    sigma cannot move a pixel that lies exactly on the threshold (two-level maps do).
    """
    mu, sigma = moments
    with np.errstate(over="ignore"):  # beyond the largest float32: inf, nothing lies above
        return (mu + np.asarray(a, dtype=np.float64) * sigma).astype(dtype)


def mean_std_threshold(h: ArrayLike, a: float = 1.0) -> float:
    """mu + a*sigma over all elements of `h` (any shape), population std, in float64.

    Source: paper, Section 4.3 (a = 1). Raises ValueError on an empty, NaN or infinite map.
    """
    mu, sigma = mean_std(h)
    return float(mu + a * sigma)


def binarize(h: ArrayLike, a: float = 1.0) -> NDArray[np.bool_]:
    """Pixels of `h` STRICTLY above mu + a*sigma; bool array of the shape of `h`.

    The threshold is rounded to the dtype of the map (see `thresholds`). Source: paper,
    Section 4.3. Raises ValueError on an empty, NaN or infinite map.
    """
    h = as_float_map(h)
    return h > thresholds(mean_std(h), a, h.dtype)


def _as_binary(binary: ArrayLike) -> NDArray[np.bool_]:
    binary = np.asarray(binary)
    if binary.ndim != 2:
        raise ValueError(f"expected a map (H, W), got shape {binary.shape}")
    return binary.astype(bool, copy=False)


def _mean_row_run(binary: NDArray[np.bool_], min_run: int) -> float:
    # One False column between the rows and one False in front: all runs of the flattened map
    # start and end inside one row, so a single diff finds them.
    h, w = binary.shape
    flat = np.zeros(h * (w + 1) + 1, dtype=np.int8)
    flat[1:].reshape(h, w + 1)[:, :w] = binary
    step = np.diff(flat)
    lengths = np.flatnonzero(step == -1) - np.flatnonzero(step == 1)
    lengths = lengths[lengths >= min_run]
    return float(lengths.mean()) if lengths.size else 0.0


def mean_run_lengths(binary: ArrayLike, min_run: int = 1) -> tuple[float, float]:
    """Mean length of the maximal horizontal runs of True, and of the vertical ones.

    binary: (H, W) bool. All runs of the map count alike; runs shorter than `min_run` are
    ignored; 0.0 where there is none. The row 0 1 1 1 0 1 1 1 1 1 has runs {3, 5}, mean 4.

    Source: "average lengths of connected anomalous segments", paper, Section 4.3.
    Raises ValueError if `binary` is not 2-D or min_run < 1.
    """
    if min_run < 1:
        raise ValueError(f"min_run must be at least 1, got {min_run}")
    binary = _as_binary(binary)
    return _mean_row_run(binary, min_run), _mean_row_run(binary.T, min_run)


def mean_component_extents(binary: ArrayLike) -> tuple[float, float]:
    """Mean width and mean height of the bounding boxes of the 4-connected components.

    binary: (H, W) bool; (0.0, 0.0) when nothing is True. The other reading of "average lengths
    of connected segments" (see `mean_run_lengths`). Raises ValueError if not 2-D.
    """
    labels, n = ndimage.label(_as_binary(binary))
    if n == 0:
        return 0.0, 0.0
    boxes = ndimage.find_objects(labels)
    height = sum(rows.stop - rows.start for rows, _ in boxes) / n
    width = sum(cols.stop - cols.start for _, cols in boxes) / n
    return width, height


def _above(e_norm: NDArray[np.floating], threshold: str, value: float) -> NDArray[np.bool_]:
    if threshold == "mean_std":
        return binarize(e_norm)
    if threshold == "fixed":
        return e_norm >= e_norm.dtype.type(value)
    raise ValueError(f"threshold must be 'mean_std' or 'fixed', got {threshold!r}")


def _mean_lengths(above: NDArray[np.bool_], segments: str, min_run: int) -> tuple[float, float]:
    if segments == "runs":
        return mean_run_lengths(above, min_run)
    if segments == "components":
        return mean_component_extents(above)
    raise ValueError(f"segments must be 'runs' or 'components', got {segments!r}")


def _joined(lengths: tuple[float, float], aggregate: str) -> float:
    """One length for both directions. 'min_nan' is Python's min(vertical, horizontal) where a
    direction without segments is NaN, as in the authors' code: NaN is never the smaller, so that
    where only one direction has segments, the vertical length counts and the horizontal does not.
    """
    horizontal, vertical = lengths
    if aggregate == "max":
        return max(lengths)
    if aggregate == "min" or (aggregate == "min_nan" and horizontal):
        return min(lengths)
    if aggregate == "min_nan":
        return vertical
    raise ValueError(f"aggregate must be 'max', 'min' or 'min_nan', got {aggregate!r}")


def filter_radius(
    e_norm: ArrayLike,
    *,
    threshold: Literal["mean_std", "fixed"] = "mean_std",
    threshold_value: float = 0.3,
    segments: Literal["runs", "components"] = "runs",
    min_run: int = 1,
    aggregate: Literal["max", "min", "min_nan"] = "max",
    rounding: Literal["floor", "round", "none"] = "floor",
    k_min: int = 1,
    k_max: int | None = None,
) -> float:
    """Radius k of the Gaussian filter for one normalised error map (pixels).

    e_norm: (H, W). Binarised ('mean_std': strictly above mu + sigma; 'fixed': at least
    `threshold_value`); the mean segment lengths in the two directions; half the larger (or
    smaller; 'min_nan': the smaller as the authors' code compares, see `_joined`) of the two;
    rounded down (or to nearest, halves up; 'none': as it is, a float). At
    least k_min, which is also the answer when nothing is above the threshold; at most k_max and
    (min(H, W) - 1) // 2, the largest kernel that fits, which wins over k_min on tiny maps.
    `min_run` only concerns runs.

    Source: paper, Section 4.3; the paper leaves rounding and bounds open.
    Raises ValueError on a map that is not 2-D or not finite, and on unknown options.
    """
    if rounding not in ("floor", "round", "none"):
        raise ValueError(f"rounding must be 'floor', 'round' or 'none', got {rounding!r}")
    if k_min < 0 or (k_max is not None and k_max < k_min):
        raise ValueError(f"need 0 <= k_min <= k_max, got {k_min} and {k_max}")
    e_norm = as_float_map(e_norm)
    lengths = _mean_lengths(_above(e_norm, threshold, threshold_value), segments, min_run)
    half = _joined(lengths, aggregate) / 2
    if rounding != "none":
        half = math.floor(half + 0.5 if rounding == "round" else half)
    k = max(k_min, half)
    if k_max is not None:
        k = min(k, k_max)
    fits: int = (min(e_norm.shape) - 1) // 2
    return min(k, fits)


def gaussian_filter(map2d: NDArray[np.floating], k: float, *, divisor: float = 3.0,
                    sigma_min: float = 0.0, truncate: float = 3.0,
                    border: Literal["reflect", "zero"] = "reflect") -> NDArray[np.floating]:
    """Gaussian filter for a radius k; k = 0 is a copy.

    map2d: (H, W) float32 or float64; the result has the same shape and dtype. sigma is k / divisor,
    at least sigma_min (pixels), and the kernel ends at truncate * sigma, rounded as scipy rounds it
    (halves up): with the defaults it is (2k+1) x (2k+1) and sigma = k/3. border: outside the map
    the edge pixel is repeated and the map mirrored (scipy's 'reflect'), or all is zero.

    Source: paper, Section 4.3 (k = 6: 13 x 13, sigma 2); the border is our choice.
    Raises ValueError on another dtype, another number of axes or a negative k.
    """
    map2d = np.asarray(map2d)
    if map2d.ndim != 2 or map2d.dtype not in (np.float32, np.float64):
        raise ValueError(f"expected a float map (H, W), got {map2d.dtype} {map2d.shape}")
    if k < 0:
        raise ValueError(f"k must not be negative, got {k}")
    if k == 0:
        return map2d.copy()
    sigma = max(k / divisor, sigma_min)
    filtered: NDArray[np.floating] = ndimage.gaussian_filter(
        map2d, sigma=sigma, radius=int(truncate * sigma + 0.5),
        mode={"reflect": "reflect", "zero": "constant"}[border])
    return filtered
