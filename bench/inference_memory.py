"""Peak memory of inference beside the weights and the two largest activations.

    python bench/inference_memory.py [--cases vgg16,resnet50] [--torch]

A new process for each network: what it holds at its peak (Linux: VmHWM) beyond what it held after
the imports and a small convolution, which loads the compiler: while the network is built and used
for the first time, and over four more passes of one 224 x 224 image.
"""

from __future__ import annotations

import argparse
import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "bench")]

import networks

CASES = ("vgg16", "resnet50", "mobilenet_v2")
MIB = 1 << 20
PASSES = 4  # after the first


def memory(field: str) -> float:
    """A figure of this process's memory in MiB: VmRSS now, VmHWM at its peak."""
    lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    (line,) = [line for line in lines if line.startswith(field + ":")]
    return int(line.split()[1]) / 1024


def forget_peak() -> None:
    """Makes the peak what the process holds now."""
    Path("/proc/self/clear_refs").write_text("5", "ascii")


def largest_activations(torch: Any, model: Any, x: Any) -> float:
    """MiB of the two largest values of one layer after another."""
    sizes: list[int] = []

    def note(layer: Any, inputs: Any, output: Any) -> None:
        sizes.append(output.numel() * output.element_size())

    hooks = [m.register_forward_hook(note) for m in model.modules() if not list(m.children())]
    with torch.no_grad():
        model(x)
    for hook in hooks:
        hook.remove()
    return sum(sorted(sizes)[-2:]) / MIB


def measure(name: str, framework: str) -> None:
    """Prints one line: the peaks, and how often the weights and two activations fit into them."""
    torch = importlib.import_module(framework)
    torch.set_num_threads(1)
    x = torch.randn(1, 3, 224, 224)
    small = torch.nn.Conv2d(3, 4, 3)
    with torch.no_grad():
        for _ in range(3):
            small(x).sum().item()
    forget_peak()
    start = memory("VmRSS")
    model = getattr(networks, name)(torch).eval()
    weights = sum(p.numel() * p.element_size() for p in model.parameters()) / MIB
    peaks = []
    with torch.no_grad():
        for count in (1, PASSES):
            for _ in range(count):
                model(x).argmax().item()
            peaks.append(memory("VmHWM") - start)
            forget_peak()
    after = memory("VmRSS") - start
    two = largest_activations(torch, model, x)
    first, later = [f"{peak:6.1f} ({peak / (weights + two):4.2f})" for peak in peaks]
    print(
        f"{name:12} {framework:9} weights {weights:6.1f} + activations {two:5.1f} MiB;"
        f" peaks: first pass {first}, later ones {later}; held {after:6.1f}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Peak memory of inference.")
    parser.add_argument("--cases", default=",".join(CASES))
    parser.add_argument("--torch", action="store_true", help="PyTorch as well")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.one:
        measure(*chosen.one)
        return
    for name in chosen.cases.split(","):
        for framework in ("flambeau", "torch") if chosen.torch else ("flambeau",):
            command = [sys.executable, __file__, "--one", name, framework]
            subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
