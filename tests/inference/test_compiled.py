"""The compiled form of Newton's method gives what the numpy form gives."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest

from histnu.inference.engine import compiled
from histnu.inference.engine import newton as newton_module
from histnu.inference.engine.likelihood import BatchedLikelihood
from histnu.inference.engine.minimize import minimise
from histnu.inference.engine.newton import newton
from histnu.inference.engine.problems import MinimiseOptions, Problems
from tests.inference import examples
from tests.inference.test_boundary import where_newton_stalled, with_few_events
from tests.inference.test_minimize import product

if find_spec("numba") is None:  # imported where it is used
    pytest.skip("the extra fast is not installed", allow_module_level=True)
# the first run compiles
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("compiled_fits")]

POINTS = 1200


OPTIONS = MinimiseOptions(compiled=True)
NUMPY = MinimiseOptions()


def problems_of(likelihood, name):
    """One parameter held at values inside its bounds, from starts beside the suggested one."""
    low, high = likelihood.bounds[likelihood.index(name)]
    values = np.linspace(max(low, -2.0), min(high, 3.0), POINTS)
    return Problems.make(likelihood, POINTS, fixed={name: values})


@pytest.mark.parametrize("shape", ["correlated", "combined", "binned", "textbook", "multichannel"])
def test_equal_to_numpy(shape):
    document = getattr(examples, shape)()
    likelihood = BatchedLikelihood.from_workspace(document)
    name = document["measurements"][0]["config"]["poi"]
    observed = likelihood.observe(likelihood.observation)
    problems = problems_of(likelihood, name)
    ours, left = compiled.compiled_newton(likelihood, observed, problems, OPTIONS)
    assert left.mean() < 0.1
    theirs = newton(likelihood, observed, problems, NUMPY)
    both = ours.converged & theirs.converged
    assert both.mean() > 0.99
    # both end with a Newton step from an expected decrease below 1e-9: its square is left
    np.testing.assert_allclose(ours.twice_nll[both], theirs.twice_nll[both], rtol=1e-12)
    # the same iteration, other sums: 1e-15 a step, times the condition of the Hessian (below 1e8)
    np.testing.assert_allclose(ours.parameters[both], theirs.parameters[both], atol=1e-6)


@pytest.mark.parametrize(
    ("analysis", "parameter"),
    [("magnetic_moment_combined", "mu_universal"), ("millicharge_combined", "q_ee")],
)
def test_equal_on_the_likelihoods_of_the_package(project_root, analysis, parameter):
    from histnu.analysis.target import load_target, parameter_of_interest

    target = load_target(project_root / "workspaces" / analysis)
    interest = parameter_of_interest(target, parameter)
    likelihood = interest.likelihood
    held = likelihood.index(interest.parameter)
    observed = likelihood.observe(likelihood.observation)
    found = newton(likelihood, observed, Problems.make(likelihood, 1), NUMPY)
    start = np.repeat(found.parameters, POINTS, axis=0)
    start[:, held] += np.linspace(0.0, 1.0, POINTS)
    problems = Problems.make(
        likelihood, POINTS, fixed={interest.parameter: start[:, held]}, start=start
    )
    ours, left = compiled.compiled_newton(likelihood, observed, problems, OPTIONS)
    assert left.mean() < 0.1
    theirs = newton(likelihood, observed, problems, NUMPY)
    both = ours.converged & theirs.converged
    assert both.mean() > 0.9
    np.testing.assert_allclose(ours.twice_nll[both], theirs.twice_nll[both], rtol=1e-12)
    # numpy extrapolates it over the last step, the loops evaluate it there: second order in a step
    # whose expected decrease is below 1e-9; scans are joined to 1e-5
    np.testing.assert_allclose(ours.gradient[both], theirs.gradient[both], atol=1e-5)


@pytest.mark.parametrize("shape", ["combined", "multichannel"])
def test_toys_have_their_own_data(shape):
    likelihood = BatchedLikelihood.from_workspace(getattr(examples, shape)())
    rng = np.random.default_rng(1)
    counts = rng.poisson(likelihood.observation, (POINTS, likelihood.n_bins))
    observed = likelihood.observe(counts)
    problems = Problems.make(likelihood, POINTS)
    ours, left = compiled.compiled_newton(likelihood, observed, problems, OPTIONS)
    assert left.mean() < 0.1
    theirs = newton(likelihood, observed, problems, NUMPY)
    both = ours.converged & theirs.converged
    assert both.mean() > 0.9
    np.testing.assert_allclose(ours.twice_nll[both], theirs.twice_nll[both], rtol=1e-12)


def test_threads_change_nothing(monkeypatch, project_root):
    from histnu.analysis.target import load_target, parameter_of_interest

    target = load_target(project_root / "workspaces" / "magnetic_moment_combined")
    interest = parameter_of_interest(target, "mu_universal")
    likelihood = interest.likelihood
    observed = likelihood.observe(likelihood.observation)
    problems = problems_of(likelihood, interest.parameter)
    monkeypatch.setattr(compiled, "PIECE", 100)
    fits = []
    for threads in (1, 2):
        monkeypatch.setattr(compiled, "_threads", lambda threads=threads: threads)
        fits.append(compiled.compiled_newton(likelihood, observed, problems, OPTIONS)[0])
    np.testing.assert_array_equal(fits[0].parameters, fits[1].parameters)
    np.testing.assert_array_equal(fits[0].twice_nll, fits[1].twice_nll)


@pytest.mark.parametrize("document", [where_newton_stalled, with_few_events])
def test_minima_at_the_boundary_are_the_same(document, monkeypatch):
    """Stalled problems and those with a barrier are compiled, too."""
    likelihood = BatchedLikelihood.from_workspace(document())
    observed = likelihood.observe(likelihood.observation)
    names = likelihood.parameter_names
    starts = np.random.default_rng(2).uniform(-1, 1, (40, len(names)))
    problems = Problems.make(likelihood, 40, start=likelihood.init + 0.5 * starts)
    theirs = minimise(likelihood, observed, problems, NUMPY)
    taken = []
    vectorised = newton_module._vectorised
    monkeypatch.setattr(
        newton_module, "_vectorised",
        lambda *given: taken.append(given[2].start.shape[1]) or vectorised(*given),
    )  # fmt: skip
    ours = minimise(likelihood, observed, problems, OPTIONS)
    assert sum(taken) < 20  # of 40 starts and the steps of their barriers
    assert ours.converged.all()
    lowest = theirs.twice_nll[theirs.converged].min()
    # a barrier leaves up to 2e-9 per empty bin, and edm 1e-9 beside it
    assert ours.twice_nll.min() == pytest.approx(lowest, abs=1e-8)
    # as many starts lead to it as without
    ours_near, theirs_near = ((f.twice_nll < lowest + 1e-5).mean() for f in (ours, theirs))
    assert ours_near >= theirs_near - 0.1


@pytest.mark.parametrize("start", [0.05, 0.2, 0.8])
def test_a_plateau_is_left_as_numpy_leaves_it(start):
    """From f = 0, where s does nothing; see ``test_minimize``."""
    likelihood = product()
    observed = likelihood.observe(likelihood.observation)
    at = {"f": 0.0, "s[0]": start}
    problems = Problems.make(likelihood, 1, None, [at[n] for n in likelihood.parameter_names])
    ours, left = compiled.compiled_newton(likelihood, observed, problems, OPTIONS)
    theirs = newton(likelihood, observed, problems, NUMPY)
    assert ours.converged[0] and not left[0]
    assert ours.parameters[0, likelihood.index("s[0]")] == 10.0
    assert ours.twice_nll[0] == pytest.approx(theirs.twice_nll[0], rel=1e-12)


def test_an_undefined_start_is_moved_back(monkeypatch):
    """To where numpy's loops begin, too: no problem is left to them."""
    likelihood = BatchedLikelihood.from_workspace(with_few_events())
    observed = likelihood.observe(np.maximum(likelihood.observation, 1.0))
    start = np.tile(likelihood.init, (3, 1))
    start[:, likelihood.index("mu")] = [-4.9, -3.0, 1.0]
    problems = Problems.make(likelihood, 3, start=start)
    defined = np.isfinite(likelihood.value(problems.start, observed))
    assert defined.tolist() == [False, False, True]
    theirs = newton(likelihood, observed, problems, NUMPY)
    monkeypatch.setattr(newton_module, "_vectorised", None)  # not called
    ours = newton(likelihood, observed, problems, OPTIONS)
    assert ours.converged.all() and theirs.converged.all()
    np.testing.assert_allclose(ours.twice_nll, theirs.twice_nll, rtol=1e-12)


