"""Protocols, --epochs and --set; keys."""

from __future__ import annotations

import dataclasses

import pytest

from aexad import methods
from aexad.bench.base.errors import UserError
from aexad.bench.base.params import declared, from_json, param
from aexad.bench.plan.cells import SCENARIOS, all_cells, by_fit
from aexad.bench.plan.settings import PROTOCOLS, Settings


def keys(settings: Settings, names=("ae_xad",), seeds=(40,)) -> set[str]:
    cells = all_cells(settings, names, [("mvtec", "bottle")], "standard", seeds)
    return {c.key for c in cells}


def test_paper_protocol_is_the_text_of_the_paper():
    s = Settings("paper")
    fit = s.fit("ae_xad")
    assert (fit.encoder, fit.epochs, fit.lr, fit.weight_decay) == ("resnet50", 200, 1e-3, 1e-4)
    assert (fit.n_raw, fit.n_paste, fit.F, fit.F_value) == (5, 10, "const", 2.0)
    assert fit.anom_frac == pytest.approx(1 / 3) and fit.freeze and s.data.size == 224
    assert s.metrics.a == 1.0 and s.metrics.binarize == "image"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_protocol_builds_every_method(protocol):
    s = Settings(protocol)
    for name in methods.entries():
        assert dataclasses.is_dataclass(s.fit(name)) and dataclasses.is_dataclass(s.explain(name))
    fields = {m: {f.name for kind in (s.fit(m), s.explain(m)) for f in dataclasses.fields(kind)}
              for m in methods.entries()}
    fields |= {"data": {f.name for f in dataclasses.fields(s.data)},
               "metrics": {f.name for f in dataclasses.fields(s.metrics)},
               "*": set().union(*fields.values())}
    for name in PROTOCOLS[protocol]:
        owner, _, field = name.partition(".")
        assert field in fields[owner]


def test_set_reaches_the_training_that_two_methods_share():
    s = Settings("paper", sets=["ae_xad.epochs=7", "ae_xad.k_min=3", "ae_xad_raw.norm=l2"])
    assert s.fit("ae_xad").epochs == s.fit("ae_xad_raw").epochs == 7
    assert s.fit("ae").epochs == 200
    assert s.explain("ae_xad").k_min == s.explain("ae_xad_raw").k_min == 3
    assert s.explain("ae_xad").norm == "l1" and s.explain("ae_xad_raw").norm == "l2"
    assert s.explain("ae_xad").filter and not s.explain("ae_xad_raw").filter
    assert s.explain("ae_filtered").filter and not s.explain("ae").filter


def test_epochs_is_for_all_and_set_overrides_it():
    s = Settings("mini", epochs=9, sets=["ae.epochs=4"])
    assert s.fit("ae_xad").epochs == 9 and s.fit("ae").epochs == 4


def test_what_the_user_says_for_all_beats_what_the_protocol_says_for_one():
    assert Settings("mini").fit("fcdd").net == "efficientnet_lite0"
    assert Settings("mini", sets=["*.net=vgg16"]).fit("fcdd").net == "vgg16"
    scratch = Settings("paper", sets=["*.recipe=frozen"]).fit("ae_xad_vit_scratch")
    assert scratch.recipe == "scratch"  # it would not be what its name says


def test_values_are_read_by_type():
    s = Settings("paper", sets=["ae_xad.anom_frac=1/4", "ae_xad.freeze=false", "ae_xad.k_max=none",
                                "data.image_interp=antialias", "metrics.a=1.5"])
    assert s.fit("ae_xad").anom_frac == 0.25 and s.fit("ae_xad").freeze is False
    assert s.metrics.column("f1") == "f1_a1.5" and s.metrics.column("auc") == "auc"


@pytest.mark.parametrize("text, message", [
    ("ae_xd.epochs=3", r"unknown 'ae_xd'; did you mean 'ae_xad'\?"),
    ("ae_xad.epoch=3", r"no field 'epoch'; did you mean 'epochs'\?"),
    ("ae_xad.epochs=many", "expected a whole number"),
    ("ae_xad.epochs=0", "must be in its range 1"),
    ("ae_xad.lr=nan", "expected a number"),
    ("ae_xad.lr=1/0", "expected a number"),
    ("ae_xad.freeze=perhaps", "expected true or false"),
    ("ae_xad.reduce=conv9", "expected one of conv3x3, conv1x1, three_conv"),
    ("ae_xad_raw.epochs=3", "ae_xad_raw is trained as ae_xad; set it there"),
    ("data.size=100", "must be a multiple of 8"),
    ("epochs=3", "expected owner.field=value"),
    ("ae_xad.epochs", "expected owner.field=value"),
    ("metrics.a=1.25", "expected one of 1.0, 1.5"),
])
def test_mistakes_are_one_clear_line(text, message):
    with pytest.raises(UserError, match=message) as caught:
        Settings("paper", sets=[text])
    assert "\n" not in str(caught.value)


