"""How much faster our per-image metrics are than scikit-learn's:
`python -m aexad.bench.speed.scores`.

Both sides run in turn in the same process on the same map, and must agree before they are timed.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, f1_score, jaccard_score, roc_auc_score

from aexad.bench.measure.maps import mean_std, thresholds
from aexad.bench.measure.metrics import image_metrics, pixel_auc
from aexad.bench.measure.names import A_VALUES
from aexad.bench.speed.case import seconds

SIZE = 224
TOLERANCE = 1e-9


def example(seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """A (224, 224) heavy-tailed float32 heatmap and a mask with 5 % anomalous pixels."""
    rng = np.random.default_rng(seed)
    heatmap = (rng.standard_t(2, (SIZE, SIZE)) ** 2).astype(np.float32)
    mask = np.zeros((SIZE, SIZE), dtype=bool)
    mask[60:110, 80:130] = True
    heatmap[mask] *= 4
    return heatmap, mask


def sklearn_metrics(heatmap: NDArray[np.float32], mask: NDArray[np.bool_]) -> dict[str, float]:
    """The same numbers as `image_metrics`, the straightforward way."""
    y, s = mask.ravel(), heatmap.ravel()
    row = {"auc": roc_auc_score(y, s), "ap": average_precision_score(y, s)}
    cuts = thresholds(mean_std(heatmap), A_VALUES, heatmap.dtype)  # once: not what is compared
    for a, cut in zip(A_VALUES, cuts, strict=True):
        prediction = s > cut
        row[f"f1_a{a}"] = f1_score(y, prediction)
        row[f"iou_a{a}"] = jaccard_score(y, prediction)
    return row


def _compare(
    name: str, naive: Callable[[], object], ours: Callable[[], object], repeats: int
) -> tuple[str, float, float]:
    # In turn, so that a busy moment of the machine hits both; the best of n is the least noisy.
    pairs = [(seconds(naive), seconds(ours)) for _ in range(repeats)]
    return name, min(p[0] for p in pairs), min(p[1] for p in pairs)


def run(repeats: int = 15) -> list[tuple[str, float, float]]:
    """(name, scikit-learn's seconds, our seconds) per comparison, each the best of `repeats`.

    Raises RuntimeError if the two sides disagree: a wrong number is not fast.
    """
    heatmap, mask = example()
    reference, row = sklearn_metrics(heatmap, mask), image_metrics(heatmap, mask)
    off = {k: (v, row[k]) for k, v in reference.items() if not abs(v - row[k]) < TOLERANCE}
    if off or reference.keys() != row.keys():
        raise RuntimeError(f"our metrics differ from scikit-learn's: {off}")
    return [
        _compare(
            f"per-image metrics ({SIZE}x{SIZE}: AUC, AP, F1 and IoU at {len(A_VALUES)} thresholds)",
            lambda: sklearn_metrics(heatmap, mask),
            lambda: image_metrics(heatmap, mask),
            repeats,
        ),
        _compare(
            f"per-image AUC ({SIZE}x{SIZE})",
            lambda: roc_auc_score(mask.ravel(), heatmap.ravel()),
            lambda: pixel_auc(heatmap[~mask], heatmap[mask]),
            repeats,
        ),
    ]


def main() -> None:
    for name, naive, ours in run():
        print(f"{name}: scikit-learn {naive * 1e3:.2f} ms, ours {ours * 1e3:.3f} ms, "
              f"{naive / ours:.1f} times faster")


if __name__ == "__main__":
    main()
