"""Results of a fit: uncertainties, goodness and yields; impacts; the significance of a signal."""

from __future__ import annotations

from typing import Literal

from histnu.core.units import in_unit
from histnu.inference.impacts import Impact
from histnu.inference.summary import FittedParameter
from histnu.verbs.envelope import Envelope, Model, Numbers

Matrix = tuple[Numbers, ...]


class Goodness(Model):
    """Saturated goodness of fit, see :class:`histnu.inference.saturated.GoodnessOfFit`."""

    chi2: float
    dof: int
    p_value: float | None
    p_value_toys: float | None = None
    p_value_toys_error: float | None = None
    n_toys: int = 0


class Yields(Model):
    """Expected events of one channel, see :class:`histnu.inference.yields.ChannelYields`."""

    channel: str
    samples: tuple[str, ...]
    observed: Numbers
    yields: Matrix
    errors: Matrix
    total: Numbers
    total_error: Numbers
    sums: Numbers
    sum_errors: Numbers
    sum_total: float
    sum_total_error: float


class FitSummary(Envelope):
    """The global minimum with uncertainties, correlations, goodness of fit and yields.

    Attributes:
        parameters: in the order of the model; ``correlation`` and ``covariance`` are
            in the same order, zero where a parameter is not free.
        prefit, postfit: events per channel, before and after the fit.
    """

    kind: Literal["fit_summary"] = "fit_summary"
    parameters: tuple[FittedParameter, ...]
    correlation: Matrix
    covariance: Matrix
    twice_nll: float
    converged: bool
    certified: bool | None = None
    goodness: Goodness
    prefit: tuple[Yields, ...]
    postfit: tuple[Yields, ...]

    def __getitem__(self, name: str) -> FittedParameter:
        """The parameter of this name; KeyError if there is none."""
        return {p.name: p for p in self.parameters}[name]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the parameters."""
        return tuple(p.name for p in self.parameters)


class Impacts(Envelope):
    """Impacts on one parameter, largest first.

    Attributes:
        parameter: what was asked. ranked: the parameter of the likelihood that moves (the square,
            where what was asked enters squared), in which ``best_fit``, ``error`` and all
            impacts are.
    """

    kind: Literal["impacts"] = "impacts"
    parameter: str
    ranked: str
    best_fit: float
    error: float | None
    impacts: tuple[Impact, ...]
    certified: bool | None = None


class Significance(Envelope):
    """The test of no signal, see :class:`histnu.inference.significance.Significance`.

    Attributes:
        null: tested value. q0: test statistic. p_value, significance: asymptotic.
        signal: value of the expected significance ``expected``; None if not asked.
        p_value_toys: 0 where no toy reaches q0; ``significance_toys`` is then a lower limit.
    """

    kind: Literal["significance"] = "significance"
    parameter: str
    null: float
    best_fit: float
    q0: float
    p_value: float
    significance: float
    signal: float | None = None
    expected: float | None = None
    p_value_toys: float | None = None
    p_value_toys_error: float | None = None
    significance_toys: float | None = None
    certified: bool | None = None

    def __str__(self) -> str:
        text = (
            f"{self.parameter} = {self.null:g} is disfavoured with {self.significance:.3f} "
            f"standard deviations (q0 = {self.q0:.4f}, p = {self.p_value:.3g}, asymptotic, "
            f"{self.engine})"
        )
        if self.significance_toys is not None:
            bound = "> " if self.p_value_toys == 0 else ""
            text += (
                f"; {bound}{self.significance_toys:.3f} with {self.n_toys} toys (p = "
                f"{self.p_value_toys:.3g} +- {self.p_value_toys_error:.2g}, seed {self.seed})"
            )
        if self.expected is not None:
            text += f"; expected {self.expected:.3f} at {self.signal:g}"
        return in_unit(f"{text}; best fit {self.best_fit:.6g}", self.unit)
