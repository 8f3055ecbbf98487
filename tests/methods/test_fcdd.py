"""FCDD: receptive field, Gaussian upsampling, objective, data pipeline and training, on the
published values, on values worked by hand and against the naive form."""

from __future__ import annotations

import dataclasses
import math
import weakref

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import nn

from aexad.bench.base.errors import UserError
from aexad.bench.plan.settings import Settings
from aexad.methods import fcdd
from aexad.methods.base import Context, TrainingSet
from aexad.methods.fcdd import FCDD
from aexad.methods.fcdd_params import MINMAX, FCDDExplain, FCDDFit
from aexad.methods.vision import torchvision
from aexad.methods.weights import Weights

LIGHT = FCDDFit(net="efficientnet_lite0", weights="random", epochs=2, batch_size=4)
SIDE = 64


def method(fit: FCDDFit = LIGHT, explain: FCDDExplain = FCDDExplain(), ctx: Context | None = None
           ) -> FCDD:
    return FCDD(fit, explain, ctx or Context("cpu", 0))


def changed(**fields_) -> FCDDFit:
    return dataclasses.replace(LIGHT, **fields_)


def training_set(normals: int = 5, anomalies: int = 2, side: int = SIDE) -> TrainingSet:
    rng = np.random.default_rng(1)
    n = normals + anomalies
    images = rng.integers(0, 200, (n, side, side, 3), dtype=np.uint8)
    masks = np.zeros((n, side, side), bool)
    masks[normals:, 16:40, 8:40] = True
    images[masks] = 255
    return TrainingSet(images, masks, np.arange(n) >= normals)


# -- objective --

def test_pseudo_huber():
    m = method()
    with torch.no_grad():
        m.net.rest = nn.Identity()
        m.net.head = nn.Identity()
        found = m.net.map(torch.tensor([2.0, -0.5, 0.0]).view(1, 1, 1, 3))
    assert found.flatten().tolist() == pytest.approx([1.23607, 0.118034, 0], abs=1e-5)


@pytest.mark.parametrize("x, expected", [(0.01, 4.610166), (0.1, 2.352168), (1.0, 0.458675)])
def test_far_term(x, expected):
    assert fcdd._far(torch.tensor(x)).item() == pytest.approx(expected, abs=1e-6)


def known_upsampling(m: FCDD) -> FCDD:
    m.upsample = lambda a, height, width: a  # the objective by itself
    return m


def test_pixel_objective_by_hand():
    m = known_upsampling(method())
    a = torch.tensor([[[0.4, 0.8], [1.2, 1.6]], [[0.1, 0.2], [0.3, 0.4]]])
    y = torch.zeros(2, 2, 2)
    y[0, 1, 1] = 1
    # both sums of the first image by its 4 pixels; the second has no anomalous one
    first = (0.4 + 0.8 + 1.2) / 4 - math.log(1 - math.exp(-1.6 / 4))
    assert m.loss(a, y).item() == pytest.approx((first + 1.0 / 4) / 2, rel=1e-6)


def test_image_objective_by_hand():
    m = method(changed(objective="image"))
    a = torch.tensor([[[0.4, 0.8], [1.2, 1.6]], [[0.1, 0.2], [0.3, 0.4]]])
    y = torch.zeros(2, 16, 16)
    y[0, 0, 0] = 1
    expected = (-math.log(1 - math.exp(-1.0)) + 0.25) / 2
    assert m.loss(a, y).item() == pytest.approx(expected, rel=1e-6)


def test_gradient_stays_finite_where_a_mask_or_a_map_is_empty():
    m = known_upsampling(method())
    phi = torch.zeros(2, 4, 4, requires_grad=True)
    y = torch.zeros(2, 4, 4)
    y[1] = 1
    m.loss(torch.sqrt(phi.square() + 1) - 1, y).backward()
    assert torch.isfinite(phi.grad).all()


# -- preprocessing --

def test_lcn_has_zero_mean_and_unit_mean_absolute_value():
    x = torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    x[2] = 0.25  # a flat image has no contrast to normalise
    found = fcdd.lcn(x)
    assert found.mean(dim=(1, 2, 3)).abs().max() < 1e-6
    assert found.abs().mean(dim=(1, 2, 3)).tolist() == pytest.approx([1, 1, 0], abs=1e-5)
    both = x[0].flatten()  # one number of each for all three channels
    expected = (x[0] - both.mean()) / (both - both.mean()).abs().mean()
    assert torch.allclose(found[0], expected, atol=1e-5)


