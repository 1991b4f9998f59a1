"""What `import flambeau` loads, and that what it leaves out is there when it is used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# Other frameworks, optional packages, and what only a program that computes needs.
NOT_AT_ONCE = {
    *("torch", "torchvision", "jax", "jaxlib", "tensorflow", "keras"),
    *("PIL", "matplotlib", "tensorboard", "mpi4py", "cuda", "pandas", "scipy", "llvmlite"),
}
# The modules of functional/ that a program cannot do without: how tensors are made, converted
# and computed with.
FUNCTIONAL_AT_ONCE = {
    *(
        "catalogue",
        "constants",
        "conversion",
        "creation",
        "from_data",
        "lazy",
        "operators",
        "options",
        "pointwise",
    ),
    *("powers", "ternary"),
}
FLOORS_AT_ONCE = {"autograd", "core", "execute", "functional", "graph", "ops", "record", "tensor"}


def run(program: str) -> list[str]:
    """The lines that a program printed in a fresh process."""
    answer = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stderr
    return answer.stdout.splitlines()


def test_import_loads_little() -> None:
    """Its time is printed, not judged (machines differ; bench/startup.py measures it)."""
    seconds, names = run(
        "import sys, time, numpy; began = time.perf_counter(); import flambeau; "
        "print(time.perf_counter() - began); print(*sys.modules)"
    )
    print(f"import flambeau, after numpy: {float(seconds):.3f} s")
    loaded = [name.split(".") for name in names.split()]
    assert not NOT_AT_ONCE & {parts[0] for parts in loaded}
    own = {(*parts[1:], "")[0]: () for parts in loaded if parts[0] == "flambeau"}
    assert set(own) - {"", "version"} == FLOORS_AT_ONCE
    inside = {tuple(parts[1:3]) for parts in loaded if parts[0] == "flambeau" and len(parts) > 2}
    assert {part for floor, part in inside if floor == "functional"} <= FUNCTIONAL_AT_ONCE
    assert {part for floor, part in inside if floor == "execute"} == {"reference"}
    assert ["numpy", "random"] not in loaded


def test_every_member_and_name_is_there_when_used() -> None:
    lines = run(
        "import types, flambeau as torch\n"
        "from flambeau.functional.lazy import LazyMember\n"
        "waiting = [n for n, v in vars(torch.Tensor).items() if isinstance(v, LazyMember)]\n"
        "print(len(waiting))\n"
        "for name in waiting:\n"
        "    getattr(torch.Tensor, name)\n"
        "print(*[n for n in waiting if isinstance(vars(torch.Tensor)[n], LazyMember)])\n"
        "print(*[n for n in torch.__all__ if getattr(torch, n, waiting) is waiting])\n"
        "print(*{*torch.__all__} - {*dir(torch)})\n"
        "before = {*globals()}\n"
        "from flambeau import *\n"
        "print(*{*torch.__all__} - {*globals()})\n"
    )
    assert int(lines[0]) > 300, "members are no longer bound lazily"
    assert lines[1:] == ["", "", "", ""]


def test_a_used_member_is_a_plain_function() -> None:
    lines = run(
        "import flambeau as torch\n"
        "x = torch.tensor([[-1.0, 2.0]])\n"
        "print(type(torch.Tensor.__dict__['add']).__name__)\n"
        "print(type(torch.Tensor.__dict__['relu']).__name__)\n"
        "print(x.relu().tolist())\n"
        "print(type(torch.Tensor.__dict__['relu']).__name__)\n"
        "print((x @ x.T).tolist(), type(torch.Tensor.__dict__['__matmul__']).__name__)\n"
        "class Mine(torch.Tensor): pass\n"
        "print(type(torch.Tensor.__dict__['tril']).__name__)\n"
        "print(super(Mine, x.as_subclass(Mine)).relu().tolist())\n"
        "print(hasattr(x, 'no_such'), hasattr(torch, 'no_such'))\n"
    )
    assert lines == [
        "function",
        "LazyMember",
        "[[0.0, 2.0]]",
        "function",
        "[[5.0]] function",
        "function",
        "[[0.0, 2.0]]",
        "False False",
    ]
