"""The embedded suite: exact masks, pure functions, MVTec layout, and not trivially solved."""

from __future__ import annotations

import functools
import pathlib

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage
from sklearn.metrics import roc_auc_score

from aexad.datasets import embedded, suite

DEFECTS = [(name, kind) for name, kinds in suite.CATEGORIES.items() for kind in kinds]
INDEXES = range(embedded.TEST_DEFECT)


@functools.cache
def rendered(category: str, kind: str, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A test image, its clean rendering and its mask; kept, as several tests look at them."""
    return embedded.render(category, kind, index, "test")


def test_three_categories_of_three_defect_types() -> None:
    assert list(suite.CATEGORIES) == ["fabric", "wood", "part"]
    assert all(len(set(kinds)) == 3 for kinds in suite.CATEGORIES.values())
    assert {name: tuple(kinds) for name, kinds in embedded._DEFECTS.items()} == suite.CATEGORIES


@pytest.mark.parametrize("category", suite.CATEGORIES)
def test_a_normal_image_has_an_empty_mask_and_the_stated_form(category: str) -> None:
    image, mask = embedded.sample(category, "good", 0, "train")
    assert image.shape == (256, 256, 3) and image.dtype == np.uint8
    assert mask.shape == (256, 256) and mask.dtype == bool
    assert not mask.any()


@pytest.mark.parametrize(("category", "kind"), [*DEFECTS, ("fabric", "good"), ("part", "good")])
def test_the_same_arguments_give_the_same_bytes_and_others_do_not(category: str, kind: str) -> None:
    first = embedded.sample(category, kind, 3, "test")
    embedded.sample(category, "good", 9, "train")  # what is asked for in between must not matter
    again = embedded.sample(category, kind, 3, "test")
    assert [part.tobytes() for part in first] == [part.tobytes() for part in again]
    for index, split in ((4, "test"), (3, "train")):
        other = embedded.sample(category, kind, index, split)
        # Another scene altogether, not the same one under new noise.
        distance = np.abs(other[0].astype(float) - first[0]).mean()
        assert distance > 10, (index, split, distance)
        assert kind == "good" or not np.array_equal(other[1], first[1])


@pytest.mark.parametrize(("category", "kind"), [("fabric", "knot"), ("wood", "Good"), ("part", "")])
def test_an_unknown_kind_is_refused(category: str, kind: str) -> None:
    with pytest.raises(ValueError, match="no defect type"):
        embedded.sample(category, kind, 0, "test")


@pytest.mark.parametrize(("category", "kind"), DEFECTS)
def test_the_mask_is_where_the_image_differs_from_its_clean_rendering(
    category: str, kind: str
) -> None:
    for index in INDEXES:
        image, clean, mask = rendered(category, kind, index)
        change = np.abs(image.astype(int) - clean).max(axis=2)
        assert not change[~mask].any()
        # The median pixel of a mask is well changed, and few happen to look as they did.
        assert np.median(change[mask]) >= 10
        assert (change[mask] > 0).mean() > 0.9


@pytest.mark.parametrize(("category", "kind"), DEFECTS)
def test_masks_have_sizes_that_survive_downsampling(category: str, kind: str) -> None:
    sizes = [rendered(category, kind, index)[2].mean() for index in INDEXES]
    assert min(sizes) > 0.003 and max(sizes) < 0.10
    assert np.mean([0.005 <= size <= 0.08 for size in sizes]) > 0.8
    assert max(sizes) > 1.5 * min(sizes)
    for index in INDEXES:
        mask = Image.fromarray(rendered(category, kind, index)[2].astype(np.uint8) * 255)
        small = np.asarray(mask.resize((64, 64), Image.Resampling.NEAREST))
        assert (small == 255).sum() >= 8


def test_write_makes_the_mvtec_layout(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Rendering is tested on its own and would take seconds here, so a stand-in draws instead.
    drawn: list[tuple[str, str, int, str]] = []

    def sample(category: str, kind: str, index: int, split: str) -> tuple[np.ndarray, np.ndarray]:
        drawn.append((category, kind, index, split))
        mask = np.zeros((256, 256), bool)
        mask[:5, :7] = kind != "good"
        return np.full((256, 256, 3), len(drawn), np.uint8), mask

    monkeypatch.setattr(embedded, "sample", sample)
    embedded.write(tmp_path, "wood")
    found = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    kinds = suite.CATEGORIES["wood"]
    assert found == {
        *(f"wood/train/good/{i:03d}.png" for i in range(60)),
        *(f"wood/test/good/{i:03d}.png" for i in range(20)),
        *(f"wood/test/{kind}/{i:03d}.png" for kind in kinds for i in range(12)),
        *(f"wood/ground_truth/{kind}/{i:03d}_mask.png" for kind in kinds for i in range(12)),
    }
    assert len(set(drawn)) == len(drawn) == 60 + 20 + 3 * 12


def test_written_files_hold_what_sample_returns(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TRAIN_GOOD", "TEST_GOOD", "TEST_DEFECT"):
        monkeypatch.setattr(embedded, name, 1)
    embedded.write(tmp_path, "part")
    for split, kind in [("train", "good"), ("test", "good"), ("test", "dent")]:
        image, mask = embedded.sample("part", kind, 0, split)
        with Image.open(tmp_path / "part" / split / kind / "000.png") as stored:
            assert stored.mode == "RGB"
            assert np.array_equal(np.asarray(stored), image)
    with Image.open(tmp_path / "part" / "ground_truth" / "dent" / "000_mask.png") as stored:
        assert stored.mode == "L"
        assert np.array_equal(np.asarray(stored), mask * np.uint8(255))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.png")}
    embedded.write(tmp_path, "part")  # a second call finds its folders and changes nothing
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*.png")}


def smooth(field: np.ndarray) -> np.ndarray:
    """A Gaussian of three pixels over rows and columns, colours apart."""
    return ndimage.gaussian_filter(field, (3, 3, 0)[: field.ndim])


def baselines(image: np.ndarray, mean: np.ndarray) -> dict[str, np.ndarray]:
    """Scores that need no learning: grey value both ways, its oddness, distance to the mean."""

    def scores(picture: np.ndarray, normal: np.ndarray) -> dict[str, np.ndarray]:
        grey = picture.mean(axis=2)
        odd = np.abs(grey - grey.mean())
        far = np.linalg.norm(picture - normal, axis=2)
        return {"light": grey, "dark": -grey, "odd": odd, "far": far}

    plain = scores(image, mean)
    found = dict(plain)
    # Smoothed both after the score and before it, which differ where a score has a kink.
    found |= {f"{name}, then smooth": smooth(score) for name, score in plain.items()}
    blurred = scores(smooth(image), smooth(mean))
    return found | {f"smooth, then {name}": score for name, score in blurred.items()}


def half(array: np.ndarray) -> np.ndarray:
    """128 x 128 by nearest neighbour."""
    return array[::2, ::2]


def test_simple_baselines_do_not_solve_the_suite() -> None:
    measured: dict[str, list[float]] = {}
    for category, kinds in suite.CATEGORIES.items():
        normals = (embedded.sample(category, "good", index, "train")[0] for index in range(60))
        mean = np.mean([half(image).astype(float) for image in normals], axis=0)
        for kind in kinds:
            for index in INDEXES:
                image, _, mask = rendered(category, kind, index)
                truth = half(mask).ravel()
                for name, score in baselines(half(image).astype(float), mean).items():
                    measured.setdefault(name, []).append(roc_auc_score(truth, score.ravel()))
    means = {name: float(np.mean(values)) for name, values in measured.items()}
    assert len(means) == 12
    assert max(means.values()) < 0.80, means


@pytest.mark.parametrize("category", suite.CATEGORIES)
def test_normals_vary_so_that_their_mean_says_little(category: str) -> None:
    images = [half(embedded.sample(category, "good", i, "train")[0]) for i in range(12)]
    stack = np.stack(images).astype(float)
    across_images = stack.std(axis=0).mean()
    within_images = stack.std(axis=(1, 2)).mean()
    # A pixel varies from image to image about as much as pixels of one image among themselves.
    assert across_images > 0.6 * within_images
