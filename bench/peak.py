"""The most memory that training takes, Flambeau beside PyTorch, each in a fresh process.

    python bench/peak.py [--cases digits_mlp,resnet18] [--steps 8] [--threads 1] [--cold]

Printed is the peak of resident memory while a model is built and trained for some steps, above what
the process holds once the framework is imported (with nn, optim and a first tensor). Flambeau's
kernels come from a cache that a run before has filled; with `--cold` the cache is empty, and the
peak contains the compiler. With `--look` each step looks at its loss before it goes backward, so
that what the derivatives need is kept from one program to the next. "Beyond" is the same above a
training of three numbers before it: both frameworks import more of themselves when they are first
used.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "bench")]

CASES = {
    "digits_mlp": "models",
    "digits_cnn": "models",
    "cifar_cnn": "vision",
    "resnet18": "vision",
    "lstm": "layers",
    "lstm_wide": "layers",
    "transformer": "layers",
    "transformer_long": "layers",
    "vocabulary_sgd": "layers",
    "vocabulary_adam": "layers",
    "vocabulary_adam_wide": "layers",
}
STATUS = Path("/proc/self/status")


def status(field: str) -> int:
    """A figure of this process's memory in bytes: VmRSS, or VmHWM (its peak)."""
    for line in STATUS.read_text(encoding="ascii").splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"{STATUS} has no {field}")


def train_a_line(torch: Any) -> None:
    """What loads everything that a training needs."""
    model = torch.nn.Linear(1, 1)
    x = torch.tensor([[1.0], [2.0], [3.0]])
    for kind in (torch.optim.SGD, torch.optim.Adam):
        optimizer = kind(model.parameters(), lr=0.01)
        for _ in range(4):
            optimizer.zero_grad()
            loss = torch.nn.functional.mse_loss(model(x), 2 * x)
            loss.backward()
            optimizer.step()
            loss.item()


def look_first(torch: Any) -> None:
    """Makes every backward pass begin with a look at the loss."""
    backward = torch.Tensor.backward

    def looking(loss: Any, *args: Any, **named: Any) -> None:
        loss.item()
        backward(loss, *args, **named)

    torch.Tensor.backward = looking


def child(
    framework: str, case: str, steps: int, threads: int, beyond: bool, look: bool = False
) -> None:
    """Prints the peaks above the import (`beyond`: and a small training) after building the model,
    and after each step.
    """
    module = importlib.import_module(framework)
    for part in ("nn", "optim", "nn.functional"):
        importlib.import_module(f"{framework}.{part}")
    module.set_num_threads(threads)
    module.ones(3).sum().item()
    if look:
        look_first(module)
    build = importlib.import_module(CASES[case]).CASES[case].build
    module.manual_seed(0)
    if beyond:
        train_a_line(module)
    start = status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak begins here
    found = []
    built = build(module)
    found.append(status("VmHWM") - start)
    for _ in range(steps):
        built.step()
        found.append(status("VmHWM") - start)
    print(json.dumps(found))


def peaks(
    framework: str,
    case: str,
    steps: int,
    threads: int,
    cache: str,
    beyond: bool = False,
    look: bool = False,
) -> list[int]:
    """Bytes, as `child` prints them."""
    given = [f"--child={framework}", f"--cases={case}", f"--steps={steps}", f"--threads={threads}"]
    given += ["--beyond"] * beyond + ["--look"] * look
    done = subprocess.run(
        [sys.executable, __file__, *given],
        env={**os.environ, "FLAMBEAU_CACHE_DIR": cache},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    found: list[int] = json.loads(done.stdout.splitlines()[-1])
    return found


def measured(
    case: str,
    frameworks: list[str],
    steps: int,
    threads: int,
    cold: bool,
    beyond: bool = False,
    look: bool = False,
) -> dict[str, list[int]]:
    """The peaks of each framework for a case."""
    with tempfile.TemporaryDirectory() as cache:
        if not cold and "flambeau" in frameworks:
            peaks("flambeau", case, steps, threads, cache, look=look)
        return {name: peaks(name, case, steps, threads, cache, beyond, look) for name in frameworks}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--cases", default=",".join(CASES))
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--cold", action="store_true")
    parser.add_argument("--only", choices=["torch", "flambeau"])
    parser.add_argument("--beyond", action="store_true", help="above a small training")
    parser.add_argument("--look", action="store_true", help="at the loss, before going backward")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.child:
        child(chosen.child, chosen.cases, chosen.steps, chosen.threads, chosen.beyond, chosen.look)
        return
    frameworks = [chosen.only] if chosen.only else ["torch", "flambeau"]
    for case in chosen.cases.split(","):
        how = chosen.steps, chosen.threads, chosen.cold, chosen.beyond, chosen.look
        found = measured(case, frameworks, *how)
        line = f"{case:18}"
        for name, values in found.items():
            built, first, last = (values[k] / 2**20 for k in (0, 1, -1))
            line += f"  {name}: built {built:6.1f} first {first:7.1f} at the end {last:7.1f} MiB"
        if len(found) == 2:
            line += f"  ratio {found['torch'][-1] / max(found['flambeau'][-1], 1):.2f}"
        print(line, flush=True)


if __name__ == "__main__":
    main()
