"""What `flambeau help TOPIC` prints: the pages beside this file, which are part of the site too."""

from __future__ import annotations

from pathlib import Path

PAGES = Path(__file__).parent


def topics() -> list[str]:
    """The names of all topics."""
    return sorted(path.stem for path in PAGES.glob("*.md"))


def page_of(topic: str) -> str | None:
    """The page of a topic, None where there is no such topic."""
    return (PAGES / f"{topic}.md").read_text(encoding="utf-8") if topic in topics() else None
