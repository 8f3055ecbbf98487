"""What is known of AE-XAD and the plain autoencoder without their networks: parameters, version.

Where the paper is silent, a parameter's doc names the choice; 'row N' is the table of open points
in docs/open_points.md.
"""

from __future__ import annotations

from dataclasses import dataclass

from aexad.bench.base.errors import UserError
from aexad.bench.base.params import param
from aexad.methods.copy_paste_params import CopyPaste

# of the encoders' output at stride 8
CHANNELS = {"resnet18": 128, "resnet34": 128, "resnet50": 512, "vgg11bn": 512, "vgg16": 512,
            "efficientnet_lite0": 40}


@dataclass(frozen=True)
class AEFit:
    """The network and its optimisation, shared by AE and AE-XAD."""

    encoder: str = param("resnet50", "pre-trained encoder, cut at stride 8 (row 1)",
                         choices=("resnet18", "resnet34", "resnet50", "vgg11bn", "vgg16",
                                  "efficientnet_lite0"))
    weights: str = param("imagenet", "weights of the encoder", choices=("imagenet", "random"))
    freeze: bool = param(True, "encoder not trained (Section 5.1; row 2)")
    bn_eval: bool = param(True, "encoder's BatchNorm uses its stored statistics (row 2)")
    encoder_lr: float = param(1e-5, "learning rate of an encoder that is trained (row 2)", low=0.0)
    reduce: str = param("conv3x3", "reduction of the encoder's channels to 64 (row 3)",
                        choices=("conv3x3", "conv1x1", "three_conv"))
    reduce_bn: bool = param(True, "BatchNorm after each convolution of the reduction (row 3)")
    input_norm: str = param("imagenet", "input scaling: the encoder's own, or none (row 4)",
                            choices=("imagenet", "none"))
    mask: str = param("group_sum", "branch 1: sums of tanh over groups of channels, or one sum of "
                      "tanh^2 over all (Section 5.1; row 6)", choices=("group_sum", "square_sum"))
    mask_layout: str = param("consecutive", "which channels form a group (row 6)",
                             choices=("consecutive", "strided"))
    block: str = param("conv_tconv", "order in a block of branch 2 (Section 5.1; row 8)",
                       choices=("conv_tconv", "tconv_conv"))
    tconv_kernel: int = param(4, "kernel of the transposed convolutions (row 8)", choices=(2, 4))
    out_act: str = param("relu", "output activation; 2 must be reachable (row 10)",
                         choices=("relu", "none", "sigmoid"))
    F: str = param("const", "target of anomalous pixels: F_value, 1 - x, or 1 where x < 0.5 "
                   "(Section 4.1; row 11)", choices=("const", "neg", "step"))
    F_value: float = param(2.0, "v of F(x) = v (Section 5.1)")
    epochs: int = param(200, "epochs (Section 5.1)", low=1, high=1_000_000)
    batch_size: int = param(16, "images a step (row 17)", low=2, high=100_000)
    steps: int = param(0, "steps an epoch; 0: training images / batch_size (row 26)",
                       low=0, high=1_000_000)
    lr: float = param(1e-3, "Adam's learning rate (Section 5.1)", low=0.0)
    weight_decay: float = param(1e-4, "Adam's L2 term (Section 5.1)", low=0.0)
    lr_gamma: float = param(0.985, "factor on the learning rate after each epoch (row 18)",
                            low=0.0, high=1.0)
    schedule: str = param("exponential", "of the learning rate: lr_gamma after each epoch, or half "
                          "a cosine down to 0, without lr_gamma (row 18)",
                          choices=("exponential", "cosine"), before="exponential")
    reduction: str = param("sum", "an image's loss is the sum over its elements, or their mean, "
                           "beside which weight_decay weighs more (Equation 2; row 15)",
                           choices=("sum", "mean"), before="sum")
    amp: bool = param(False, "mixed precision (bfloat16) in training")
    feature_gb: float = param(8.0, "most GB that the frozen encoder's output for all training "
                              "images may take; what takes more is computed in each step, the "
                              "same up to rounding", low=0.0, before=8.0)

    def stored_bytes(self, size: int) -> int:
        """Of what a training keeps of each image of size x size pixels beside the image itself."""
        fixed = self.freeze and self.bn_eval and self.encoder in CHANNELS
        return 4 * CHANNELS[self.encoder] * (size // 8) ** 2 if fixed else 0


@dataclass(frozen=True)
class AEXADFit(CopyPaste, AEFit):
    """AE-XAD's augmentation and sampling beside them (Section 4.2)."""

    anom_frac: float = param(1 / 3, "share of anomalies in a batch (Section 4.2; row 25)",
                             low=0.0, high=1.0)
    round: str = param("ceil", "rounding of that share (row 25)", choices=("ceil", "floor"))
    sampler: str = param("share", "anom_frac of every batch, or images drawn with replacement by "
                         "weight (row 25)", choices=("share", "weighted"), before="share")
    anom_weight: float = param(0.8, "weight of an anomaly, all its copies together, for "
                               "sampler=weighted; a normal image has the rest to 1 (row 25)",
                               low=0.0, high=1.0, before=0.8)


@dataclass(frozen=True)
class GreenFit(AEXADFit):
    """Three tenths of the passes: small steps in number, and a rate that ends at 0 (docs/green.md).
    Of 4 images 2 are anomalies, where of the published 16 they are 6."""

    epochs: int = param(60, "epochs (docs/green.md)", low=1, high=1_000_000)
    batch_size: int = param(4, "images a step (docs/green.md)", low=2, high=100_000)
    schedule: str = param("cosine", "of the learning rate: half a cosine down to 0, or lr_gamma "
                          "after each epoch (docs/green.md)", choices=("exponential", "cosine"))


@dataclass(frozen=True)
class AEExplain:
    """From the reconstruction to the heatmap (Section 4.3)."""

    error: str = param("normalised", "the map: Equation 3's normalised error, or the plain one, "
                       "cut at 1 before it is filtered (Section 5.2.1; row 29)",
                       choices=("normalised", "plain"), before="normalised")
    filter: bool = param(True, "smooth the error map; without it the score is the norm of e")
    thr: str = param("mean_std", "threshold for the radius: mean + std of the map, or thr_value "
                     "(Section 4.3; row 30)", choices=("mean_std", "fixed"))
    thr_value: float = param(0.3, "threshold of thr=fixed (row 30)")
    segments: str = param("runs", "segments measured: runs, or extents of components (row 31)",
                          choices=("runs", "components"))
    min_run: int = param(4, "runs shorter than this many pixels, of the working size, are ignored "
                         "(row 31)", low=1, high=4096)
    agg: str = param("max", "of the two directions' means; min_nan: the smaller, where only one "
                     "has runs the vertical one (Section 4.3; row 32)",
                     choices=("max", "min", "min_nan"))
    k_round: str = param("floor", "rounding of the radius (row 33)",
                         choices=("floor", "round", "none"))
    k_min: int = param(1, "smallest radius, pixels; also where nothing is above the threshold, 0: "
                       "unfiltered then (rows 33, 34)", low=0, high=1024)
    k_max: int | None = param(None, "largest radius, pixels (row 33)", low=1, high=4096)
    k: int | None = param(None, "a fixed radius, pixels, in place of the estimate",
                          low=1, high=1024)
    sigma_div: float = param(3.0, "the Gaussian's sigma is the radius / this (Section 4.3; row 35)",
                             low=0.1, before=3.0)
    sigma_min: float = param(0.0, "its smallest sigma, pixels (row 35)",
                             low=0.0, high=1024.0, before=0.0)
    truncate: float = param(3.0, "it ends at this many sigma; 3 with sigma_div 3: the kernel of "
                            "2k + 1 pixels (Section 4.3; row 35)", low=0.5, high=10.0, before=3.0)
    border: str = param("reflect", "beyond the map: mirrored, or zero (row 36)",
                        choices=("reflect", "zero"), before="reflect")
    norm: str = param("l1", "norm in the score (Equation 4; row 42)", choices=("l1", "l2"))
    score: str = param("e", "error in the score: e * F_k(e) as in Equation 4, the same of the "
                       "normalised one, or e itself, unfiltered (row 43)",
                       choices=("e", "e_norm", "plain"), before="e")

    def __post_init__(self) -> None:
        if self.k_max is not None and self.k_min > self.k_max:
            raise UserError(f"k_min={self.k_min} is above k_max={self.k_max}; exchange them")


@dataclass(frozen=True)
class PlainAEExplain(AEExplain):
    """The ablation's autoencoder has no F whose error could normalise its own."""

    error: str = param("plain", "the map: the squared error, cut at 1 before it is filtered "
                       "(Section 5.2.1), or Equation 3's normalised one (row 29)",
                       choices=("normalised", "plain"), before="normalised")


class AEXADFacts:
    """AE-XAD. One training serves two cells: with and without the Gaussian filter."""

    fit_params, explain_params, version = AEXADFit, AEExplain, 2


class GreenFacts(AEXADFacts):
    """AE-XAD, trained as briefly as keeps its quality."""

    fit_params = GreenFit


class PlainAEFacts:
    """The ablation's standard autoencoder, trained to reconstruct normal images."""

    fit_params, explain_params, version = AEFit, PlainAEExplain, 2

    @staticmethod
    def skip(scenario: str) -> str | None:
        """Why there is nothing to train in a scenario."""
        return "trains on normal images alone" if scenario == "anomalies_only" else None
