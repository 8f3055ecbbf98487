"""BGAD's flows, losses, schedule and map, on values worked by hand."""

from __future__ import annotations

import dataclasses
import math
import shutil

import numpy as np
import pytest
import torch

from aexad.bench.plan.cells import all_cells
from aexad.bench.plan.settings import Settings
from aexad.bench.results.store import Store
from aexad.bench.run import task
from aexad.methods import bgad
from aexad.methods.base import Context, TrainingSet
from aexad.methods.bgad import BGAD, boundary, focal_weights, learning_rate
from aexad.methods.bgad_levels import level_masks
from aexad.methods.bgad_params import BGADExplain, BGADFit
from aexad.methods.encoders import PYRAMIDS, build_encoder
from aexad.methods.weights import Weights

from conftest import training_set
from running import BOTTLE, run

LIGHT = BGADFit(backbone="efficientnet_lite0", weights="random", meta_epochs=2, sub_epochs=2,
                warm_epochs=1, batch_size=4, n_raw=1, n_paste=1, lr=1e-3)


def method(fit: BGADFit = LIGHT, explain: BGADExplain = BGADExplain(), seed: int = 0,
           **more) -> BGAD:
    return BGAD(fit, explain, Context("cpu", seed, **more))


def changed(**values) -> BGADFit:
    return dataclasses.replace(LIGHT, **values)


# -- backbone --

@pytest.mark.parametrize("name, channels", [("efficientnet_b6", (40, 72, 200)),
                                            ("efficientnet_lite0", (24, 40, 112))])
def test_levels_have_strides_4_8_16(name, channels):
    net = build_encoder(name, False, Weights(), PYRAMIDS).eval()
    with torch.no_grad():
        levels = net(torch.rand(1, 3, 64, 64))
    assert [tuple(level.shape) for level in levels] == [
        (1, c, s, s) for c, s in zip(channels, (16, 8, 4))]
    assert PYRAMIDS[name].channels == channels


def test_levels_are_timms_own_features():
    from aexad.methods.vision import timm

    theirs = timm.create_model("tf_efficientnet_lite0", pretrained=False, features_only=True,
                               out_indices=(1, 2, 3)).eval()
    ours = build_encoder("efficientnet_lite0", False, Weights(), PYRAMIDS).eval()
    ours.load_state_dict({k: theirs.state_dict()[k] for k in ours.state_dict()})
    x = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert all(torch.equal(a, b) for a, b in zip(ours(x), theirs(x)))


def test_lite0_from_the_package_is_that_of_the_other_encoder():
    weights = Weights()
    levels = build_encoder("efficientnet_lite0", True, weights, PYRAMIDS).eval()
    short = build_encoder("efficientnet_lite0", True, weights).eval()
    x = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(levels(x)[1], short(x))


def test_b6_is_downloaded_from_where_timm_has_it_and_loads(tmp_path, monkeypatch):
    from aexad.methods.vision import timm

    torch.manual_seed(1)
    state = build_encoder("efficientnet_b6", False, Weights(), PYRAMIDS).state_dict()
    fetched = []

    def fetch(url, to, hash_prefix):
        fetched.append((url, hash_prefix))
        torch.save({**state, "classifier.bias": torch.zeros(2)}, to)

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", fetch)
    net = build_encoder("efficientnet_b6", True, Weights(), PYRAMIDS)
    assert all(torch.equal(v, state[k]) for k, v in net.state_dict().items())
    official = timm.models.get_pretrained_cfg("tf_efficientnet_b6.aa_in1k")
    assert fetched == [(official.url, "80ba17e4")]
    assert PYRAMIDS["efficientnet_b6"].norm == (official.mean, official.std)


# -- losses --

def test_focal_weights():
    t = torch.tensor([-0.5, -1.0, -0.1, 0.3])
    normal = focal_weights(t, torch.zeros(4, dtype=torch.bool))
    assert normal.tolist() == pytest.approx([3.66954, 9.30220, 1, 1], rel=1e-5)
    t = torch.tensor([-0.5, -0.1, -1.0, -3.0])
    anomalous = focal_weights(t, torch.ones(4, dtype=torch.bool))
    assert anomalous.tolist() == pytest.approx([2.73580, 19.23055, 1, 1], rel=1e-5)
    assert torch.isfinite(focal_weights(torch.zeros(2), torch.tensor([True, False]))).all()


