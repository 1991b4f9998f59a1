"""How Sphinx builds the documentation; `tools/make_site.py` makes the pages and calls it."""

import os
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "docs" / "site")]

import flambeau  # noqa: E402

project = "Flambeau"
author = "The Flambeau authors"
project_copyright = author
release = flambeau.__version__.partition("+flambeau")[2]
extensions = ["myst_nb", "sphinx_copybutton", "formulas"]
html_math_renderer = "mathml"
html_theme = "furo"
html_title = f"Flambeau {release}"
html_show_sphinx = False
html_static_path = ["static"]
html_css_files = ["site.css"]
pygments_dark_style = "github-dark"
myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 3
source_suffix = {".md": "myst-nb"}
exclude_patterns = ["**/data/**"]
nb_execution_mode = os.environ.get("FLAMBEAU_SITE_EXECUTE", "cache")
nb_execution_cache_path = str(ROOT / "build" / "site_cache")
nb_execution_timeout = 600
nb_execution_raise_on_error = True
nb_merge_streams = True
# ref.python: a short name in a signature that two modules have; it is shown without a link.
suppress_warnings = ["mystnb.unknown_mime_type", "ref.python"]


def page_language(app: Any, page: str, template: str, context: dict[str, Any], tree: Any) -> None:
    """Browsers choose the shapes of Chinese characters by a page's language."""
    if page.startswith("book/zh/"):
        context["language"] = "zh-CN"


def setup(app: Any) -> None:
    app.connect("html-page-context", page_language)
