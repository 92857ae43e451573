"""Check every link inside the built site: the page, the file and the anchor it names exist.

    python scripts/check_site.py site/html

Links to other sites are listed by ``--external``; without network they cannot be followed.
"""

from __future__ import annotations

import argparse
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LEFT_OUT = ("lite", "_static")
"""Folders whose pages others made."""
ONLY_TARGETS = ("_modules",)
"""Source listings: links to them are checked, not theirs (viewcode misses names given on)."""


class Page(HTMLParser):
    """Links and anchors of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.anchors: set[str] = {"", "top"}
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect ``id``, ``name`` of an anchor, ``href`` and ``src``."""
        for key, value in attrs:
            if value is None:
                continue
            if key == "id" or (tag == "a" and key == "name"):
                self.anchors.add(value)
            if key in ("href", "src"):
                self.links.add(value)


def pages_of(site: Path) -> dict[Path, Page]:
    """Every page of the site that sphinx wrote."""
    return {
        path: Page(path)
        for path in sorted(site.rglob("*.html"))
        if path.relative_to(site).parts[0] not in LEFT_OUT
    }


def problem(site: Path, path: Path, link: str, pages: dict[Path, Page]) -> str | None:
    """What is wrong with a link of a page; None if nothing is."""
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return None
    target = path if not parts.path else (path.parent / unquote(parts.path)).resolve()
    if target.is_dir():
        target /= "index.html"
    if site not in target.parents:
        return "leads out of the site"
    if not target.exists():
        return "does not exist"
    anchor = unquote(parts.fragment)
    if target in pages and anchor not in pages[target].anchors:
        return f"has no anchor #{anchor}"
    return None


def main() -> int:
    """Print every broken link; 1 if there is one."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("site", type=Path)
    parser.add_argument("--external", action="store_true", help="list links to other sites")
    arguments = parser.parse_args()
    site = arguments.site.resolve()
    pages = pages_of(site)
    broken = links = 0
    for path, page in pages.items():
        if path.relative_to(site).parts[0] in ONLY_TARGETS:
            continue
        for link in sorted(page.links):
            links += 1
            if arguments.external and urlsplit(link).netloc:
                print(link)
            what = problem(site, path, link, pages)
            if what is not None:
                broken += 1
                print(f"{path.relative_to(site)}: {link} {what}")
    print(f"{len(pages)} pages, {links} links, {broken} broken")
    return 1 if broken or not pages else 0


if __name__ == "__main__":
    sys.exit(main())
