"""What is known of FCDD without its networks: parameters, constants, version.

'official' is FCDD's own program; 'S' the one with which the authors of the paper ran it.
"""

from __future__ import annotations

from dataclasses import dataclass

from aexad.bench.base.params import param

# The last frozen module of each network: all through the third pool (what is at stride 8 is
# trained); of EfficientNet-Lite0 (stem, its BatchNorm, three groups of blocks) all but the last.
FROZEN = {"vgg11bn": 14, "vgg16": 16, "efficientnet_lite0": 3}

# Official min-max constants of MVTec: (minima, maxima) of the three channels after LCN.
MINMAX = {
    "bottle": ((-1.3337, -1.3108, -1.2446), (1.3780,) * 3),
    "cable": ((-2.2405, -2.3388, -2.2896), (4.5734,) * 3),
    "capsule": ((-3.1846, -3.1642, -3.1393), (1.6995, 1.6012, 1.5209)),
    "carpet": ((-3.0335, -2.9582, -2.7701), (6.5031, 5.8751, 5.8142)),
    "grid": ((-3.1008,) * 3, (4.2789,) * 3),
    "hazelnut": ((-3.6565, -3.5077, -2.7635), (18.9668, 21.6459, 26.4087)),
    "leather": ((-1.5193, -2.2068, -2.3948), (11.5647, 10.9765, 10.3787)),
    "metal_nut": ((-1.3208, -1.2889, -1.1484), (6.8549,) * 3),
    "pill": ((-0.9883, -0.9822, -0.9289), (2.2906, 2.4008, 2.3044)),
    "screw": ((-7.2362,) * 3, (3.3777,) * 3),
    "tile": ((-3.2037, -3.2210, -3.3055), (7.0225, 6.1156, 6.3109)),
    "toothbrush": ((-0.8916, -0.8669, -0.8002), (4.4256, 4.6423, 4.3057)),
    "transistor": ((-1.9087, -2.0004, -1.9293), (5.4631,) * 3),
    "wood": ((-2.9547, -3.1754, -3.1439), (5.3055, 4.5350, 3.3618)),
    "zipper": ((-1.2907,) * 3, (2.5151,) * 3),
}


@dataclass(frozen=True)
class FCDDFit:
    """The network, its data pipeline and its optimisation."""

    net: str = param("vgg11bn", "pre-trained network, cut at stride 8 (official: VGG-11-BN)",
                     choices=tuple(FROZEN))
    weights: str = param("imagenet", "weights of the network", choices=("imagenet", "random"))
    freeze_until: int | None = param(None, "last frozen module; none: through the third pool "
                                     "(official: 14 of VGG-11-BN); -1: nothing frozen",
                                     low=-1, high=1000)
    freeze_bn_stats: bool = param(False, "BatchNorm of the frozen part uses and keeps its stored "
                                  "statistics (official: they move, only gradients are stopped)")
    gauss_std: float | None = param(12.0, "standard deviation of the upsampling's Gaussian, pixels "
                                    "of the working size, not scaled with it (official for MVTec "
                                    "at 224); none: from the receptive field", low=0.1)
    objective: str = param("pixel", "loss of each pixel by its mask, or of each image by its label "
                           "(official with masks: pixel)", choices=("pixel", "image"))
    augment: bool = param(True, "crops, colour jitter and noise, anew each epoch (official)")
    minmax: str = param("train", "constants of the min-max scaling: of the training normals "
                        "(official for new data), or the published ones of an MVTec category (S: "
                        "bottle's for all data)", choices=("train", *MINMAX))
    anomaly_prob: float | None = param(0.5, "probability that a normal is replaced by an anomaly "
                                       "(official); none: each image once, as it comes (S)",
                                       low=0.0, high=1.0)
    repeat: int = param(1, "passes over the normals in an epoch (S; official 10)",
                        low=1, high=10_000)
    epochs: int = param(200, "epochs (official, S)", low=1, high=1_000_000)
    batch_size: int = param(16, "images a step (S; official 8 x 16, concatenated)",
                            low=2, high=100_000)
    lr: float = param(1e-3, "learning rate of SGD (official, S)", low=0.0)
    lr_gamma: float = param(0.985, "factor on the learning rate after each epoch (official, S)",
                            low=0.0, high=1.0)
    momentum: float = param(0.9, "momentum of SGD (official)", low=0.0, high=1.0)
    nesterov: bool = param(True, "Nesterov's form of the momentum (official)")
    weight_decay: float = param(1e-4, "SGD's L2 term (official for MVTec, S)", low=0.0)
    feature_gb: float = param(8.0, "most GB that the frozen front's output for all training images "
                              "may take, without augment; what takes more is computed in each "
                              "step, the same up to rounding", low=0.0, before=8.0)


@dataclass(frozen=True)
class FCDDExplain:
    """From the map A to the heatmap."""

    extra_blur: bool = param(False, "blur the heatmap once more, 61 x 61 pixels, standard "
                             "deviation 12 (S)")


class FCDDFacts:
    """FCDD, the semi-supervised form that the paper compares with."""

    fit_params, explain_params, version = FCDDFit, FCDDExplain, 2
