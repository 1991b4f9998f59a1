"""`with flambeau.explain() as report`, and what `flambeau explain` prints and writes."""

from __future__ import annotations

import html
import json
import os
from pathlib import Path
from typing import Any

from flambeau.record.observing import WATCH


class Explanation:
    """The report of a stretch of a program: `data` (as in the JSON file), `verdict` and `str()`
    once it has ended.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        json: str | os.PathLike[str] | None = None,
        trace: str | os.PathLike[str] | None = None,
        *,
        script: str = "",
    ) -> None:
        self.paths = path, json, trace
        self.script = script
        self._data: dict[str, Any] | None = None
        self._collector: Any = None

    @property
    def data(self) -> dict[str, Any]:
        """The whole report. RuntimeError before its end."""
        if self._data is None:
            raise RuntimeError("the report is there when the `with` block has ended")
        return self._data

    @property
    def verdict(self) -> str:
        """The report in a few sentences."""
        return "\n".join(self.data["verdict"])

    def __enter__(self) -> Explanation:
        from flambeau.explaining.collector import Collector

        if WATCH.observer is not None:
            raise RuntimeError("explain: this program is explained or profiled already")
        self._collector = WATCH.observer = Collector()
        self._collector.start()
        return self

    def __exit__(self, *_: object) -> None:
        from flambeau.explaining.report import build
        from flambeau.record.recorder import flush

        collector = self._collector
        try:
            flush()  # what was recorded belongs to it
        finally:
            WATCH.observer = None
            collector.stop()
        self._data = build(collector, self.script)
        page, data, trace = self.paths
        if page is not None:
            self.save(page)
        if data is not None:
            self.save_json(data)
        if trace is not None:
            self.save_trace(trace)

    def __str__(self) -> str:
        from flambeau.explaining.text import summary

        return "a report that has not ended" if self._data is None else summary(self._data)

    def _repr_html_(self) -> str | None:
        """The page, for a notebook; a frame keeps its styles and scripts to itself."""
        if self._data is None:
            return None
        from flambeau.explaining.page import page

        inside = html.escape(page(self._data), quote=True)
        style = "width:100%;height:640px;border:1px solid #8888"
        return f'<iframe title="Flambeau explains" style="{style}" srcdoc="{inside}"></iframe>'

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the page: one HTML file that needs nothing else."""
        from flambeau.explaining.page import page

        Path(path).write_text(page(self.data), "utf-8")

    def save_json(self, path: str | os.PathLike[str]) -> None:
        """Writes the report as JSON."""
        Path(path).write_text(json.dumps(self.data), "utf-8")

    def save_trace(self, path: str | os.PathLike[str]) -> None:
        """Writes the spans for chrome://tracing or Perfetto."""
        from flambeau.explaining.traces import chrome_trace

        spans, threads = self._collector.spans, self._collector.threads
        trace = chrome_trace(spans, self.data["programs"], list(threads.values()))
        Path(path).write_text(json.dumps(trace), "utf-8")


def explain(
    path: str | os.PathLike[str] | None = None,
    json: str | os.PathLike[str] | None = None,
    trace: str | os.PathLike[str] | None = None,
) -> Explanation:
    """Explains what runs in a `with` block: a page is written to `path`, the same as JSON to `json`
    and a Chrome trace to `trace`. RuntimeError inside another such block or a profiler.
    """
    return Explanation(path, json, trace)
