"""The paper's sentences over our numbers, and how sure they are."""

from __future__ import annotations

import numpy as np
import pytest

from aexad.bench.paper import printed_tables
from aexad.bench.verdict import sentences, unprinted
from aexad.bench.verdict.chosen import choose
from aexad.bench.verdict.draws import DRAWS, Draws
from aexad.bench.verdict.sentences import read_all
from aexad.datasets.catalog import DATASETS, PAPER, all_categories

from stored import evidence

PRINTED = printed_tables.tables()
RNG = np.random.default_rng(6)
HIGH, LOW = RNG.uniform(0.8, 0.9, 10), RNG.uniform(0.3, 0.4, 10)


def read(reading, *cells, view="all"):
    """Of the sentences whose reading begins so, the one."""
    found = [s for s in read_all(choose(cells), cells, PRINTED)
             if s.reading.reading.startswith(reading)]
    assert len(found) == 1, [s.reading.reading for s in found]
    return found[0].ours[view]


def three(places=("mvtec/bottle",), first=HIGH, others=LOW, **more):
    return [evidence(method, values, place=place, **more) for place in places
            for method, values in (("ae_xad", first), ("fcdd", others), ("bgad", others))]


BEST = "best F1 in almost all rows of Table 2"


def test_words():
    some = read(BEST, *three())
    assert some.word == "holds on the rows there are (1 of 25)" and some.sure == 1.0
    every = read(BEST, *three(["/".join(place) for place in all_categories(PAPER)]))
    assert every.word == "holds" and (every.rows, every.of) == (25, 25)
    none = read(BEST, *three(first=LOW, others=HIGH))
    assert none.word == "does not hold on the rows there are (1 of 25)" and none.sure == 0.0
    lacking = read(BEST, *three()[:2])
    assert lacking.word == "can't be said (no row of BGAD)" and lacking.sure is None
    assert read(BEST, view="all").word == "can't be said (no row of AE-XAD, FCDD, BGAD)"


def test_a_sentence_about_every_row_is_refuted_by_one():
    cells = [evidence("ae_xad", LOW), evidence("ae_xad_raw", HIGH)]
    found = read("AE-XAD above AE-XAD∖F in every row", *cells)
    assert found.word == "does not hold" and (found.rows, found.of) == (1, 15)
    equal = [evidence("ae_xad", LOW), evidence("ae_xad_raw", LOW)]
    assert read("AE-XAD above AE-XAD∖F in every row", *equal).word == (
        "holds only with ties on the rows there are (1 of 15)")


def test_as_published_leaves_others_out():
    cells = [*three(), evidence("bgad", HIGH + 0.1, place="mvtec/cable", sets=["bgad.lr=1"]),
             evidence("ae_xad", HIGH, place="mvtec/cable"),
             evidence("fcdd", HIGH, place="mvtec/cable")]
    strict, all_of = (read(BEST, *cells, view=view) for view in sentences.VIEWS)
    assert (strict.rows, all_of.rows) == (1, 2)
    # The counts of images of mvtec/bottle are not those of cable.
    assert all_of.claim.verdict == "does not hold" and strict.claim.verdict == "holds"


def test_how_sure_is_the_share_of_draws():
    """One image of ten decides: it is drawn at least once with 1 - 0.9^10."""
    first = np.where(np.arange(10) == 0, 0.5, 0.4)
    found = read("best in more than half of Table 4", *three(
        first=first, others=np.full(10, 0.4), scenario="anomalies_only"))
    assert found.claim.verdict == "holds"
    assert found.sure == pytest.approx(1 - 0.9 ** 10, abs=0.04)


def test_rows_without_images_stay_as_they_are():
    cells = three(rows=False)
    assert read(BEST, *cells).claim.verdict == "holds" and read(BEST, *cells).sure is None