def test_unknown_protocol():
    with pytest.raises(UserError, match="did you mean 'mini'"):
        Settings("minni")


def test_other_parameters_are_other_cells_and_equal_ones_the_same():
    base = keys(Settings("paper"))
    assert base == keys(Settings("paper")) and len(base) == 1
    for text in ("ae_xad.epochs=199", "ae_xad.k_min=2", "data.size=232"):
        assert keys(Settings("paper", sets=[text])) != base
    assert keys(Settings("paper", sets=["metrics.binarize=dataset"])) == base  # stored anyway
    assert keys(Settings("paper"), seeds=(41,)) != base


def test_cells_share_fits():
    s = Settings("paper")
    cells = all_cells(s, ("ae", "ae_filtered", "ae_xad_raw", "ae_xad"),
                      [("mvtec", "bottle"), ("mvtec", "pill")], "standard", (40, 41))
    groups = by_fit(cells)
    assert len(cells) == 16 and len(groups) == 8 and all(len(g) == 2 for g in groups.values())
    changed = Settings("paper", sets=["ae_xad.k_min=2"])
    fit = all_cells(changed, ["ae_xad"], [("mvtec", "bottle")], "standard", [40])[0].fit
    assert fit in groups  # other explanation, same training


def test_scenario_that_a_method_can_not_do_has_a_reason():
    s = Settings("paper")
    cells = all_cells(s, ["ae", "ae_xad"], [("mvtec", "bottle")], "anomalies_only", [40])
    assert [bool(c.skip) for c in cells] == [True, False]


def test_what_the_set_threshold_is_over_is_in_the_key():
    s = Settings("paper")
    declared = [all_cells(s, ["ae_xad"], [("mvtec", "bottle")], scenario, [40])[0].declared()
                for scenario in SCENARIOS]
    assert [facts.get("set") for facts in declared] == [None, "anomalous"]


def test_a_field_added_later_leaves_the_keys_of_before():
    @dataclasses.dataclass(frozen=True)
    class Old:
        epochs: int = param(3, "")

    @dataclasses.dataclass(frozen=True)
    class New(Old):
        sampler: str = param("weighted", "", before="share")  # whatever its default is by now

    assert declared(New(sampler="share")) == declared(Old()) == {"epochs": 3}
    assert declared(New()) == {"epochs": 3, "sampler": "weighted"}
    assert from_json(New, {"epochs": 3}, "model.json: fit") == New(sampler="share")
    with pytest.raises(UserError, match="lacks epochs"):
        from_json(New, {"sampler": "share"}, "model.json: fit")


def test_keys_of_stored_results():
    """Of results measured before these fields were there; a change of them loses stored work."""
    text = ["ae_xad.reduce=conv3x3", "ae_xad.reduce_bn=false"]
    [cell] = all_cells(Settings("paper", sets=text), ["ae_xad"], [("mvtec", "bottle")],
                       "standard", [40])
    assert (cell.fit.key, cell.key) == ("2c2ec18e8bc17b34", "2639cb408c7270b3")


def test_authors_protocol_is_their_code():
    s = Settings("authors")
    fit, explain = s.fit("ae_xad"), s.explain("ae_xad")
    assert not fit.freeze and not fit.bn_eval and fit.encoder_lr == 1e-5
    assert (fit.reduce, fit.reduce_bn, fit.mask, fit.block) == ("three_conv", True, "square_sum",
                                                                "tconv_conv")
    assert (fit.sampler, fit.anom_weight, fit.n_raw, fit.n_paste) == ("weighted", 0.8, 1, 0)
    assert (fit.lr_gamma, fit.epochs, fit.batch_size) == (0.985, 200, 16)
    assert (explain.thr, explain.thr_value, explain.agg) == ("fixed", 0.3, "min_nan")
    assert explain.min_run == 4 and explain.k_min == 0 and explain.k_round == "none"
    assert (explain.sigma_div, explain.sigma_min, explain.truncate) == (2.0, 1.0, 4.0)
    assert s.metrics.binarize == "dataset" and s.explain("ae_xad_raw").score == "plain"
    assert s.fit("ae").reduce == "three_conv" and s.fit("fcdd") == Settings("paper").fit("fcdd")
