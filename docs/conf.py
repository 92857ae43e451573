"""Configuration of the documentation site; `make site` builds it without network."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "_ext")]

import histnu  # noqa: E402

project = "histnu"
author = "The histnu developers"
copyright = "The histnu developers, BSD-3-Clause"
version = release = histnu.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_click",
    "sphinx_copybutton",
    "sphinx_design",
    "console",
    "generated_pages",
]
exclude_patterns = [
    "_build", "_ext", "_templates", "**.ipynb_checkpoints",
    "_generated/run", "_generated/browser_needs.md",
]  # fmt: skip
suppress_warnings = [
    # short names of types (Region, Axis) stand for several classes of different modules
    "ref.python",
]
nitpicky = False

myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

nb_execution_mode = "force"
nb_execution_timeout = 180
nb_execution_raise_on_error = True
nb_merge_streams = True

autosummary_generate = True
autodoc_mock_imports = ["numba"]  # optional; its loops are documented without it
autodoc_typehints = "description"
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

templates_path = ["_templates"]
html_theme = "pydata_sphinx_theme"
html_title = "histnu"
html_static_path = ["_static"]
html_sidebars: dict[str, list[str]] = {"_generated/gallery": [], "faq": []}
html_css_files = ["site.css"]
html_show_sourcelink = False
html_theme_options = {
    "navbar_align": "left",
    "show_toc_level": 2,
    "header_links_before_dropdown": 7,
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
}