@pytest.mark.parametrize("normals", [5, 0])
def test_range_is_of_the_training_normals_and_stored(normals):
    data, m = training_set(normals), method()
    m.measure_range(data)
    used = fcdd.lcn(m.ctx.tensor(data.images[:normals or None])).transpose(0, 1).flatten(1)
    state = m.state_dict()
    assert torch.equal(state["low"].flatten(), used.amin(dim=1))
    assert torch.equal(state["high"].flatten(), used.amax(dim=1))
    seen = []
    m.net.front.forward = lambda x: seen.append(x)
    m.net.features(m.ctx.tensor(data.images[:normals or None]))
    lowest, highest = seen[0].amin(dim=(0, 2, 3)), seen[0].amax(dim=(0, 2, 3))
    assert lowest.abs().max() < 1e-6 and (highest - 1).abs().max() < 1e-6


def test_the_range_of_a_large_set_holds_an_image_at_a_time(monkeypatch):
    made: list[weakref.ref] = []

    def lcn(x: torch.Tensor) -> torch.Tensor:
        assert sum(one() is not None for one in made) <= 1
        found = scaled(x)
        made.append(weakref.ref(found))
        return found

    scaled = fcdd.lcn
    monkeypatch.setattr(fcdd, "lcn", lcn)
    method().measure_range(training_set(normals=9))
    assert len(made) == 9


def test_the_range_of_a_large_set_leaves_no_holes_in_memory(monkeypatch):
    """A small result that stayed for each image kept the memory below it from being used again:
    0.6 MB an image. At most the one before is there when the next is made."""
    made: dict[str, list[weakref.ref]] = {"amin": [], "amax": []}

    def spied(name: str):
        original = getattr(torch.Tensor, name)

        def spy(self, *args, **kwargs):
            assert sum(one() is not None for one in made[name]) <= 1
            found = original(self, *args, **kwargs)
            made[name].append(weakref.ref(found))
            return found

        return spy

    for name in made:
        monkeypatch.setattr(torch.Tensor, name, spied(name))
    method().measure_range(training_set(normals=9))
    assert [len(found) for found in made.values()] == [9, 9]


def test_published_range_is_kept_in_training():
    assert len(MINMAX) == 15
    m = method(changed(minmax="bottle"))
    m.fit(training_set())
    assert m.net.low.flatten().tolist() == pytest.approx([-1.3337, -1.3108, -1.2446])
    assert m.net.high.flatten().tolist() == pytest.approx([1.378] * 3)


# -- training --

def items(m: FCDD, data: TrainingSet, seed: int = 0) -> np.ndarray:
    found = list(m.batches(np.random.default_rng(seed), data))
    assert all(len(b) == m.p.batch_size for b in found[:-1])
    return np.concatenate(found)


def test_normals_are_replaced_by_anomalies_in_turn():
    data = training_set(normals=50, anomalies=3)
    found = items(method(changed(repeat=4)), data)
    counts = np.bincount(found[found >= 50] - 50)
    assert len(found) == 200 and 70 < counts.sum() < 130 and np.ptp(counts) <= 1
    assert (items(method(changed(anomaly_prob=0.0)), data) < 50).all()


def test_items_as_they_come_and_without_normals_or_anomalies():
    natural = method(changed(anomaly_prob=None))
    assert sorted(items(natural, training_set())) == list(range(7))
    assert sorted(items(method(), training_set(0, 3))) == [0, 1, 2]
    assert sorted(items(method(), training_set(4, 0))) == [0, 1, 2, 3]


