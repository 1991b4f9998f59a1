"""The page: the report as JSON inside one HTML file, with the script and style that show it."""

from __future__ import annotations

import html
import json
from importlib import resources
from typing import Any


def page(report: dict[str, Any]) -> str:
    """The HTML of a report; it needs no other file and no network."""
    folder = resources.files("flambeau.explaining")
    parts = {name: (folder / f"page.{name}").read_text("utf-8") for name in ("html", "css", "js")}
    # No tag may end inside the script that holds the data.
    data = json.dumps(report, separators=(",", ":")).replace("</", "<\\/").replace("<!", "<\\!")
    title = f"{report['script']} explained" if report["script"] else "Explained"
    return (
        parts["html"]
        .replace("{{title}}", html.escape(title))
        .replace("{{css}}", parts["css"])
        .replace("{{js}}", parts["js"])
        .replace("{{data}}", data)
    )