@pytest.mark.parametrize("n, beta, index", [(4096, 0.05, 204), (20, 0.05, 1), (60, 0.05, 3),
                                            (19, 0.05, 0), (1, 0.5, 0), (100, 0.01, 1)])
def test_boundary_is_the_normals_value_at_floor_beta_n(n, beta, index):
    values = torch.arange(n + 3.0)
    t = values[torch.randperm(n + 3, generator=torch.Generator().manual_seed(2))]
    assert boundary(t, t < 3, beta).item() == 3 + index  # the three lowest are anomalous


def test_push_pull_by_hand():
    m = method(changed(beta=0.5, focal=False, push_pull=2.0))
    logp = torch.tensor([-10.0, -20.0, -30.0, -40.0, -15.0, -90.0])
    anomalous = torch.tensor([False] * 4 + [True] * 2)
    # normals' t: -4 -3 -2 -1; b_n is at index 2: -2; b_a = -2.1
    likelihood = -torch.nn.functional.logsigmoid(logp[:4]).mean().item()
    pull = (2 + 1 + 0) / 3  # t = -4, -3 and -2 itself are within
    push = (-1.5 + 2.1) / 1  # of the anomalies t = -1.5 alone is above b_a
    assert m.loss(logp, anomalous, 1).item() == pytest.approx(likelihood + 2 * (pull + push))
    assert m.loss(logp, anomalous, 0).item() == pytest.approx(likelihood)
    # with focal weights: before the means
    m = method(changed(beta=0.5, push_pull=2.0))
    w = focal_weights(logp / 10, anomalous).tolist()
    likelihood = sum(w[i] * -torch.nn.functional.logsigmoid(logp[i]).item() for i in range(4)) / 4
    pull, push = (w[3] * 2 + w[2] * 1) / 3, w[4] * 0.6
    assert m.loss(logp, anomalous, 1).item() == pytest.approx(likelihood + 2 * (pull + push))


def test_the_first_meta_epoch_has_no_focal_weights():
    """BGAD's own loop: the plain mean there (docs/open_points.md)."""
    logp = torch.tensor([-50.0, -4.0, -90.0])
    anomalous = torch.tensor([False, False, True])
    plain = -torch.nn.functional.logsigmoid(logp[:2])
    assert method().loss(logp, anomalous, 0).item() == pytest.approx(plain.mean().item())
    weights = focal_weights(logp / 10, anomalous)[:2]
    assert weights[0] > 50  # 11.7 * (1 - e^-5)^0.5 * 5: what it would be multiplied by
    assert method(changed(push_pull=0.0)).loss(logp, anomalous, 1).item() == pytest.approx(
        (weights * plain).mean().item())


def test_empty_sets_cost_nothing_and_give_no_nan():
    m = method(changed(focal=False))
    logp = torch.tensor([-5.0, -6.0, -90.0], requires_grad=True)
    below = torch.tensor([False, False, True])  # the anomaly is beyond the boundary already
    likelihood = -torch.nn.functional.logsigmoid(logp[:2]).mean()
    assert m.loss(logp, below, 1).item() == pytest.approx(likelihood.item())
    no_anomaly = torch.zeros(3, dtype=torch.bool)
    assert m.loss(logp, no_anomaly, 1).item() == m.loss(logp, no_anomaly, 0).item()
    loss = m.loss(logp, ~no_anomaly, 1)  # no normal position
    loss.backward()
    assert loss.item() == 0 and torch.isfinite(logp.grad).all()


# -- schedule and two phases --

def test_learning_rates():
    p = BGADFit(warm_epochs=0)
    assert [learning_rate(p, e) for e in (0, 1, 12, 24)] == pytest.approx(
        [2e-4, 1.992123e-4, 1.063728e-4, 9.8774e-7], rel=1e-5)
    p = BGADFit()
    top = 1.96861e-4
    assert learning_rate(p, 0) == pytest.approx(2e-5)
    assert learning_rate(p, 1, 0.5) == pytest.approx(2e-5 + 0.75 * (top - 2e-5), rel=1e-5)
    assert learning_rate(p, 2) == pytest.approx(top, rel=1e-5)


def test_warm_up_counts_the_batches_there_are(monkeypatch):
    asked = []
    rate = learning_rate
    monkeypatch.setattr(bgad, "learning_rate",
                        lambda p, e, done: asked.append((e, done)) or rate(p, e, done))
    method(changed(batch_size=3)).fit(training_set())
    # 5 normals: 1 batch of 3; 5 + 2 raw + 2 pasted: 3 batches
    assert asked == [(0, 0), (0, 0.5)] + [(1, pytest.approx(i / 6)) for i in range(6)]


