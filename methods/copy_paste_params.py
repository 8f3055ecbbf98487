"""Parameters of the copy-paste augmentation, for the methods that use it (methods/augment.py)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aexad.bench.base.errors import UserError
from aexad.bench.base.params import param


@dataclass(frozen=True)
class CopyPaste:
    """Fit parameters of the methods that augment their anomalies."""

    n_raw: int = param(5, "raw copies of an anomaly (Section 4.2; row 22)", low=1, high=1000)
    n_paste: int = param(10, "copy-pastes of an anomaly (Section 4.2; row 22)", low=0, high=1000)
    rotate: float = param(45.0, "largest rotation of a pasted anomaly, degrees (row 23)",
                          low=0.0, high=180.0)
    scale_min: float = param(0.8, "smallest zoom of a pasted anomaly (row 23)", low=0.01)
    scale_max: float = param(1.2, "largest zoom of a pasted anomaly (row 23)", low=0.01)
    position: str = param("uniform", "where an anomaly is pasted (row 23)",
                          choices=("uniform", "same", "jitter"))

    def __post_init__(self) -> None:
        if self.scale_min > self.scale_max:
            raise UserError(f"scale_min={self.scale_min} is above scale_max="
                            f"{self.scale_max}; exchange them")

    def copies(self) -> dict[str, Any]:
        """These parameters as the arguments of `augment`."""
        return {"n_raw": self.n_raw, "n_paste": self.n_paste, "rotate": self.rotate,
                "scale": (self.scale_min, self.scale_max), "position": self.position}
