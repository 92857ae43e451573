"""Draw the packages of histnu and the imports between them into docs/figures/architecture.png.

Every module is read, none is imported. A package stands above all that it imports; an arrow that
others imply (cli -> core) is not drawn. Imports inside functions count as well.

    python scripts/draw_architecture.py
"""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "histnu"
FACE = "histnu"
"""Top-level modules: the public API."""


def room(module: str) -> str:
    """The package of a module: ``histnu.inference.limits`` is in ``inference``."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and (PACKAGE / parts[1]).is_dir() else FACE


def imports(path: Path) -> set[str]:
    """Modules of histnu that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {name for name in found if name.split(".")[0] == "histnu"}


def arrows() -> Counter[tuple[str, str]]:
    """(package, imported package) -> number of imports."""
    found: Counter[tuple[str, str]] = Counter()
    for path in sorted(PACKAGE.rglob("*.py")):
        inside = path.relative_to(PACKAGE).parts
        here = inside[0] if len(inside) > 1 else FACE
        for module in imports(path):
            there = room(module)
            if there != here and FACE not in (here, there):
                found[here, there] += 1
    return found


def floors(found: Counter[tuple[str, str]]) -> dict[str, int]:
    """Package -> floor: one above the highest that it imports.

    Raises:
        ValueError: if packages import each other in a circle.
    """
    below: dict[str, set[str]] = {}
    for here, there in found:
        below.setdefault(here, set()).add(there)
        below.setdefault(there, set())
    floor: dict[str, int] = {}
    while len(floor) < len(below):
        ready = [p for p in below if p not in floor and below[p] <= set(floor)]
        if not ready:
            raise ValueError(f"a circle: {', '.join(sorted(set(below) - set(floor)))}")
        floor |= {p: 1 + max((floor[q] for q in below[p]), default=0) for p in ready}
    return floor


def needed(found: Counter[tuple[str, str]]) -> list[tuple[str, str]]:
    """The arrows that no chain of others implies."""
    below: dict[str, set[str]] = {}
    for here, there in found:
        below.setdefault(here, set()).add(there)

    def reach(package: str) -> set[str]:
        return {package}.union(*(reach(q) for q in below.get(package, ())))

    return [
        (here, there)
        for here, there in sorted(found)
        if not any(there in reach(q) for q in below[here] - {there})
    ]


def lines(package: str) -> int:
    """Lines of a package."""
    return sum(len(p.read_text().splitlines()) for p in (PACKAGE / package).rglob("*.py"))


def places(found: Counter[tuple[str, str]]) -> dict[str, tuple[float, float]]:
    """Package -> (x, y): floors from below, what long arrows end at on the outside."""
    floor = floors(found)
    height = {p: max((floor[h] for h, t in needed(found) if t == p), default=0) for p in floor}
    out = {}
    for f in set(floor.values()):
        names = sorted((p for p in floor if floor[p] == f), key=lambda p: (height[p], p))
        names = [*names[-2:-1], *names[:-2], *names[-1:]]
        shift = 0.5 * (-1) ** f if len(names) == 1 else 0.0
        for k, name in enumerate(names):
            out[name] = (2.3 * (k - (len(names) - 1) / 2) + shift, 1.1 * f)
    return out


def draw(path: Path) -> None:
    """Draw packages floor by floor, and the arrows between them."""
    from histnu.plotting.style import figure_style

    found = arrows()
    place = places(found)
    box = {"boxstyle": "round,pad=0.35", "fc": "white", "ec": "C0", "lw": 1.2}
    with figure_style() as plt:
        figure, ax = plt.subplots(figsize=(6.5, 7.5))
        ax.set(xlim=(-4.2, 4.2), ylim=(0.6, max(y for _, y in place.values()) + 0.5))
        ax.axis("off")
        texts = {
            name: ax.text(x, y, f"{name}/\n{lines(name):,} lines", ha="center", va="center",
                          bbox=box, fontsize=8)
            for name, (x, y) in place.items()
        }  # fmt: skip
        figure.canvas.draw()
        for here, there in needed(found):
            ends = {"patchA": texts[here].get_bbox_patch(), "patchB": texts[there].get_bbox_patch()}
            style = {"arrowstyle": "-|>", "color": "0.45", "shrinkA": 0, "shrinkB": 1, **ends}
            ax.annotate("", xy=place[there], xytext=place[here], arrowprops=style)
        figure.savefig(path, dpi=160, bbox_inches="tight")


if __name__ == "__main__":
    draw(ROOT / "docs" / "figures" / "architecture.png")
    for (here, there), count in sorted(arrows().items()):
        print(f"{here} -> {there}: {count}")
