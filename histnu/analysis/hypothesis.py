"""The hypothesis of an analysis: a registered model or a table, with its held parameters."""

from __future__ import annotations

from collections.abc import Sequence

from histnu.analysis.schema import Analysis, ModelSection
from histnu.analysis.spectrum_table import read_spectra
from histnu.core import installed
from histnu.core.errors import ConfigError, PhysicsError, located
from histnu.physics.models.protocol import InUnit, SignalModel
from histnu.physics.models.tabulated import TabulatedSignal

TABULATED = TabulatedSignal.name


def model_names() -> tuple[str, ...]:
    """Names of the installed signal models."""
    return installed.registered(installed.MODELS)


def load_model(name: str, **options: float) -> SignalModel:
    """Instantiate a signal model registered under the entry point ``histnu.models``.

    Raises:
        ConfigError: for an unknown model or option, or an object that is no model.
    """
    model = installed.instantiate(installed.MODELS, name, options)
    if not isinstance(model, SignalModel):
        kind = type(model).__name__
        raise ConfigError(
            f"model {name}: {kind} lacks a part of the protocol histnu.physics.models.protocol; "
            "derive it from Model"
        )
    return model


def signal_model(section: ModelSection, recoils: Sequence[str] = ()) -> SignalModel:
    """The model of an analysis: a registered one, or a table of dR/dT.

    Args:
        section: what the analysis says.
        recoils: recoils of its channels, which a table is for.

    Raises:
        ConfigError: for an unknown model, option, held parameter or unit, or a table where none
            belongs (or is missing).
    """
    if (section.name == TABULATED) != (section.table is not None):
        raise ConfigError(
            f"model {section.name}: table {section.table!r}; give a table with the model "
            f"{TABULATED!r} and with no other"
        )
    try:
        if section.table is not None:
            return _tabulated(section.table, recoils)
        model = load_model(section.name, **section.options).holding(section.held)
        return model if section.unit is None else InUnit(model, section.unit)
    except PhysicsError as error:
        raise ConfigError(str(error)) from None


def _tabulated(table: str, recoils: Sequence[str]) -> SignalModel:
    kinds = sorted(set(recoils))
    if len(kinds) > 1:
        mend = "give channels of one kind"
        raise ConfigError(located(table, "", f"is one spectrum for {', '.join(kinds)}", mend))
    return TabulatedSignal(*read_spectra(table), recoil=kinds[0] if kinds else "nuclear")


def held_values(analysis: Analysis, model: SignalModel) -> dict[str, float]:
    """Values that an analysis gives to held parameters of its model, by name."""
    options = {
        h.name: analysis.model.options[h.attribute]
        for h in model.held
        if h.attribute in analysis.model.options
    }
    return {**options, **analysis.model.held}


def require_held(analysis: Analysis, model: SignalModel) -> None:
    """Every held parameter must have a value.

    Raises:
        ConfigError: otherwise, with the ways to give it one.
    """
    given = held_values(analysis, model)
    for h in model.held:
        if h.name not in given:
            raise ConfigError(
                f"analysis {analysis.name}: {h.name} [{h.unit}] of {model.name} has no value; give "
                f"--set {h.name}=VALUE, or scan it (contour --x {h.name}, build --grid)"
            )
