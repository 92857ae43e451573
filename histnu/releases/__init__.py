"""Public data releases: where they are, how to download them, how to read and check them."""

from __future__ import annotations

from histnu.releases.locate import find_release, search_folders
from histnu.releases.locate import releases_found as found
from histnu.releases.registry import RELEASES, Release, release

__all__ = ["RELEASES", "Release", "find_release", "found", "release", "search_folders"]
