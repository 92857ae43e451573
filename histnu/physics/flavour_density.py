"""Flavour density matrix of solar neutrinos at Earth, with or without new matter effects.

Solar neutrinos arrive as an incoherent mixture of mass states (their wave packets separate and
oscillations average), ``rho = sum_i f_i |nu_i><nu_i|``. An interaction that is not diagonal in
flavour is sensitive to the off-diagonal elements ``rho_ab = sum_i f_i U_ai U_bi*``, which the
probabilities P(nu_e -> nu_l) = rho_ll do not hold.

The fractions ``f_i = |U^m_ei|^2`` are those of the eigenstates of::

    H = U diag(0, dm2_21, dm2_31) U^dagger/(2 E) + V (diag(1, 0, 0) + eps),

at production, which then evolve adiabatically (V = sqrt(2) G_F n_e, eps in units of V).

References: P. Coloma, M.C. Gonzalez-Garcia, M. Maltoni, JHEP 02 (2021) 114, arXiv:2009.14220;
D.W.P. Amaral et al., JHEP 07 (2023) 071, arXiv:2302.12846.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histnu.core.constants import DM2_31, SIN2_THETA23
from histnu.core.errors import PhysicsError
from histnu.physics.oscillation import (
    FLAVOURS,
    OscillationParameters,
    ProductionProfile,
    matter_potential_ev,
)

Array = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]


@dataclass(frozen=True)
class MixingParameters:
    """Mixing of three neutrinos.

    The default phase keeps ``|U_mu i| = |U_tau i|`` at maximal theta_23, so that the diagonal of
    the density matrix is that of Eq. 11 (nu_mu and nu_tau in equal numbers).

    Attributes:
        solar: theta_12, theta_13 and dm2_21.
        sin2_theta23: atmospheric mixing angle.
        dm2_31_ev2: larger splitting (positive: normal ordering).
        delta_cp_rad: CP phase.
    """

    solar: OscillationParameters = OscillationParameters()
    sin2_theta23: float = float(SIN2_THETA23)
    dm2_31_ev2: float = float(DM2_31)
    delta_cp_rad: float = 1.5 * np.pi

    def matrix(self) -> ComplexArray:
        """Mixing matrix U (PDG convention), shape (3, 3): rows e, mu, tau."""
        s12, s13, s23 = (
            np.sqrt(x)
            for x in (self.solar.sin2_theta12, self.solar.sin2_theta13, self.sin2_theta23)
        )
        c12, c13, c23 = (np.sqrt(1.0 - s * s) for s in (s12, s13, s23))
        phase = np.exp(1j * self.delta_cp_rad)
        r23 = np.array([[1, 0, 0], [0, c23, s23], [0, -s23, c23]])
        r13 = np.array([[c13, 0, s13 / phase], [0, 1, 0], [-s13 * phase, 0, c13]])
        r12 = np.array([[c12, s12, 0], [-s12, c12, 0], [0, 0, 1]])
        return np.asarray(r23 @ r13 @ r12, dtype=np.complex128)


def mass_state_fractions(
    e_nu_mev: ArrayLike,
    electrons_mol_cm3: ArrayLike,
    mixing: MixingParameters,
    new_matter: ArrayLike | None = None,
) -> Array:
    """Fractions f_i of the mass states for production at one electron density.

    Args:
        e_nu_mev: neutrino energies in MeV, broadcast against the density.
        electrons_mol_cm3: n_e/N_A in mol/cm^3.
        mixing: mixing parameters.
        new_matter: Hermitian matrix eps of new matter effects in units of sqrt(2) G_F n_e, (3, 3).

    Returns:
        f_1, f_2, f_3, shape (..., 3).

    Raises:
        PhysicsError: if eps is not Hermitian.
    """
    potential = np.diag([1.0, 0.0, 0.0]).astype(complex)
    if new_matter is not None:
        eps = np.asarray(new_matter, dtype=complex)
        if eps.shape != (3, 3) or not np.allclose(eps, eps.conj().T):
            raise PhysicsError("new matter effects must be a Hermitian matrix of shape (3, 3)")
        potential = potential + eps
    e, density = np.broadcast_arrays(
        np.asarray(e_nu_mev, dtype=float), np.asarray(electrons_mol_cm3, dtype=float)
    )
    u = mixing.matrix()
    splittings = np.array([0.0, mixing.solar.dm2_21_ev2, mixing.dm2_31_ev2])
    vacuum = (u * splittings) @ u.conj().T
    matter = (2e6 * e * matter_potential_ev(density))[..., None, None] * potential
    _, vectors = np.linalg.eigh(vacuum + matter)
    return np.asarray(np.abs(vectors[..., 0, :]) ** 2)


def averaged_fractions(
    e_nu_mev: ArrayLike,
    profile: ProductionProfile,
    mixing: MixingParameters,
    new_matter: ArrayLike | None = None,
) -> Array:
    """Fractions of the mass states averaged over the production region, shape (..., 3)."""
    e = np.asarray(e_nu_mev, dtype=float)
    f = mass_state_fractions(e[..., None], profile.electrons_mol_cm3, mixing, new_matter)
    return np.asarray(np.einsum("...ri,r->...i", f, profile.weights))


def density_matrix(fractions: ArrayLike, mixing: MixingParameters) -> ComplexArray:
    """``rho_ab = sum_i f_i U_ai U_bi*`` in the flavours e, mu, tau, shape (..., 3, 3)."""
    u = mixing.matrix()
    f = np.asarray(fractions, dtype=float)
    return np.asarray(np.einsum("...i,ai,bi->...ab", f, u, u.conj()))


def flavour_pairs() -> tuple[tuple[str, str], ...]:
    """The six pairs of flavours of a symmetric matrix: ee, mumu, tautau, emu, etau, mutau.

    >>> ["".join(p) for p in flavour_pairs()]
    ['ee', 'mumu', 'tautau', 'emu', 'etau', 'mutau']
    """
    e, mu, tau = FLAVOURS
    return ((e, e), (mu, mu), (tau, tau), (e, mu), (e, tau), (mu, tau))
