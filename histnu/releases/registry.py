"""The releases that histnu can use: what they are, where they come from, what they must hold."""

from __future__ import annotations

from dataclasses import dataclass

from histnu.core.errors import named


@dataclass(frozen=True)
class Release:
    """A public data release.

    Attributes:
        name: name of its folder.
        title: what it is, one line.
        doi: DOI it is downloaded from; None where only an archive or URL can be given.
        references: papers.
        licence: licence of the data, as the release states it.
        expected: files that a complete folder holds, relative to it.
    """

    name: str
    title: str
    doi: str | None
    references: tuple[str, ...]
    licence: str
    expected: tuple[str, ...]


def _cevns_2026_files() -> tuple[str, ...]:
    files = [f"data/sr{i}.csv" for i in range(3)] + [f"binning/sr{i}.yaml" for i in range(3)]
    for run in ("sr0", "sr1", "sr2"):
        stem = f"template_XENONnT_{run}"
        files += [f"templates/{run}/{k}/{stem}_{k}_cevns.h5" for k in ("ac", "er")]
        files += [
            f"templates/{run}/rg/{stem}_rg_cevns_tly_{ly}.0_tqy_{qy}.0.h5"
            for ly in range(-3, 4)
            for qy in range(-3, 4)
        ]
        files += [
            f"templates/{run}/mono/{stem}_mono_{i / 10:.3f}_cevns_tly_{ly}.0_tqy_{qy}.0.h5"
            for i in (5, 20, 50)
            for ly in (-3, 0, 3)
            for qy in (-3, 0, 3)
        ]
    return tuple(files)


def _light_wimp_2024_files() -> tuple[str, ...]:
    files = ["statistical_model_base.yaml", "signal/cevns_spectrum.json"]
    files += [
        f"signal/{q}_ybe_model_{k}.json" for q in ("ly", "qy") for k in ("lower", "median", "upper")
    ]
    for run in ("sr0", "sr1"):
        stem = f"template_XENONnT_{run}"
        files += [f"{k}/{stem}_{k}_cevns.h5" for k in ("ac", "er")]
        files += [
            f"{k}/{stem}_{k}_cevns_tly_{ly}.0_tqy_{qy}.0.h5"
            for k in ("b8", "rg")
            for ly in range(-3, 4)
            for qy in range(-3, 4)
        ]
        files += [
            f"orthonormal_basis/{stem}_recasting_mono_1_0_cevns_tly_{ly}_tqy_{qy}.h5"
            for ly in range(1, 11)
            for qy in range(1, 11)
        ]
    return tuple(files)


def _s2only_2026_files() -> tuple[str, ...]:
    files = ["s2_only_statistical_model.yaml"]
    for run in ("sr0", "sr1", "sr2"):
        stem = f"data/templates/science_roi_background_{run}_template"
        files += [f"data/events_{run}.csv"]
        files += [f"response/response_nr_tqy_{q}_{run}.csv" for q in range(-3, 4)]
        files += [f"{stem}_cevns_tqy_{q}_1d.h5" for q in range(-3, 4)]
        files += [f"{stem}_cathode_tsys_{q}_1d.h5" for q in range(-3, 4)]
        files += [f"{stem}_de_1d.h5"]
    files += [f"data/templates/science_roi_background_sr{i}_template_ae_1d.h5" for i in (0, 1)]
    return tuple(files)


RELEASES: dict[str, Release] = {
    r.name: r
    for r in (
        Release(
            "xenonnt_cevns_2026",
            "XENONnT solar 8B and light dark matter, SR0 + SR1 + SR2",
            "10.5281/zenodo.20576156",
            ("arXiv:2604.06002",),
            "CC-BY-4.0",
            _cevns_2026_files(),
        ),
        Release(
            "xenonnt_light_wimp_2024",
            "XENONnT solar 8B and light dark matter, SR0 + SR1",
            "10.5281/zenodo.14522706",
            ("arXiv:2408.02877", "arXiv:2409.17868"),
            "not stated in the release",
            _light_wimp_2024_files(),
        ),
        Release(
            "xenonnt_s2only_2026",
            "XENONnT ionization-only search, 7.8 t yr, SR0 + SR1 + SR2",
            None,
            ("arXiv:2601.11296",),
            "not stated in the release",
            _s2only_2026_files(),
        ),
    )
}


def release(name: str) -> Release:
    """Return a release by name.

    Raises:
        ConfigError: for an unknown name.

    >>> release("xenonnt_cevns_2026").doi
    '10.5281/zenodo.20576156'
    """
    return named(RELEASES, name, "release")
