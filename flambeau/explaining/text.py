"""The report for a terminal."""

from __future__ import annotations

import re
import textwrap
from typing import Any

from flambeau.explaining.verdict import WORDS, duration, percent

WIDTH = 96


def summary(report: dict[str, Any]) -> str:
    """The verdict, and the longest lines of the tables."""
    total = report["seconds"]
    head = "Flambeau explains" + (f" {report['script']}" if report["script"] else "")
    lines = [head, "-" * len(head)]
    for sentence in report["verdict"]:
        lines += _wrapped(sentence)
    step = report["step"]
    if step is not None:
        parts = ", ".join(f"{WORDS[k]} {duration(v)}" for k, v in step["kinds"].items() if v > 1e-6)
        lines.append(f"A typical step: {duration(step['seconds'])} ({parts}).")
    lines += _kernels(report, total) + _functions(report, total) + _reasons(report)
    return "\n".join(lines)


def _wrapped(sentence: str) -> list[str]:
    """The lines of a sentence; no number is parted from its unit."""
    kept = re.sub(r"(?<=\d) (?=(%|s|ms|µs)\b|%)", "\0", sentence)
    lines = textwrap.wrap(kept, WIDTH, subsequent_indent="  ", break_on_hyphens=False)
    return [line.replace("\0", " ") for line in lines]


def _kernels(report: dict[str, Any], total: float) -> list[str]:
    rows = []
    for kernel in report["kernels"][:6]:
        if kernel["seconds"] < 0.005 * total:
            break
        step = report["programs"][kernel["program"]]["steps"][kernel["step"]]
        name = step["title"] + (f"  [{step['module']}]" if step["module"] else "")
        rows.append(
            f"  {percent(kernel['seconds'], total):>9}  {duration(kernel['seconds']):>8}"
            f"  {percent(step['fraction'], 1):>5} of {step['bound'] + ' peak':15}  {name}"
        )
    return ["", "kernels", *rows] if rows else []


def _functions(report: dict[str, Any], total: float) -> list[str]:
    data = report["data"]
    functions = [f for f in data["functions"] + data["workers"] if f["own"] > 0.005 * total]
    if not functions:
        return []
    functions.sort(key=lambda f: -f["own"])
    rows = [
        f"  {percent(f['own'], total):>9}  {duration(f['own']):>8}  {f['name']}  {f['place']}"
        for f in functions[:6]
    ]
    return ["", "loading data, by function", *(row.rstrip() for row in rows)]


def _reasons(report: dict[str, Any]) -> list[str]:
    later = [r for r in report["reasons"] if r["kind"] != "first"][:6]
    rows = []
    for r in later:
        more = f", and {r['more']} more of the kind" if r["more"] else ""
        rows.append(f"  {r['count']:4} x  {r['text']}{more}  ({r['place']})")
    return ["", "recorded anew because", *rows] if rows else []
