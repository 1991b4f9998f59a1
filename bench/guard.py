"""Whether Flambeau has become slower beside PyTorch: the ratios of a short run and the stored ones.

    python bench/guard.py [--margin 0.25] [--parts steps,layers] [--cases steps/digits_mlp]
                          [--threads 1] [--again 1] [--store]

Measures the cases of `suite.py --quick` and names those whose ratio to PyTorch eager fell by more
than the margin (a part of the stored ratio) below bench/ratios.json; cases that fell are measured
once more before they count. Only ratios are compared, never times, since the two frameworks take
turns on the same machine. The status is 1 where something fell. `--store` writes the ratios of this
run into the file instead, beside those of the cases that it did not measure.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "bench")]

import suite

STORED = ROOT / "bench" / "ratios.json"


@dataclass(frozen=True)
class Change:
    """The ratio of a case: as it is stored, and now."""

    name: str
    before: float
    now: float

    def __str__(self) -> str:
        return (
            f"{self.name:28} {self.before:6.2f} -> {self.now:6.2f}  {self.now / self.before:4.0%}"
        )


def fallen(stored: dict[str, float], now: dict[str, float], margin: float) -> list[Change]:
    """The cases whose ratio is less than `1 - margin` of what it was, the worst first."""
    both = [Change(name, stored[name], now[name]) for name in stored if name in now]
    less = [c for c in both if c.now < (1 - margin) * c.before]
    return sorted(less, key=lambda c: c.now / c.before)


def ratios(arguments: list[str]) -> dict[str, float]:
    """The ratios of a short run: how often PyTorch eager's time is ours."""
    chosen = suite.options(["--quick", *arguments])
    chosen.without += ",flambeau-compile,jax"
    _, _, rows = suite.run(chosen)
    return {row.name: row.ratios[suite.OURS] for row in rows if suite.OURS in row.ratios}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--margin", type=float, default=0.25)
    parser.add_argument("--parts", default="steps,layers,vision,long,products,elementwise")
    parser.add_argument("--cases")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--again", type=int, default=1, help="how often to look at fallen cases")
    parser.add_argument("--store", action="store_true")
    chosen = parser.parse_args()
    if suite.missing("torch", None):
        sys.exit("guard.py: PyTorch is not installed, so there is nothing to compare with")
    how = [f"--threads={chosen.threads}", f"--parts={chosen.parts}"]
    now = ratios([*how, f"--cases={chosen.cases}"] if chosen.cases else how)
    stored: dict[str, float] = {}
    if STORED.exists():
        stored = json.loads(STORED.read_text("utf-8"))
    if chosen.store:
        found = {name: round(value, 3) for name, value in sorted({**stored, **now}.items())}
        STORED.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
        return
    for _ in range(chosen.again):
        less = fallen(stored, now, chosen.margin)
        if less:
            again = ratios([*how, "--cases=" + ",".join(c.name for c in less)])
            now |= {name: max(now[name], value) for name, value in again.items()}
    new = sorted(set(now) - set(stored))
    if new:
        print(f"not stored yet: {', '.join(new)}", flush=True)
    less = fallen(stored, now, chosen.margin)
    print("\n".join(["fell:", *map(str, less)]) if less else "nothing fell", flush=True)
    sys.exit(1 if less else 0)


if __name__ == "__main__":
    main()
