"""AE-XAD's network, loss, maps and score, on values worked by hand and against the naive form."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from scipy import ndimage

from aexad.bench.base.errors import UserError
from aexad.bench.speed.ae_xad import NaiveAutoEncoder, naive_loss
from aexad.methods.ae_xad import AEXAD, PlainAE, reduction
from aexad.methods.ae_xad_params import AEExplain, AEFit, AEXADFit
from aexad.methods.base import Context, TrainingDiverged
from aexad.methods.weights import Weights

from conftest import training_set

LIGHT = AEXADFit(encoder="resnet18", weights="random", epochs=2, batch_size=5)


def method(fit: AEXADFit = LIGHT, explain: AEExplain = AEExplain(), seed: int = 0) -> AEXAD:
    return AEXAD(fit, explain, Context("cpu", seed))


# -- loss (Equations 1 and 2) --

def batch(mask_pixels: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    y = torch.zeros(2, 1, 8, 8)
    y[0, 0].view(-1)[:mask_pixels] = 1
    return x, y


def test_perfect_reconstruction_has_no_loss():
    x, y = batch()
    assert method().loss(x, y, torch.where(y > 0, 2.0, x)).item() == 0


def test_an_anomaly_reconstructed_as_itself_costs_every_element():
    # each of its n pixels and 3 channels costs lambda = H W / n: in all H W C, over 2 images
    x, y = batch(mask_pixels=5)
    assert method().loss(x, y, x).item() == pytest.approx(8 * 8 * 3 / 2, rel=1e-6)


def test_loss_of_one_pixel_by_hand():
    x, y = torch.zeros(1, 3, 8, 8), torch.zeros(1, 1, 8, 8)
    x[0, :, 0, 0] = 1.0
    out = x.clone()
    out[0, 0, 0, 0] += 0.5  # x = 1: denominator (2 - 1)^2 = 1
    out[0, 1, 3, 3] += 0.5  # x = 0: denominator (2 - 0)^2 = 4
    assert method().loss(x, y, out).item() == pytest.approx(0.25 / 1 + 0.25 / 4)
    y[0, 0, 0, 0] = y[0, 0, 0, 1] = 1  # lambda = 64 / 2
    out[0, :, 0, 1] = 2.0
    expected = 32 * (0.5**2 + 1 + 1) / 1 + 0.25 / 4
    assert method().loss(x, y, out).item() == pytest.approx(expected)


def test_other_targets():
    x = torch.tensor([0.2, 0.5, 0.9]).view(1, 3, 1, 1)
    neg = method(dataclasses.replace(LIGHT, F="neg"))
    assert torch.allclose(neg.transform(x), torch.tensor([0.8, 0.5, 0.1]).view(1, 3, 1, 1))
    assert torch.isfinite(neg.loss(x, torch.ones(1, 1, 1, 1), x))
    step = method(dataclasses.replace(LIGHT, F="step"))
    assert step.transform(x).flatten().tolist() == [1, 0, 0]


# -- the fast form is the naive form --

@pytest.mark.parametrize("reduce_bn", [True, False])
def test_fast_step_has_the_loss_and_gradients_of_the_naive_one(reduce_bn):
    fit = dataclasses.replace(LIGHT, reduce_bn=reduce_bn)
    ours, theirs = method(fit), method(fit)
    data = training_set(side=64)
    x = ours.ctx.tensor(data.images)
    y = torch.from_numpy(data.masks).unsqueeze(1).float()
    stored = ours.frozen_features(data.images)[np.arange(len(x))].permute(0, 3, 1, 2)
    ours.net.train()
    loss = ours.loss(x, y, ours.net.decoder(stored))
    loss.backward()
    network = NaiveAutoEncoder(theirs.net.to(memory_format=torch.contiguous_format).train())
    naive = naive_loss(x.contiguous(), y, network(x.contiguous()))
    naive.backward()
    assert loss.item() == pytest.approx(naive.item(), rel=1e-5)
    pairs = list(zip(ours.net.decoder.named_parameters(), theirs.net.decoder.parameters()))
    assert len(pairs) == (20 if reduce_bn else 18)
    for (name, a), b in pairs:
        if reduce_bn and name == "reduce.0.bias":
            continue  # BatchNorm takes it away again: its gradient is rounding
        scale = b.grad.abs().max()
        assert scale > 0, name
        assert torch.allclose(a.grad, b.grad, atol=2e-4 * scale.item(), rtol=1e-3), name


def test_epoch_of_a_fit_does_the_naive_steps():
    """Two Adam steps of fit() against the textbook loop on the same batches."""
    from aexad.methods.augment import draw_batches

    data = training_set(side=32)
    ours, theirs = method(), method()
    ours.fit(data)
    augmented, steps = theirs.prepare(data)
    p = LIGHT
    batches = draw_batches(np.random.default_rng([0, 2]), augmented.normals, augmented.anomalies,
                           steps=p.epochs * steps, batch_size=5, anomaly_share=1 / 3,
                           rounding="ceil")
    assert steps == 2  # ceil(7 / 5): images before augmentation
    network = NaiveAutoEncoder(theirs.net.train())
    optimiser = torch.optim.Adam(theirs.net.decoder.parameters(), lr=1e-3, weight_decay=1e-4)
    losses = []
    for i, positions in enumerate(batches):
        optimiser.param_groups[0]["lr"] = 1e-3 * 0.985 ** (i // steps)
        x = theirs.ctx.tensor(augmented.images[positions])
        y = torch.from_numpy(augmented.masks[positions]).unsqueeze(1).float()
        optimiser.zero_grad()
        loss = naive_loss(x, y, network(x))
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert ours.ctx.losses == pytest.approx(np.reshape(losses, (2, 2)).mean(axis=1), rel=1e-3)


# -- network (Section 5.1) --

@pytest.mark.parametrize("encoder, channels, reduction", [
    ("resnet18", 128, 128 * 64 * 9 + 3 * 64), ("resnet50", 512, 512 * 64 * 9 + 3 * 64),
    ("efficientnet_lite0", 40, 40 * 64 * 9 + 3 * 64)])
def test_code_is_28_by_28_by_64_at_224(encoder, channels, reduction):
    net = method(dataclasses.replace(LIGHT, encoder=encoder)).net.eval()
    with torch.no_grad():
        features = net.features(torch.rand(1, 3, 224, 224))
        assert features.shape == (1, channels, 28, 28)
        assert net.decoder.reduce(features).shape == (1, 64, 28, 28)
        out = net.decoder(features)
    assert out.shape == (1, 3, 224, 224) and out.min() >= 0
    assert sum(p.numel() for p in net.decoder.reduce.parameters()) == reduction


def test_parameters_of_the_authors_reduction():
    fit = dataclasses.replace(LIGHT, encoder="resnet50", reduce="three_conv", reduce_bn=True)
    n = sum(p.numel() for p in reduction(512, fit).parameters())
    assert n == 1_549_632  # S of docs/open_points.md


@pytest.mark.parametrize("change", [
    {"reduce": "conv1x1"}, {"reduce": "three_conv"}, {"reduce_bn": False}, {"mask": "square_sum"},
    {"mask_layout": "strided"}, {"block": "tconv_conv"}, {"tconv_kernel": 2},
    {"out_act": "sigmoid"}, {"out_act": "none"}, {"input_norm": "none"}, {"freeze": False},
    {"bn_eval": False}, {"F": "neg"}, {"position": "jitter"}, {"round": "floor"}, {"amp": True},
    {"n_paste": 0}, {"steps": 1}, {"schedule": "cosine"}], ids=str)
def test_every_option_trains_and_gives_another_result(change):
    data = training_set()
    base, other = method(), method(dataclasses.replace(LIGHT, **change))
    base.fit(data)
    other.fit(data)
    a, b = (m.explain(data.images).heatmaps for m in (base, other))
    assert a.shape == b.shape == (7, 32, 32)
    assert np.isfinite(b).all() and not np.array_equal(a, b)


@pytest.mark.parametrize("schedule, factors", [
    ("exponential", (1.0, 0.5, 0.25, 0.125)),
    ("cosine", (1.0, 0.5 + 0.5 ** 1.5, 0.5, 0.5 - 0.5 ** 1.5))])  # cos of 0, 45, 90, 135 degrees
def test_learning_rates_of_four_epochs(schedule, factors):
    m = method(dataclasses.replace(LIGHT, epochs=4, lr=1e-2, encoder_lr=1e-4, lr_gamma=0.5,
                                   schedule=schedule))
    for epoch, factor in enumerate(factors):
        assert m.rates(epoch) == pytest.approx((1e-2 * factor, 1e-4 * factor), rel=1e-12)


def test_frozen_encoder_does_not_move_and_is_not_stored():
    data = training_set()
    m = method()
    before = {k: v.clone() for k, v in m.net.encoder.state_dict().items()}
    m.fit(data)
    assert all(torch.equal(v, before[k]) for k, v in m.net.encoder.state_dict().items())
    assert any(k.startswith("encoder.") for k in m.state_dict())  # random: nowhere else to find
    published = method(dataclasses.replace(LIGHT, encoder="efficientnet_lite0", weights="imagenet"))
    assert not any(k.startswith("encoder.") for k in published.state_dict())


def test_trained_encoder_moves_slowly_and_is_stored():
    m = method(dataclasses.replace(LIGHT, freeze=False))
    before = m.net.encoder.conv1.weight.clone()
    m.fit(training_set())
    moved = (m.net.encoder.conv1.weight - before).abs().max().item()
    assert 0 < moved <= 4 * 1.1e-5  # four Adam steps of at most the learning rate
    other = method(dataclasses.replace(LIGHT, freeze=False), seed=5)
    other.load_state_dict(m.state_dict())
    images = training_set().images
    assert np.array_equal(m.explain(images).heatmaps, other.explain(images).heatmaps)


def test_bn_buffers_are_stored_where_they_moved():
    m = method(dataclasses.replace(LIGHT, bn_eval=False))
    m.fit(training_set())
    assert any(k.endswith("bn1.running_mean") for k in m.state_dict())


def test_same_seed_same_bits():
    data = training_set()
    maps = []
    for seed in (3, 3, 4):
        m = method(seed=seed)
        m.fit(data)
        maps.append(m.explain(data.images).heatmaps)
    assert np.array_equal(maps[0], maps[1]) and not np.array_equal(maps[0], maps[2])


def test_features_beyond_the_limit_are_mapped_and_equal(monkeypatch, tmp_path):
    data = training_set()
    inside = method().frozen_features(data.images).array
    monkeypatch.setattr("aexad.methods.base.IN_MEMORY", 10)
    m = AEXAD(LIGHT, AEExplain(), Context("cpu", 0, scratch=tmp_path))
    outside = m.frozen_features(data.images).array
    assert isinstance(outside, np.memmap) and np.array_equal(inside, outside)
    assert not list(tmp_path.iterdir())


def test_the_limit_is_on_a_methods_arrays_together(monkeypatch, tmp_path):
    monkeypatch.setattr("aexad.methods.base.IN_MEMORY", 100)
    ctx = Context("cpu", 0, scratch=tmp_path)
    kinds = [type(ctx.array((n,), np.float32)) for n in (15, 15, 10)]  # 60, 60 and 40 bytes
    assert kinds == [np.ndarray, np.memmap, np.ndarray]


def test_nan_loss_names_epoch_and_last_good_loss(monkeypatch):
    m = method(dataclasses.replace(LIGHT, epochs=5))
    losses = iter([4.0, 2.0, float("nan"), 1.0])
    monkeypatch.setattr(m, "step", lambda *a: torch.tensor(next(losses)))
    with pytest.raises(TrainingDiverged, match=r"epoch 2, last good loss 3"):
        m.fit(training_set())


# -- explanation (Section 4.3) --

def known_maps(m: AEXAD, reconstruction: np.ndarray) -> None:
    m.net.forward = lambda x: torch.from_numpy(reconstruction).expand_as(x)


def test_error_maps_by_hand():
    images = np.full((1, 8, 8, 3), 51, np.uint8)  # t = 0.2
    m = method()
    out = np.full((3, 8, 8), 0.2, np.float32)
    out[:, 0, 0] = 2.0   # all the possible error
    out[0, 1, 1] = 1.1   # (0.9 / 1.8)^2 in one channel of three
    out[:, 2, 2] = 5.0   # more than possible: clipped
    known_maps(m, out)
    e, e_norm = m.error_maps(images)
    assert e_norm[0, 0, 0] == pytest.approx(1) and e_norm[0, 2, 2] == 1
    assert e_norm[0, 1, 1] == pytest.approx(0.25 / 3) and e[0, 1, 1] == pytest.approx(0.81 / 3)
    assert e[0, 2, 2] == pytest.approx(4.8**2, rel=1e-5) and e_norm[0, 4:].max() < 1e-9


def test_heatmap_and_score_follow_the_paper():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (1, 64, 64, 3), dtype=np.uint8)
    m = method()
    out = images[0].transpose(2, 0, 1).astype(np.float32) / 255
    out[:, 20:32, 10:40] = 2.0  # a block 30 wide and 12 high
    known_maps(m, out)
    e, e_norm = m.error_maps(images)
    found = m.explain(images)
    k = 15  # half of the longer mean run, 30
    assert found.extras["k"].tolist() == [k]
    kernel = {"sigma": k / 3, "radius": k, "mode": "reflect"}
    assert np.allclose(found.heatmaps[0], ndimage.gaussian_filter(e_norm[0], **kernel), atol=1e-6)
    weighted = e[0] * ndimage.gaussian_filter(e[0], **kernel)  # Equation 4
    assert found.scores[0] == pytest.approx(np.abs(weighted).sum(), rel=1e-5)
    l2 = method(explain=AEExplain(norm="l2"))
    known_maps(l2, out)
    assert l2.explain(images).scores[0] == pytest.approx(np.sqrt((weighted**2).sum()), rel=1e-5)


@pytest.mark.parametrize("score", ["e_norm", "plain"])
def test_other_scores(score):
    images = training_set().images
    m = method(explain=AEExplain(score=score, k=4))
    e, e_norm = m.error_maps(images)
    found = m.explain(images)
    expected = e if score == "plain" else e_norm * found.heatmaps
    assert found.scores == pytest.approx(expected.sum(axis=(1, 2), dtype=np.float64), rel=1e-5)
    assert np.array_equal(found.heatmaps, method(explain=AEExplain(k=4)).explain(images).heatmaps)


def test_the_filter_follows_its_parameters():
    images = training_set().images
    m = method(explain=AEExplain(thr="fixed", thr_value=0.02, k_round="none", k_min=0, agg="min",
                                 sigma_div=2.0, sigma_min=1.0, truncate=4.0, border="zero"))
    found, (_, e_norm) = m.explain(images), m.error_maps(images)
    k = found.extras["k"]
    assert np.any(k % 1)
    for heatmap, error, radius in zip(found.heatmaps, e_norm, k):
        sigma = max(radius / 2, 1.0)
        expected = ndimage.gaussian_filter(error, sigma, truncate=4.0, mode="constant")
        assert np.allclose(heatmap, expected if radius else error, atol=1e-6)


def test_the_weighted_sampler_trains(monkeypatch):
    fit = dataclasses.replace(LIGHT, sampler="weighted", n_raw=1, n_paste=0, anom_weight=1.0)
    m = method(fit)
    seen = []
    monkeypatch.setattr(m, "step", lambda o, pool, batch: seen.append(batch) or torch.zeros(()))
    m.fit(training_set(normals=5, anomalies=2))
    assert set(np.concatenate(seen)) == {5, 6}  # with all the weight, anomalies alone


@pytest.mark.parametrize("copies", [{"n_raw": 1, "n_paste": 0}, {"n_raw": 2, "n_paste": 3}])
@pytest.mark.parametrize("normals", [40, 0])
def test_copies_do_not_change_the_share_that_the_weighted_sampler_draws(copies, normals):
    m = method(dataclasses.replace(LIGHT, sampler="weighted", **copies))
    data, _ = m.prepare(training_set(normals=normals, anomalies=10))
    drawn = m.draw(data, 1000)
    share = 0.8 * 10 / (0.8 * 10 + 0.2 * normals)
    assert np.isin(drawn, data.anomalies).mean() == pytest.approx(share, abs=0.04)


def test_without_the_filter_the_score_is_the_norm_of_e():
    images = training_set().images
    m = method(explain=AEExplain(filter=False))
    e, e_norm = m.error_maps(images)
    found = m.explain(images)
    assert np.array_equal(found.heatmaps, e_norm)
    assert found.scores == pytest.approx(e.sum(axis=(1, 2)), rel=1e-5)


def test_fixed_radius():
    images = training_set().images
    assert method(explain=AEExplain(k=4)).explain(images).extras["k"].tolist() == [4] * 7


# -- the plain autoencoder --

def test_plain_ae_sees_normals_only_and_the_squared_error():
    data = training_set()
    m = PlainAE(AEFit(encoder="resnet18", weights="random", epochs=1, batch_size=4), AEExplain(),
                Context("cpu", 0))
    prepared, steps = m.prepare(data)
    assert len(prepared.images) == 5 and not prepared.masks.any() and steps == 2
    x = torch.zeros(2, 3, 4, 4)
    assert m.loss(x, torch.zeros(2, 1, 4, 4), x + 0.5).item() == pytest.approx(0.25 * 48)
    assert PlainAE.skip("anomalies_only") and PlainAE.skip("standard") is None
    m.fit(data)


def plain_ae(explain: AEExplain, fit: AEFit = AEFit(encoder="resnet18", weights="random",
                                                    epochs=1, batch_size=4)) -> PlainAE:
    return PlainAE(fit, explain, Context("cpu", 0))


def test_plain_aes_heatmap_is_its_squared_error():
    """Table 1's AE: not divided, not cut; its score is the norm of it."""
    images = np.full((1, 8, 8, 3), 51, np.uint8)  # t = 0.2
    m = plain_ae(PlainAE.explain_params(filter=False))
    out = np.full((3, 8, 8), 0.2, np.float32)
    out[0, 1, 1], out[:, 2, 2] = 1.1, 2.2
    known_maps(m, out)
    found = m.explain(images)
    assert found.heatmaps[0, 1, 1] == pytest.approx(0.81 / 3)
    assert found.heatmaps[0, 2, 2] == pytest.approx(4.0)
    assert found.scores[0] == pytest.approx(4.27, rel=1e-5)


