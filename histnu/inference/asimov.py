"""The Asimov data set: expected counts without a signal.

Reference: G. Cowan, K. Cranmer, E. Gross, O. Vitells, Eur. Phys. J. C 71 (2011) 1554,
arXiv:1007.1727.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from histnu.inference.engine.fit import AnyLikelihood
from histnu.inference.engine.mapped import MappedLikelihood


def asimov(likelihood: AnyLikelihood) -> NDArray[np.float64]:
    """Expected counts (B,) at zero signal and nominal nuisances.

    No signal is zero for all physical parameters of a mapped likelihood, and for the parameter
    of interest of any other.
    """
    pars = np.array(likelihood.init, dtype=float)
    if isinstance(likelihood, MappedLikelihood):
        pars[: likelihood.n_theta] = 0.0
    elif likelihood.poi_index is not None:
        pars[likelihood.poi_index] = 0.0
    return np.asarray(likelihood.expected(pars)[0])
