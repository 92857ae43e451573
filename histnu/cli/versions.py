"""What ``histnu --version -v`` says: versions, backends, threads, for a report of a fault."""

from __future__ import annotations

import os
import platform
import re
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import histnu


def version_lines(detailed: bool = False) -> list[str]:
    """The version of histnu; detailed: of everything it rests on, BLAS, cores and releases."""
    lines = [f"histnu, version {histnu.__version__}"]
    if not detailed:
        return lines
    lines.append(f"{platform.python_implementation()} {platform.python_version()}")
    lines.append(f"{platform.platform()}, {_cores()} cores")
    lines += [f"{name} {_installed(name)}" for name in _dependencies()]
    return lines + _libraries() + _releases()


def _dependencies() -> list[str]:
    """Names of declared dependencies, and of those of extras that add to what histnu can do."""
    tools = re.compile(r"extra == ['\"](dev|docs|notebooks|test)['\"]")
    declared = [text for text in requires("histnu") or [] if not tools.search(text)]
    names = [re.split(r"[ ;\[<>=!~(]", text, maxsplit=1)[0] for text in declared]
    return list(dict.fromkeys(n for n in names if n != "histnu"))


def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "(not installed)"


def _cores() -> int:
    from histnu.cli.common import available_cores

    return available_cores()


def _libraries() -> list[str]:
    """The linear algebra that numpy and scipy have loaded, and its threads."""
    import numpy.linalg  # noqa: F401  (importing them loads what threadpoolctl looks for)
    import scipy.linalg  # noqa: F401
    from threadpoolctl import threadpool_info  # type: ignore[import-untyped,unused-ignore]

    return [
        f"{Path(str(i['filepath'])).name}: {i['internal_api']} {i['version']}, "
        f"{i['num_threads']} threads"
        for i in threadpool_info()
    ] + [f"{name}={os.environ[name]}" for name in ("OMP_NUM_THREADS",) if name in os.environ]


def _releases() -> list[str]:
    """Public releases that are found."""
    from histnu.releases import found

    here = [name for name, path in found().items() if path]
    return [f"releases: {', '.join(here) or 'none'}"]