def seen(data: TrainingSet, fit: BGADFit) -> list[tuple[int, int, set[bool]]]:
    """For every step: positions, meta-epoch, the kinds of positions."""
    m, calls = method(fit), []
    loss = m.loss

    def spy(logp, anomalous, epoch):
        calls.append((len(logp), epoch, set(anomalous.tolist())))
        return loss(logp, anomalous, epoch)

    m.loss = spy
    m.fit(data)
    return calls


def test_first_meta_epoch_sees_normals_alone():
    calls = seen(training_set(), LIGHT)
    assert len(calls) == 3 * (2 * 1 + 2 * 2)  # levels x (passes x batches), incomplete ones dropped
    assert all(kinds == {False} and epoch == 0 for _, epoch, kinds in calls[:6])
    assert all(epoch == 1 for _, epoch, _ in calls[6:]) and any(True in k for _, _, k in calls[6:])


def test_without_normals_the_first_meta_epoch_has_the_normal_pixels():
    data = training_set(normals=0, anomalies=3)
    m = method(changed(n_raw=5))
    copies = bgad.augment(data, np.random.default_rng(0), **m.p.copies())
    assert len(copies.images) == 3 and len(copies.anomalies) == 15  # raw, nothing to paste on
    calls = seen(data, m.p)
    assert len(calls) == 3 * 4 * 3
    assert [epoch for _, epoch, _ in calls] == [0] * 18 + [1] * 18
    logp = torch.tensor([-1.0, -2.0, -3.0], requires_grad=True)
    m.loss(logp, torch.tensor([False, True, False]), 0).backward()
    assert logp.grad[1] == 0 and logp.grad[0] < 0  # anomalous positions of that phase teach nothing


def test_positions_are_cut_into_steps():
    sizes = [n for n, _, _ in seen(training_set(), changed(n_positions=100))]
    # 4 images at 32 px have 256, 64 and 16 positions: two steps, and one smaller each
    assert sizes == [16, 64, 100, 100] * 6


def test_balanced_batches_are_one_third_anomalies():
    m = method(changed(sampler="balanced", batch_size=32, steps=4, n_raw=5, n_paste=10))
    data = bgad.augment(training_set(), np.random.default_rng(0), **m.p.copies())
    batches = m.batches(np.random.default_rng(0), data, 1)
    assert batches.shape == (4, 32) and (np.isin(batches, data.normals).sum(axis=1) == 21).all()
    assert set(m.batches(np.random.default_rng(0), data, 0).ravel()) == set(data.normals)


def test_masks_are_resized_to_the_nearest():
    mask = np.zeros((1, 8, 8), bool)
    mask[0, 0, 0] = mask[0, 4, 4:] = mask[0, 3, 3] = True  # (3, 3) is nobody's nearest
    assert np.array_equal(level_masks(mask, (2, 2)),
                          [[[True, False], [False, True]]])


# -- training --

def test_same_seed_same_bits_and_the_features_of_each_image_once(monkeypatch):
    data = training_set()
    counted = []
    features = BGAD.features
    maps = []
    for seed in (3, 3, 4):
        m = method(seed=seed)
        monkeypatch.setattr(BGAD, "features",
                            lambda s, images: counted.append(len(images)) or features(s, images))
        m.fit(data)
        assert sum(counted) == 1 + 7 + 2  # one for the shapes, 7 images, 2 pastes
        monkeypatch.setattr(BGAD, "features", features)
        counted.clear()
        maps.append(m.explain(data.images).heatmaps)
    assert np.array_equal(maps[0], maps[1]) and not np.array_equal(maps[0], maps[2])


@pytest.mark.parametrize("change", [
    {"focal": False}, {"push_pull": 0.0}, {"sampler": "balanced", "steps": 2}, {"tau": 0.0},
    {"beta": 0.3}, {"normalizer": 5.0}, {"clamp": 1.0}, {"blocks": 2}, {"n_paste": 0},
    {"position": "same"}, {"n_positions": 64}, {"warm_epochs": 0}, {"idle_levels": "rest"}],
    ids=str)
def test_every_option_trains_and_gives_another_result(change):
    data = training_set()
    base, other = method(), method(changed(**change))
    base.fit(data)
    other.fit(data)
    a, b = (torch.cat([level.flatten() for level in m.log_densities(data.images)])
            for m in (base, other))
    assert torch.isfinite(b).all() and not torch.equal(a, b)


