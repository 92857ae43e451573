"""Published bounds that ours are compared with (De Romeri et al. 2024, Eqs. 16-22)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class PublishedBound:
    """A published 90 % CL bound (1 dof, combined XENONnT + PandaX-4T).

    Attributes:
        id: id of our bound. model, parameter, unit: what is bounded.
        lower, upper: published ends; None where there is none.
        equation: number in the paper.
    """

    id: str
    model: str
    parameter: str
    unit: str
    lower: float | None
    upper: float
    equation: str

    def to_json(self) -> dict[str, Any]:
        """The ``published`` entry of ``results.json``."""
        return {
            "lower": self.lower,
            "upper": self.upper,
            "eq": self.equation,
            "experiment": "combined",
        }


MU, Q = "1e-9 mu_B", "1e-8 e"

PUBLISHED: tuple[PublishedBound, ...] = (
    PublishedBound("mu_e", "magnetic_moment", "mu_e", MU, None, 1.9, "16"),
    PublishedBound("mu_mu", "magnetic_moment", "mu_mu", MU, None, 1.8, "17"),
    PublishedBound("mu_universal", "magnetic_moment", "mu_universal", MU, None, 1.1, "18"),
    PublishedBound("q_ee", "millicharge", "q_ee", Q, -3.9, 7.0, "19"),
    PublishedBound("q_mumu", "millicharge", "q_mumu", Q, -4.0, 7.2, "20"),
    PublishedBound("q_emu", "millicharge", "q_emu", Q, -4.0, 4.0, "21"),
    PublishedBound("q_mutau", "millicharge", "q_mutau", Q, -4.1, 4.1, "22"),
)
"""Maximal theta_23 makes bounds equal: mu_tau = mu_mu, q_tautau = q_mumu, q_etau = q_emu."""
