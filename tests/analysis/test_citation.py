"""Every reference of the package has an entry; BibTeX of what a result rests on."""

from __future__ import annotations

import re

import pytest
import yaml

from histnu import __version__, load
from histnu.analysis.citation import bibtex, citations, cited, references, table, unknown
from histnu.analysis.hypothesis import load_model, model_names
from histnu.core.errors import ConfigError
from histnu.experiments.loader import available, load_experiment
from histnu.sources.solar import COMPONENTS, Solar, load_flux


@pytest.mark.parametrize("name", available())
def test_references_of_every_experiment_have_an_entry(name):
    for text in load_experiment(name).references:
        assert cited(text), text


@pytest.mark.parametrize("name", [n for n in model_names() if n != "tabulated"])
def test_reference_of_every_model_has_an_entry(name):
    assert cited(load_model(name).reference)


def test_references_of_fluxes_have_an_entry():
    for text in (*Solar.references, *(load_flux(c).source for c in COMPONENTS)):
        assert cited(text), text
    # spectrum of Bahcall et al. 1996; the total is that of the paper
    assert cited(load_flux("b8").source)[0] in {"deromeri_2024", "bahcall_b8_1996"}


def test_every_entry_is_of_use():
    """No entry of the table is cited by nothing."""
    texts = [r for n in available() for r in load_experiment(n).references]
    texts += [load_model(n).reference for n in model_names() if n != "tabulated"]
    texts += [*Solar.references, *(load_flux(c).source for c in COMPONENTS)]
    texts += references("standard_model_coherent_lar")  # the fluxes of stopped pions
    used = {k for t in texts for k in cited(t)}
    built = {"xenon_b8_2026", "xenon_s2only_2026"}  # experiments that need their releases
    assert set(table()) - used - built == {"pyhf_joss", "histfactory"}


def test_combined_moments_rest_on_both_experiments():
    keys = [c.key for c in citations("magnetic_moment_combined")]
    assert keys[-3:] == ["pyhf_joss", "histfactory", "histnu"]
    assert {"xenon_b8_2024", "pandax_b8_2024", "xenon_release_2024", "vogel_engel_1989",
            "salas_2021", "bahcall_b8_1996"} <= set(keys)  # fmt: skip
    assert len(keys) == len(set(keys))
    assert "lz_b8_2025" not in keys


def test_workspace_cites_what_its_analysis_does(project_root):
    folder = project_root / "workspaces" / "magnetic_moment_combined"
    expected = bibtex("magnetic_moment_combined")
    assert bibtex(str(folder)) == bibtex(str(folder / "workspace.json")) == expected
    assert load("magnetic_moment_combined").cite() == expected


def test_bibtex_has_balanced_braces_and_one_entry_per_key():
    text = bibtex("sterile_dipole_global")
    assert text.count("{") == text.count("}")
    keys = re.findall(r"^@(?:article|misc)\{(\w+),$", text, re.M)
    assert keys == [c.key for c in citations("sterile_dipole_global")]
    assert "journal = {Phys. Rev. D}" in text


def test_unknown_reference_is_quoted():
    assert not cited("A. Author, in preparation")
    entry = unknown("A. Author, in preparation")
    assert "note = {A. Author, in preparation}" in str(entry)


def test_a_page_is_not_part_of_another():
    assert cited("Phys. Rev. D 9 (1974) 1389") == ("freedman_1974",)
    assert not cited("Phys. Rev. D 9 (1974) 13891") and not cited("arXiv:12408.02877")


def test_pyhf_and_own_entry_are_those_of_their_packages(project_root):
    """pyhf gives its BibTeX itself; ours is in CITATION.cff."""
    import pyhf

    work = table()["pyhf_joss"]
    theirs = pyhf.utils.citation()
    for field in ("title", "doi", "volume", "pages"):
        assert str(work[field]).lower() in " ".join(theirs.split()).lower()
    own = yaml.safe_load((project_root / "CITATION.cff").read_text())
    entry = citations("standard_model_xenonnt")[-1]
    assert entry.fields["title"] == own["title"]
    assert __version__ == own["version"] and __version__ in entry.fields["note"]


def test_unknown_target():
    with pytest.raises(ConfigError, match="nothing_here: is neither a file nor an analysis"):
        bibtex("nothing_here")