def test_fit_does_the_naive_steps():
    """Two epochs of fit() without augmentation against the textbook loop."""
    data = training_set()
    ours, theirs = method(changed(augment=False)), method(changed(augment=False))
    ours.fit(data)
    theirs.measure_range(data)
    net = theirs.net.train()
    weights = [*net.rest.parameters(), *net.head.parameters()]
    velocity = [torch.zeros_like(w) for w in weights]
    means = []
    for epoch in range(2):
        losses, lr = [], 1e-3 * 0.985**epoch
        for batch in theirs.batches(np.random.default_rng([0, 1, epoch]), data):
            y = torch.from_numpy(data.masks[batch]).float()
            loss = theirs.loss(net(theirs.ctx.tensor(data.images[batch])), y)
            gradients = torch.autograd.grad(loss, weights)
            with torch.no_grad():
                for w, g, v in zip(weights, gradients, velocity):
                    g = g + 1e-4 * w
                    v.mul_(0.9).add_(g)
                    w -= lr * (g + 0.9 * v)  # Nesterov
            losses += [loss.item()] * len(batch)
        means.append(np.mean(losses))
    assert ours.ctx.losses == pytest.approx(means, rel=1e-4)
    for a, b in zip(ours.net.parameters(), net.parameters()):
        assert torch.allclose(a, b, atol=1e-5)


@pytest.mark.parametrize("change", [
    {"net": "vgg11bn"}, {"net": "vgg16"}, {"freeze_until": -1}, {"freeze_until": 2},
    {"freeze_bn_stats": True}, {"gauss_std": None}, {"objective": "image"}, {"augment": False},
    {"minmax": "hazelnut"}, {"anomaly_prob": None}, {"repeat": 2}, {"momentum": 0.0},
    {"nesterov": False}], ids=str)
def test_every_option_trains_and_gives_another_result(change):
    data = training_set(side=32)
    base, other = method(), method(changed(**change))
    base.fit(data)
    other.fit(data)
    a, b = (m.explain(data.images).heatmaps for m in (base, other))
    assert a.shape == b.shape == (7, 32, 32)
    assert np.isfinite(b).all() and not np.array_equal(a, b)


@pytest.mark.parametrize("freeze_bn_stats", [False, True])
def test_frozen_part_keeps_its_weights_and_moves_its_statistics(freeze_bn_stats):
    m = method(changed(freeze_bn_stats=freeze_bn_stats, weights="imagenet"))  # from the package
    before = {k: v.clone() for k, v in m.net.state_dict().items()}
    m.fit(training_set())
    after, stored = m.net.state_dict(), m.state_dict()
    moved = {k for k in before if not torch.equal(before[k], after[k])}
    frozen = {f"front.{k}" for k, _ in m.net.front.named_parameters()}
    assert moved <= set(stored) and not moved & frozen and not frozen & set(stored)
    statistics = {k for k in moved if k.startswith("front.")}
    assert bool(statistics) != freeze_bn_stats
    assert {"low", "high", "head.weight"} <= moved
    other = method(changed(freeze_bn_stats=freeze_bn_stats, weights="imagenet"))
    other.load_state_dict(stored)
    images = training_set().images
    assert np.array_equal(m.explain(images).heatmaps, other.explain(images).heatmaps)


def test_a_frozen_part_that_always_sees_the_same_runs_once(monkeypatch):
    data = training_set()
    fixed = changed(augment=False, freeze_bn_stats=True)
    once, each = method(fixed), method(fixed)
    calls = []
    once.net.front.register_forward_hook(lambda *_: calls.append(1))
    once.fit(data)
    assert len(calls) == 2  # one image for the shape, then all 7 in a batch
    monkeypatch.setattr(each, "frozen_features", lambda images: None)
    each.fit(data)
    assert once.ctx.losses == pytest.approx(each.ctx.losses, rel=1e-4)


@pytest.mark.parametrize("normals", [5, 0])
def test_same_seed_same_bits(normals):
    data = training_set(normals, 3)
    maps = []
    for seed in (3, 3, 4):
        m = method(ctx=Context("cpu", seed))
        torch.rand(seed)  # the global generator is of no influence
        m.fit(data)
        maps.append(m.explain(data.images).heatmaps)
    assert np.array_equal(maps[0], maps[1]) and not np.array_equal(maps[0], maps[2])


class Interrupted(Context):
    """Keeps the state after each epoch, or begins from a kept one."""

    def __init__(self, start: int = 0, saved: dict | None = None) -> None:
        super().__init__("cpu", 0)
        self.start, self.saved = start, saved or {}

    def epochs(self, total, state):
        for name, part in state.items():
            if self.start:
                part.load_state_dict(self.saved[name])
        for epoch in range(self.start, total):
            yield epoch
            if epoch == 0:
                self.saved = {k: {**part.state_dict()} for k, part in state.items()}
                self.saved["net"] = {k: v.clone() for k, v in self.saved["net"].items()}
                momenta = self.saved["optimiser"]["state"]
                self.saved["optimiser"]["state"] = {
                    k: {n: t.clone() for n, t in v.items()} for k, v in momenta.items()}


