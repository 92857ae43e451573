"""What a signal model is; third parties register theirs under the entry point ``histnu.models``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histnu.physics.nuclei import Target
from histnu.physics.rates import NeutrinoSource
from histnu.polynomial import PolynomialMap


@dataclass(frozen=True)
class Parameter:
    """A physical parameter of a model.

    Attributes:
        name: identifier, ``[a-zA-Z0-9_]+``.
        symbol: LaTeX symbol for figures.
        unit: unit of the values (``1e-9 mu_B``).
        bounds: allowed values in that unit.
        description: what it is, one line.
    """

    name: str
    symbol: str
    unit: str
    bounds: tuple[float, float]
    description: str


@runtime_checkable
class SignalModel(Protocol):
    """A signal hypothesis: ``dR/dT = sum_k s_k(theta) dR_k/dT``.

    Attributes:
        name: name used in analyses.
        recoil: ``nuclear`` or ``electron``: which response of the detector applies.
        parameters: physical parameters theta.
        polynomial: strengths s_k(theta); its outputs name the basis spectra.
        reference: equation or paper.
    """

    @property
    def name(self) -> str: ...
    @property
    def recoil(self) -> str: ...
    @property
    def parameters(self) -> tuple[Parameter, ...]: ...
    @property
    def polynomial(self) -> PolynomialMap: ...
    @property
    def reference(self) -> str: ...

    def basis_spectra(
        self, source: NeutrinoSource, target: Target, e_recoil_kev: ArrayLike
    ) -> dict[str, NDArray[np.float64]]:
        """Return dR_k/dT in events/(t yr keV), one array (N,) for each output of the polynomial."""
        ...
