"""The report in a few sentences: where the time went, and what would change that."""

from __future__ import annotations

from typing import Any

Data = dict[str, Any]

WORDS = {
    "data": "loading data",
    "run": "compiled programs",
    "numpy": "programs in NumPy",
    "python": "Python and recording",
    "compile": "compiling",
    "wait": "waiting",
}
ENOUGH = 0.8  # of the time: what takes that much together is named
ALMOST = 0.7  # beyond that, only what takes a twentieth by itself
MOST_NAMED = 6


def duration(seconds: float) -> str:
    """A length of time with three digits at most."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            number = seconds / size
            return f"{number:.0f} {unit}" if number >= 100 else f"{number:.3g} {unit}"
    return f"{seconds * 1e9:.0f} ns"


def percent(part: float, whole: float) -> str:
    share = 100.0 * part / whole if whole else 0.0
    return f"{share:.0f} %" if share >= 1 or share == 0 else "under 1 %"


def verdict(report: Data) -> list[str]:
    """The sentences."""
    total = report["seconds"]
    kinds = report["kinds"]
    parts = sorted(kinds.items(), key=lambda item: -item[1])
    listed = ", ".join(f"{WORDS[k]} {percent(v, total)}" for k, v in parts if v > 0.005 * total)
    found = [f"{duration(total)} in all: {listed}."]
    found += _culprits(report, total)
    for advice in (_on_data, _on_compiling, _on_python, _on_kernels, _on_waiting):
        sentence = advice(report, total)
        if sentence:
            found.append(sentence)
    found += _on_recordings(report)
    return found


def _culprits(report: Data, total: float) -> list[str]:
    """What takes most of the time together, by name; what does not come again with every step is
    told apart.
    """
    once = _once(report)
    apart = [(name, seconds) for name, seconds in once.items() if seconds > 0.05 * total]
    repeated = total - sum(seconds for _, seconds in apart)
    candidates = _candidates(report)
    candidates += [(s, "other", name) for name, s in once.items() if (name, s) not in apart]
    candidates.sort(key=lambda c: -c[0])
    found = []
    if apart:
        listed = " and ".join(f"{name} ({percent(s, total)})" for name, s in apart)
        verb = "comes" if len(apart) == 1 else "come"
        found.append(f"Of that, {listed} {verb} once, not with every step.")
    if repeated < 0.05 * total:
        return found
    chosen: list[tuple[float, str, str]] = []
    for candidate in candidates[:MOST_NAMED]:
        known = sum(c[0] for c in chosen) / repeated
        least = 0.05 if known > ALMOST else 0.02
        if known > ENOUGH or candidate[0] < least * repeated:
            break
        chosen.append(candidate)
    if not chosen:
        return found
    whole = f"the other {duration(repeated)}" if apart else "it"
    verb = "takes" if len(chosen) == 1 else "take"
    share = percent(sum(c[0] for c in chosen), repeated)
    names = "; ".join(f"{name}: {percent(seconds, repeated)}" for seconds, _, name in chosen)
    found.append(f"{_counted([sort for _, sort, _ in chosen])} {verb} {share} of {whole}: {names}.")
    return found


def _once(report: Data) -> dict[str, float]:
    """Seconds that the first steps have, and later ones have not."""
    start = "the start until the first tensor is computed"
    return {"compiling": report["kinds"]["compile"], start: _before_tensors(report)}


def _before_tensors(report: Data) -> float:
    kinds = report["kinds"]
    before: float = min(report["start"], kinds["python"] + kinds["wait"])
    return before


def _candidates(report: Data) -> list[tuple[float, str, str]]:
    """Seconds, sort and name of what steps spend time on."""
    found: list[tuple[float, str, str]] = []
    named = 0.0
    for function in report["data"]["functions"]:
        if function["own"] > 0:
            named += function["own"]
            at = f" ({function['place']})" if function["place"] else ""
            where = f"{function['name']}{at}, in loading data"
            found.append((function["own"], "sample" if at else "loader", where))
    rest = report["kinds"]["data"] - named
    found.append((max(rest, 0.0), "loader", "the rest of loading data"))
    grouped: dict[str, float] = {}
    for kernel in report["kernels"]:
        program = report["programs"][kernel["program"]]
        if program["loading"] > program["runs"] / 2:
            continue  # a part of loading
        step = program["steps"][kernel["step"]]
        within = f" in {step['module']}" if step["module"] else ""
        name = f"the kernel {step['title']}{within}"
        grouped[name] = grouped.get(name, 0.0) + kernel["seconds"]
    found += [(seconds, "kernel", name) for name, seconds in grouped.items()]
    kinds = report["kinds"]
    python = kinds["python"] - min(_before_tensors(report), kinds["python"])
    found.append((python, "other", "Python between programs"))
    found.append((kinds["numpy"], "other", "programs that run in NumPy"))
    return found


SORTS = {
    "sample": ("per-sample function", "per-sample functions"),
    "loader": ("part of the loader", "parts of the loader"),
    "kernel": ("kernel", "kernels"),
    "other": ("other thing", "other things"),
}


def _counted(sorts: list[str]) -> str:
    """`Two kernels and one per-sample function`: what the things that are named next are."""
    parts = []
    for sort, (one, more) in SORTS.items():
        count = sorts.count(sort)
        if count:
            parts.append(f"{NUMBERS[count]} {one if count == 1 else more}")
    if parts == ["one other thing"]:
        parts = ["one thing"]
    text = parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]
    return text[0].upper() + text[1:]


NUMBERS = ("no", "one", "two", "three", "four", "five", "six")


def _on_data(report: Data, total: float) -> str | None:
    data = report["data"]
    if data["seconds"] < 0.3 * total:
        return None
    if data["elsewhere"]:
        return (
            "The program waits for its loader's workers: more of them (num_workers), or less work"
            " for each sample, would help."
        )
    own = [f for f in data["functions"] if f["place"] and f["own"] > 0.3 * data["seconds"]]
    slow = max(own, key=lambda f: f["own"], default=None)
    if slow is None:
        return "Batches are loaded between steps: num_workers=2 would load them meanwhile."
    each = f", {duration(slow['per_sample'])} a sample" if slow["per_sample"] else ""
    return (
        f"{slow['name']} runs for each sample{each}: done once for all samples, on whole batches,"
        " or by workers (num_workers=2), it would not hold up the steps."
    )


def _on_compiling(report: Data, total: float) -> str | None:
    if report["kinds"]["compile"] < 0.15 * total:
        return None
    fresh = [p for p in report["programs"] if p["compile_seconds"] and not p["from_disk"]]
    if fresh:
        were, their = ("program was", "its") if len(fresh) == 1 else ("programs were", "their")
        return (
            f"{len(fresh)} {were} compiled; the next run finds {their} kernels on disk and"
            " spends a fraction of that time."
        )
    return "The kernels came from the disk: what is left of compiling is reading and linking them."


def _on_python(report: Data, total: float) -> str | None:
    step = report["step"]
    if step is None or not step["seconds"]:
        return None
    share = step["kinds"]["python"] / step["seconds"]
    if share < 0.4:
        return None
    lines = report["python"]["lines"]
    where = f" (most of it at {lines[0]['place']})" if lines else ""
    return (
        f"In a typical step ({duration(step['seconds'])}) Python takes {percent(share, 1)}{where}:"
        " torch.compile of the step skips the recording, and .item() or print once in a while"
        " instead of every step makes fewer, longer programs."
    )


def _on_kernels(report: Data, total: float) -> str | None:
    running = report["kinds"]["run"]
    if running < 0.3 * total or not report["kernels"]:
        return None
    first = report["kernels"][0]
    step = report["programs"][first["program"]]["steps"][first["step"]]
    share = percent(first["seconds"], running)
    within = f" in {step['module']}" if step["module"] else ""
    return (
        f"Of the compiled programs the kernel {step['title']}{within} takes most ({share}); it"
        f" reaches {percent(step['fraction'], 1)} of what this machine's {step['bound']} allows."
    )


def _on_waiting(report: Data, total: float) -> str | None:
    if report["kinds"]["wait"] < 0.2 * total:
        return None
    return (
        "The main thread often has no CPU: it sleeps, waits for files or a terminal, or other"
        " processes keep the machine busy."
    )


def _on_recordings(report: Data) -> list[str]:
    """Why steps were recorded anew after the first ones."""
    later = [r for r in report["reasons"] if r["kind"] != "first"]
    if not later:
        return []
    count = sum(r["count"] for r in later)
    later.sort(key=lambda r: -r["count"])
    top = later[0]
    at = f" at {top['place']}" if top["place"] else ""
    if count == 1:
        return [f"One recording differed from earlier ones{at}: {top['text']}."]
    kinds = len(later)
    most = "" if kinds == 1 or top["count"] == 1 else " most often"
    first = "" if most or kinds == 1 else " first"
    times = f", and {top['more']} more of the kind" if top["more"] else ""
    return [
        f"{count} recordings differed from earlier ones,{most}{first}{at}: {top['text']}{times}."
    ]