def test_few_problems_and_other_models_are_left_to_numpy():
    likelihood = BatchedLikelihood.from_workspace(examples.combined())
    observed = likelihood.observe(likelihood.observation)
    few = Problems.make(likelihood, compiled.FEWEST - 1)
    assert compiled.compiled_newton(likelihood, observed, few, OPTIONS) is None
    many = Problems.make(likelihood, POINTS)
    assert compiled.compiled_newton(likelihood, observed, many, MinimiseOptions()) is None
    settings = {"normsys": {"interpcode": "code1"}, "histosys": {"interpcode": "code0"}}
    kinked = BatchedLikelihood.from_workspace(examples.combined(), None, settings)
    assert compiled.tables(kinked) is None


def test_toys_of_charges_are_the_same(monkeypatch, project_root):
    """A whole verb with the global search, with and without."""
    import histnu

    likelihood = histnu.load(project_root / "workspaces" / "millicharge_xenonnt")
    ours = likelihood.toys("q_ee", [3.0], n_toys=40)
    monkeypatch.setenv("HISTNU_NUMBA", "0")
    compiled.available.cache_clear()
    theirs = likelihood.toys("q_ee", [3.0], n_toys=40)
    # both certified minima are within 1e-5 of the lowest
    assert ours.critical == pytest.approx(theirs.critical, abs=1e-5)
    assert ours.p_value == theirs.p_value