def test_a_continued_training_ends_as_one_that_was_not_interrupted():
    data = training_set()
    through = method(changed(epochs=3), ctx=Interrupted())
    through.fit(data)
    continued = method(changed(epochs=3), ctx=Interrupted(1, through.ctx.saved))
    continued.fit(data)
    assert through.ctx.losses[1:] == continued.ctx.losses
    a, b = through.state_dict(), continued.state_dict()
    assert a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_learns_to_mark_bright_squares():
    m = method(changed(weights="imagenet", epochs=15, gauss_std=4.0))  # 12 is wide for 64 px
    data = training_set(normals=12, anomalies=3)
    m.fit(data)
    found = m.explain(data.images)
    inside, outside = (found.heatmaps[12:][data.masks[12:] == v].mean() for v in (True, False))
    assert inside > 2 * outside and found.scores[12:].min() > found.scores[:12].max()


# -- explanation --

def test_heatmap_is_the_upsampled_map_and_the_score_its_mean():
    images = training_set().images
    m = method()
    with torch.no_grad():
        a = m.net.eval()(m.ctx.tensor(images))
    found = m.explain(images)
    assert a.shape == (7, 8, 8) and a.min() >= 0
    assert np.allclose(found.heatmaps, m.upsample(a, SIDE, SIDE).numpy(), atol=1e-5)
    assert found.scores == pytest.approx(a.mean(dim=(1, 2)).numpy(), rel=1e-5)


def test_extra_blur_is_one_more_gaussian():
    images = training_set().images
    plain = method().explain(images)
    blurred = method(explain=FCDDExplain(extra_blur=True)).explain(images)
    expected = ndimage.gaussian_filter(plain.heatmaps[3], 12.0, radius=30)
    assert blurred.heatmaps.dtype == np.float32
    assert np.allclose(blurred.heatmaps[3], expected, atol=1e-5)
    assert np.array_equal(plain.scores, blurred.scores)


# -- parameters and real weights --

def test_protocols_and_options():
    assert Settings("paper").fit("fcdd") == FCDDFit()
    mini = Settings("mini").fit("fcdd")
    assert (mini.net, mini.epochs, mini.lr_gamma) == ("efficientnet_lite0", 40, 0.96)
    assert Settings("mini", epochs=3).fit("fcdd").epochs == 3
    options = ["fcdd.anomaly_prob=none", "fcdd.minmax=bottle", "fcdd.freeze_until=-1"]
    fit = Settings("paper", sets=options).fit("fcdd")
    assert (fit.anomaly_prob, fit.minmax, fit.freeze_until) == (None, "bottle", -1)
    with pytest.raises(UserError, match="expected one of vgg11bn, vgg16, efficientnet_lite0"):
        Settings("paper", sets=["fcdd.net=resnet50"])


def test_real_vgg16_weights_from_a_folder(shared):
    weights = Weights(shared / "weights")
    m = method(FCDDFit(net="vgg16"), ctx=Context("cpu", 0, weights))
    assert weights.used["vgg16"].startswith("17d4ef18")
    given = torch.load(next((shared / "weights").glob("vgg16-*")), weights_only=True)
    assert torch.equal(m.net.front[0].weight, given["features.0.weight"])
    assert torch.equal(m.net.rest[4].weight, given["features.21.weight"])  # trained, same origin
    assert len(m.net.front) == 17 and not m.net.front[14].weight.requires_grad


def test_vgg11bn_weights_by_their_official_names(tmp_path):
    net = torchvision.models.vgg.make_layers(torchvision.models.vgg.cfgs["A"], True)
    state = {f"features.{k}": v for k, v in net.state_dict().items()}
    torch.save({**state, "classifier.6.bias": torch.zeros(1000)},
               tmp_path / "vgg11_bn-6002323d.pth")
    m = method(FCDDFit(), ctx=Context("cpu", 0, Weights(tmp_path)))
    assert torch.equal(m.net.front[11].weight, state["features.11.weight"])
    assert torch.equal(m.net.rest[3].weight, state["features.18.weight"])