def test_the_plain_error_is_cut_at_1_before_it_is_filtered():
    """Section 5.2.1, of AE∪F: a pixel of error 4 would lift mean + std above the block's 0.81."""
    images = np.full((1, 64, 64, 3), 51, np.uint8)
    m = plain_ae(PlainAE.explain_params())
    out = np.full((3, 64, 64), 0.2, np.float32)
    out[:, 20:30, 10:30] = 1.1
    out[:, 50, 50:52] = 20.2  # two pixels of error 400
    known_maps(m, out)
    e, cut = m.error_maps(images)
    found = m.explain(images)
    assert np.array_equal(cut, np.minimum(e, 1)) and e.max() > 100
    assert found.extras["k"].tolist() == [10]  # of the block's rows, 20; the two pixels are no run
    assert np.allclose(found.heatmaps[0], ndimage.gaussian_filter(
        cut[0], sigma=10 / 3, radius=10, mode="reflect"), atol=1e-6)


def test_the_loss_as_a_mean_is_the_sum_by_the_number_of_elements():
    data = training_set()
    losses = {}
    for kind in ("sum", "mean"):
        m = method(dataclasses.replace(LIGHT, reduction=kind))
        prepared, _ = m.prepare(data)
        batch = np.array([0, 5, 6])
        code = torch.zeros(3, 64, 4, 4)
        losses[kind] = m.code_loss(m.pool(prepared), batch, code).item()
    assert losses["sum"] == pytest.approx(losses["mean"] * 3 * 32 * 32)


# -- real weights --

def test_real_resnet50_weights_from_a_folder(shared):
    weights = Weights(shared / "weights")
    m = AEXAD(AEXADFit(), AEExplain(), Context("cpu", 0, weights))
    assert weights.used["resnet50"].startswith("5106ba31")
    assert m.net.encoder.layer1[0].bn1.running_var.mean() != 1


def test_bounds_of_the_zoom_are_checked():
    with pytest.raises(UserError, match="scale_min"):
        AEXADFit(scale_min=2.0)
