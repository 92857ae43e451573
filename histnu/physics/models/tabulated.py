"""A signal given as a table of dR/dT: any hypothesis whose spectrum somebody has computed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histnu.core.errors import PhysicsError
from histnu.physics.models.protocol import Model, Parameter, Term
from histnu.physics.scattering import Scattering

Array = NDArray[np.float64]


@dataclass(frozen=True)
class TabulatedSignal(Model):
    """Spectra given as tables; each has one free strength of its own name.

    Between the energies dR/dT is interpolated linearly; outside it is zero. The neutrino source
    is not used: the table holds the rate for strength one.

    Attributes:
        e_recoil_kev: recoil energies in keV, increasing, shape (N,).
        rates: name -> dR/dT in events/(t yr keV) at strength one, shape (N,).
        units: name -> unit of the strength, for tables of results (``1e-45 cm^2``).
        recoil: ``nuclear`` or ``electron``: what recoils.
        reference: where the table comes from.

    >>> flat = TabulatedSignal([1.0, 3.0], {"wimp": [2.0, 2.0]})
    >>> flat.basis_spectra(None, [0.5, 2.0])["wimp"].tolist()
    [0.0, 2.0]
    """

    e_recoil_kev: ArrayLike
    rates: Mapping[str, ArrayLike]
    units: Mapping[str, str] = field(default_factory=dict)
    recoil: str = "nuclear"
    reference: str = "a table of dR/dT"
    name = "tabulated"
    title = "signals from a table"
    uses_source = False

    def __post_init__(self) -> None:
        energy = np.asarray(self.e_recoil_kev, dtype=float)
        if energy.ndim != 1 or energy.size < 2 or not np.all(np.isfinite(energy)):
            raise PhysicsError(f"{self.name}: e_recoil_kev must be two or more finite energies")
        if energy[0] < 0 or np.any(np.diff(energy) <= 0):
            raise PhysicsError(f"{self.name}: e_recoil_kev must be >= 0 and increase")
        if not self.rates:
            raise PhysicsError(f"{self.name}: give at least one column of rates")
        for key, column in self.rates.items():
            values = np.asarray(column, dtype=float)
            if values.shape != energy.shape or not np.all(np.isfinite(values)):
                raise PhysicsError(
                    f"{self.name}: {key} must hold {energy.size} finite rates, one per energy"
                )

    @property
    def processes(self) -> tuple[str, ...]:  # type: ignore[override]
        """The recoil that the table is for."""
        return (self.recoil,)

    @property
    def parameters(self) -> tuple[Parameter, ...]:  # type: ignore[override]
        """One strength per table."""
        return tuple(
            Parameter(k, k, self.units.get(k, "1"), (0.0, 1e6), f"strength of {k}")
            for k in self.rates
        )

    @property
    def terms(self) -> tuple[Term, ...]:  # type: ignore[override]
        """Every strength is the parameter itself."""
        return tuple(Term(k, ((1.0, {k: 1}),)) for k in self.rates)

    def basis_spectra(
        self, scattering: Scattering | None, e_recoil_kev: ArrayLike
    ) -> dict[str, Array]:
        """Return dR/dT of every table in events/(t yr keV), shape (N,)."""
        t = np.asarray(e_recoil_kev, dtype=float)
        nodes = np.asarray(self.e_recoil_kev, dtype=float)
        return {
            k: np.interp(t, nodes, np.asarray(v, dtype=float), left=0.0, right=0.0)
            for k, v in self.rates.items()
        }
