"""What is known of BGAD without its networks: parameters, version.

'Its own': its published code.
"""

from __future__ import annotations

from dataclasses import dataclass

from aexad.bench.base.params import param
from aexad.methods.copy_paste_params import CopyPaste

# of the networks' outputs at strides 4, 8 and 16
CHANNELS = {"efficientnet_b6": (40, 72, 200), "efficientnet_lite0": (24, 40, 112)}


@dataclass(frozen=True)
class BGADFit(CopyPaste):
    """Features, flows, losses and optimisation. BGAD's defaults, but for the number of pastes."""

    backbone: str = param("efficientnet_b6", "frozen pre-trained network, cut at strides 4, 8, 16",
                          choices=("efficientnet_b6", "efficientnet_lite0"))
    weights: str = param("imagenet", "weights of the backbone", choices=("imagenet", "random"))
    blocks: int = param(8, "coupling blocks of each level's flow", low=1, high=64)
    clamp: float = param(1.9, "largest log-scale of a coupling", low=0.0)
    n_paste: int = param(10, "copy-pastes of an anomaly (Section 4.2; BGAD's own: 5)",
                         low=0, high=1000)
    beta: float = param(0.05, "share of the normals outside the boundary (its published commands: "
                        "0.01)", low=0.0, high=0.99)
    tau: float = param(0.1, "margin between the two boundaries, in t = logp / normalizer", low=0.0)
    normalizer: float = param(10.0, "divides logp, the log-density per dimension, in boundaries "
                              "and focal weights", low=1e-3)
    push_pull: float = param(1.0, "weight of the push-pull loss, lambda", low=0.0)
    focal: bool = param(True, "asymmetric focal weights (on in the published commands)")
    lr: float = param(2e-4, "Adam's learning rate", low=0.0)
    warm_epochs: int = param(2, "meta-epochs of linear warm-up from lr / 10", low=0, high=1_000_000)
    meta_epochs: int = param(25, "meta-epochs, the first on normals alone (--epochs leaves them)",
                             low=1, high=1_000_000)
    sub_epochs: int = param(8, "passes over the training list in a meta-epoch",
                            low=1, high=1_000_000)
    batch_size: int = param(32, "images a batch; an incomplete last one is dropped",
                            low=1, high=100_000)
    n_positions: int = param(4096, "positions a step; an incomplete last one is dropped",
                             low=1, high=100_000_000)
    sampler: str = param("shuffle", "shuffle the list of all images, or draw batches of one third "
                         "anomalies", choices=("shuffle", "balanced"))
    steps: int = param(15, "batches a pass of sampler=balanced", low=1, high=1_000_000)
    idle_levels: str = param("momentum", "in the step of one level Adam's momentum also moves the "
                             "flows of the others, as with the PyTorch of its code; or they rest",
                             choices=("momentum", "rest"), before="rest")
    feature_gb: float = param(8.0, "most GB that the frozen network's output for all training "
                              "images may take; what takes more is computed in each step, the "
                              "same up to rounding", low=0.0, before=8.0)

    def stored_bytes(self, size: int) -> int:
        """Of what a training keeps of each image of size x size pixels beside the image itself."""
        return 4 * sum(channels * (-(-size // stride)) ** 2
                       for channels, stride in zip(CHANNELS[self.backbone], (4, 8, 16)))

    @property
    def epochs(self) -> int:
        """Passes over the training list: what progress and checkpoints count."""
        return self.meta_epochs * self.sub_epochs


@dataclass(frozen=True)
class BGADExplain:
    """From the densities to the heatmap."""

    score_map: str = param("prob_sum", "BGAD's own, which saturates exp(logp - max) is about "
                           "0 (then no pixel exceeds mean + std); or the sum of the levels' -logp",
                           choices=("prob_sum", "neg_logp"))


class BGADFacts:
    """BGAD with few anomalies."""

    fit_params, explain_params, version = BGADFit, BGADExplain, 2