def test_shares_of_a_dataset():
    every = three([f"mvtec/{c}" for c in DATASETS["mvtec"].categories])
    shares = read("all shares of AE-XAD in F1 and IoU above 0.5", *every)
    assert (shares.rows, shares.of, shares.sure) == (1, 6, 1.0)
    some = read("all shares of AE-XAD in F1 and IoU above 0.5", *every[:3])
    assert some.word.startswith("holds on the rows there are (1 of 6)")
    strict = read("all shares of AE-XAD in F1", *every[:3], view="as published")
    assert strict.word.startswith("can't be said (no numbers per image of all of AE-XAD, FCDD")


def test_emissions_only_of_readings_alone():
    assert read("median ratio of Table 5", *three()).word == "can't be said (not measured alone)"
    alone = [evidence("ae_xad", HIGH, grams=3.0), evidence("fcdd", LOW, grams=2.0)]
    found = read("median ratio of Table 5", *alone)
    assert found.claim.verdict == "holds" and found.claim.found.startswith("1.50")
    assert found.sure is None  # a reading has no images
    assert read("lowest T(F1) in almost all rows of Table 7", *three(grams=2.0)).claim.verdict == (
        "holds")
    lower = read("almost every number of Table 6", *three(grams=3.0),
                 *three(grams=1.0, scenario="anomalies_only"))
    assert lower.word == "holds on the rows there are (2 of 50)"


# -- figures --

def test_thresholds():
    found = read("AE-XAD's F1 above both others' at every a", *three())
    assert found.word == "holds on the rows there are (1 of 15)" and found.sure == 1.0
    off = three(**{"f1_a2.0": 0.99})
    off[0].entry["numbers"]["f1_a2.0"] = 0.1
    found = read("AE-XAD's F1 above both others' at every a", *off)
    assert found.claim.verdict == "does not hold" and "(a = 2)" in found.claim.found


def test_radii():
    def at(place, **aucs):
        return [evidence("ae_xad", [auc, auc], place=f"mvtec/{place}",
                         sets=[f"ae_xad.k={radius[1:]}"])
                for radius, auc in aucs.items()]

    reading = unprinted.READINGS[-1].reading
    alike = [*at("bottle", k5=0.9, k15=0.95), *at("cable", k5=0.8, k15=0.9, k30=0.99)]
    assert read(reading, *alike).claim.verdict == "does not hold"
    differ = [*at("bottle", k5=0.95, k15=0.9), *at("cable", k5=0.8, k15=0.9)]
    found = read(reading, *differ)
    assert found.claim.verdict == "holds"
    assert found.claim.found == "best: MVTec AD bottle 5, MVTec AD cable 15 px, of 5, 15"
    assert "several fixed radii" in read(reading, *at("bottle", k5=0.95, k15=0.9)).word


# -- draws --

def test_draws_keep_images_together():
    """What two methods have on an image is drawn at once, whatever the order of the rows."""
    ids = [f"x/{i}" for i in range(10)]
    a = evidence("ae_xad", HIGH, ids=ids)
    b = evidence("fcdd", HIGH[::-1] - 0.1, ids=ids[::-1])
    chosen = list(choose([a, b]).values())
    made = Draws(("mvtec", "bottle"), "standard", chosen)
    first, second = (made.mean(c, "auc") for c in chosen)
    assert len(first) == DRAWS and first - second == pytest.approx(np.full(DRAWS, 0.1))
    assert first.mean() == pytest.approx(HIGH.mean(), abs=5 * HIGH.std() / 10 ** 0.5 / DRAWS ** .5)
    assert first.std() == pytest.approx(HIGH.std() / 10 ** 0.5, rel=0.15)
    assert made.auc(chosen[0]) == pytest.approx(np.ones(DRAWS))  # all anomalies score higher


def test_seeds_are_drawn_where_there_are_several():
    one = [evidence("ae_xad", np.full(10, 0.5))]
    two = [*one, evidence("ae_xad", np.full(10, 0.7), seed=41)]
    spread = []
    for cells in (one, two):
        chosen = list(choose(cells).values())
        spread.append(Draws(("mvtec", "bottle"), "standard", chosen).mean(chosen[0], "auc"))
    assert spread[0] == pytest.approx(np.full(DRAWS, 0.5))
    assert set(spread[1].round(6)) == {0.5, 0.6, 0.7}