@pytest.mark.parametrize("idle, moved", [("momentum", True), ("rest", False)])
def test_adams_momentum_moves_the_levels_that_are_idle(idle, moved):
    """Not before a level's first step, and in each step of another level from then on."""
    m = method(changed(idle_levels=idle))
    data = training_set()
    levels = [m.level(features, data.masks)
              for features in m.ctx.extract(data.images, m.features)]
    trainings = m.trainings()

    def step(level: int) -> list[bool]:
        """Which flows moved in one step of a level."""
        before = [flow.blocks[0].offset.detach().clone() for flow in m.flows]
        steps = [[torch.arange(2)] if i == level else [] for i in range(len(levels))]
        [loss] = trainings.run(levels, steps, 0, 1e-3)
        assert loss > 0
        return [not torch.equal(b, f.blocks[0].offset) for b, f in zip(before, m.flows)]

    assert step(0) == [True, False, False]
    assert step(1) == [moved, True, False]
    assert step(0) == [True, moved, False]


def test_training_lowers_the_loss_and_moves_every_flow():
    m = method(changed(meta_epochs=6, push_pull=0.0))
    before = [f.blocks[0].subnet[0].weight.clone() for f in m.flows]
    m.fit(training_set())
    assert m.ctx.losses[-1] < m.ctx.losses[2] and len(m.ctx.losses) == 12
    assert all(not torch.equal(b, f.blocks[0].subnet[0].weight)
               for b, f in zip(before, m.flows))


def test_features_beyond_the_limit_are_mapped_and_equal(monkeypatch, tmp_path):
    data = training_set()
    inside = method()
    inside.fit(data)
    monkeypatch.setattr("aexad.methods.base.IN_MEMORY", 10)
    outside = method(scratch=tmp_path)
    features = outside.ctx.extract(data.images, outside.features)
    assert all(isinstance(level.array, np.memmap) for level in features)
    outside.fit(data)
    assert inside.ctx.losses == outside.ctx.losses and not list(tmp_path.iterdir())


@pytest.mark.parametrize("idle", ["momentum", "rest"])
def test_interrupted_training_continues_with_the_same_bits(root, tmp_path, monkeypatch, idle):
    """Every level has had a step by the end of a pass, the only place to be interrupted at: a batch
    gives each at least one, however few its positions are."""
    words = (*BOTTLE, "--methods", "bgad", "--set", "bgad.batch_size=4", "--set",
             "bgad.meta_epochs=3", "--set", "bgad.n_raw=1", "--set", "bgad.n_paste=1",
             "--set", f"bgad.idle_levels={idle}", "--checkpoint-every", "0")
    assert run(root, tmp_path / "a", *words) == 0
    report = task.RunContext.report

    def interrupted(self, epoch, loss):
        report(self, epoch, loss)
        if epoch == 1 and len(stopped) == 0:
            stopped.append(epoch)
            raise KeyboardInterrupt

    stopped: list[int] = []
    monkeypatch.setattr(task.RunContext, "report", interrupted)
    assert run(root, tmp_path / "b", *words) == 130
    assert run(root, tmp_path / "b", *words) == 0
    a, b = ([p.read_bytes() for p in sorted((tmp_path / n).rglob("model.safetensors"))]
            for n in "ab")
    assert len(a) == 1 and a == b


# -- map --

def known(m: BGAD, *levels: list) -> None:
    m.log_densities = lambda images: [torch.tensor(v, dtype=torch.float32) for v in levels]


def test_map_by_hand():
    m = method()
    flat = [[[0.0, 0.0], [0.0, 0.0]]] * 2
    first = [[[-1.0, -2.0], [-3.0, -4.0]], [[-2.0, -2.0], [-2.0, -2.0]]]
    known(m, first, flat, flat)
    found = m.explain(np.zeros((2, 3, 3, 3), np.uint8))
    e = [math.exp(-i) for i in range(4)]  # logp - max over both images
    # aligned corners: the corners keep their values, the centre is the mean of the four
    corners = found.heatmaps[0][::2, ::2].ravel()
    assert corners == pytest.approx([1 - v for v in e], abs=1e-6)
    assert found.heatmaps[0][1, 1] == pytest.approx(1 - sum(e) / 4, abs=1e-6)
    assert found.heatmaps[0][0, 1] == pytest.approx(1 - (e[0] + e[1]) / 2, abs=1e-6)
    assert found.heatmaps[1] == pytest.approx(np.full((3, 3), 1 - e[1]), abs=1e-6)
    assert found.scores == pytest.approx([1 - e[3], 1 - e[1]], abs=1e-6)
    assert m.state_dict()["maxima"].tolist() == [-1, 0, 0, 3]


