"""What is known of AE-XAD with a Vision Transformer without its networks: parameters, version."""

from __future__ import annotations

from dataclasses import dataclass

from aexad.bench.base.errors import UserError
from aexad.bench.base.params import param
from aexad.methods.ae_xad_params import AEExplain, AEXADFit

# fields of AE-XAD without a meaning here
UNUSED = ("freeze", "bn_eval", "reduce", "reduce_bn", "feature_gb")


@dataclass(frozen=True)
class ViTFit(AEXADFit):
    """What differs from AE-XAD."""

    encoder: str = param("vit_b_16", "pre-trained transformer, 16 px patches",
                         choices=("vit_b_16", "vit_tiny"))
    reduce_bn: bool = param(False, "no meaning here: the adapter takes the reduction's place")
    recipe: str = param("frozen", "what trains besides the decoder, see the module",
                        choices=("frozen", "finetuned", "scratch"))
    input_norm: str = param("none", "scaling before the stem (the re-implementation has none)",
                            choices=("imagenet", "none"))
    tconv_kernel: int = param(2, "kernel of the transposed convolutions (row 8)", choices=(2, 4))
    out_act: str = param("sigmoid", "output activation; 2 is out of reach (row 10)",
                         choices=("relu", "none", "sigmoid"))
    denominator: str = param("channel_sum", "normalise sums over the channels, or each element "
                             "(row 13)", choices=("element", "channel_sum"))
    batch_size: int = param(32, "images a step", low=2, high=100_000)
    lr: float = param(5e-4, "AdamW's learning rate", low=0.0)
    encoder_lr: float = param(1e-4, "learning rate of a transformer that trains", low=0.0)
    lr_min: float = param(1e-6, "learning rate at the end of the cosine", low=0.0)
    weight_decay: float = param(1e-5, "AdamW's weight decay", low=0.0)
    clip: float = param(1.0, "largest norm of the gradient", low=0.0)
    rotate: float = param(20.0, "largest rotation of a pasted anomaly, degrees",
                          low=0.0, high=180.0)
    scale_min: float = param(0.7, "smallest zoom of a pasted anomaly", low=0.01)
    scale_max: float = param(1.3, "largest zoom of a pasted anomaly", low=0.01)
    noise: float = param(0.02, "standard deviation of the noise on all copies of an anomaly, of 1; "
                         "clipped, where theirs wraps around", low=0.0)
    round: str = param("floor", "rounding of the share of anomalies (row 25)",
                       choices=("ceil", "floor"))

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in UNUSED:
            if getattr(self, name) != getattr(ViTFit, name):
                raise UserError(f"ae_xad_vit.{name}: has no effect with a transformer, whose "
                                f"recipe says what trains and whose adapter is fixed; leave it out")


@dataclass(frozen=True)
class ViTExplain(AEExplain):
    """The re-implementation measures components and scores with L2 (rows 31, 42)."""

    segments: str = param("components", "segments measured: runs, or extents of components",
                          choices=("runs", "components"))
    norm: str = param("l2", "norm in the score (Equation 4)", choices=("l1", "l2"))


class ViTFacts:
    """AE-XAD with a Vision Transformer as encoder."""

    fit_params, explain_params, version = ViTFit, ViTExplain, 2