def test_neg_logp_needs_no_maxima():
    m = method(explain=BGADExplain(score_map="neg_logp"))
    known(m, [[[-1.0, -2.0], [-3.0, -4.0]]], [[[-1.0]]], [[[0.5]]])
    found = m.explain(np.zeros((1, 2, 2, 3), np.uint8))
    assert found.heatmaps[0].ravel() == pytest.approx([1.5, 2.5, 3.5, 4.5])
    assert "maxima" not in m.state_dict()


def test_saturated_map_has_no_pixel_above_mean_plus_std():
    """An object in front of a trivially normal background: exp(logp - max) is 0 on all of it, so
    the score is high on more than half of the pixels: ranked right, and yet F1 = 0."""
    logp = np.full((1, 8, 8), -300.0)
    logp[0, :3] = 0.0  # background
    logp[0, 5, 5] = -900.0  # the anomaly
    flat = np.zeros((1, 8, 8))
    for name, above in (("prob_sum", 0), ("neg_logp", 1)):
        m = method(explain=BGADExplain(score_map=name))
        known(m, logp, flat, flat)
        heatmap = m.explain(np.zeros((1, 8, 8, 3), np.uint8)).heatmaps[0]
        assert (heatmap > heatmap.mean() + heatmap.std()).sum() == above, name


def test_maxima_are_those_of_the_first_images_until_trained_again():
    data = training_set()
    m = method()
    m.fit(data)
    assert "maxima" not in m.state_dict()
    whole = m.explain(data.images)
    alone = m.explain(data.images[3:4])
    assert np.allclose(alone.heatmaps[0], whole.heatmaps[3], atol=1e-5)
    fresh = method()
    fresh.load_state_dict({k: v for k, v in m.state_dict().items() if k != "maxima"})
    assert not np.allclose(fresh.explain(data.images[3:4]).heatmaps[0], alone.heatmaps[0],
                           atol=1e-5)
    m.fit(data)
    assert "maxima" not in m.state_dict()


def test_maxima_over_the_test_set_are_saved_with_the_fit(root, tmp_path):
    words = (*BOTTLE, "--methods", "bgad", "--keep-maps")
    assert run(root, tmp_path, *words) == 0
    settings = Settings("smoke", sets=["data.size=32"])
    [cell] = all_cells(settings, ["bgad"], [("mvtec", "bottle")], "standard", [40])
    store = Store(tmp_path)
    state = store.load_model(cell.fit)
    assert state["maxima"].shape == (4,)
    kept = np.load(store.cell_dir(cell) / "heatmaps.npy")
    path = store.fit_dir(cell.fit) / "model.safetensors"
    # explained again, by another cell of the fit: the saved maxima are used and left alone
    stamp = path.stat().st_mtime_ns
    shutil.rmtree(store.cell_dir(cell))
    assert run(root, tmp_path, *words) == 0
    assert np.array_equal(np.load(store.cell_dir(cell) / "heatmaps.npy"), kept)
    assert path.stat().st_mtime_ns == stamp
    # other images are measured by the same maxima
    m = BGAD(cell.fit.params, cell.params, Context("cpu", 1))
    m.load_state_dict(state)
    m.explain(training_set().images)
    assert torch.equal(m.state_dict()["maxima"], state["maxima"])


# -- parameters --

def test_defaults_are_bgads_with_the_papers_pastes():
    p = Settings("paper").fit("bgad")
    assert (p.backbone, p.blocks, p.clamp, p.meta_epochs, p.sub_epochs, p.epochs) == (
        "efficientnet_b6", 8, 1.9, 25, 8, 200)
    assert (p.n_raw, p.n_paste, p.batch_size, p.n_positions, p.lr) == (5, 10, 32, 4096, 2e-4)
    assert (p.beta, p.tau, p.normalizer, p.push_pull, p.focal) == (0.05, 0.1, 10, 1, True)
    assert Settings("paper").explain("bgad").score_map == "prob_sum"
    for name in ("mini", "smoke"):
        assert Settings(name).fit("bgad").backbone == "efficientnet_lite0"


def test_pure_density_estimation_where_no_anomaly_is_known():
    m = method()
    m.fit(training_set(anomalies=0))
    assert np.isfinite(m.explain(training_set().images).heatmaps).all()
