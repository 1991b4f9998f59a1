"""`flambeau doctor`: looks the installation over, says what is wrong and how to mend it."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from flambeau.cli.environment import describe

OLDEST_PYTHON = (3, 10)
FEW_BYTES = 1 << 30
EXTRAS = {  # module: (the extra that brings it, what for)
    "PIL": ("vision", "pictures"),
    "matplotlib": ("plot", "plots"),
    "tensorboard": ("tensorboard", "SummaryWriter"),
    "safetensors": ("safetensors", "safetensors files"),
}


class Finding(NamedTuple):
    """What was looked at, what was found; `wrong`: how to mend it, or nothing; `grave`: the
    doctor's exit status is 1.
    """

    what: str
    found: str
    wrong: str = ""
    grave: bool = False


def examine() -> int:
    """Prints the report; 0, or 1 where something keeps Flambeau from giving right results."""
    print(describe())
    print()
    grave = False
    for check in CHECKS:
        try:
            findings = list(check())
        except Exception as error:
            what = check.__name__.strip("_").replace("_", " ")
            problem = f"{type(error).__name__}: {error}"
            findings = [
                Finding(what, "failed", f"this should not be, please report: {problem}", True)
            ]
        for finding in findings:
            grave |= finding.grave
            mark = "ok" if not finding.wrong else "WRONG" if finding.grave else "note"
            print(f"{mark:5}  {finding.what}: {finding.found}")
            if finding.wrong:
                print(f"       {finding.wrong}")
    print("\nSomething is wrong: see above." if grave else "\nAll is well.")
    return int(grave)


def _python() -> Iterator[Finding]:
    fine = sys.version_info >= OLDEST_PYTHON
    needed = ".".join(map(str, OLDEST_PYTHON))
    yield Finding(
        "python",
        platform.python_version(),
        "" if fine else f"Flambeau needs Python {needed} or newer",
        not fine,
    )


def _threads() -> Iterator[Finding]:
    from flambeau.execute.cpu.pool import default_num_threads, get_num_threads

    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    asked, own = get_num_threads(), default_num_threads()
    found = f"{asked} of {allowed} CPUs that this process may use"
    if allowed and asked > allowed:
        yield Finding(
            "threads", found, "more threads than CPUs are slow: unset FLAMBEAU_NUM_THREADS"
        )
    elif asked < own:
        yield Finding("threads", found, f"{own} would be used without the setting")
    else:
        yield Finding("threads", found)


def _memory() -> Iterator[Finding]:
    try:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return
    yield Finding(
        "free memory",
        f"{free / 2**30:.1f} GiB",
        "" if free > FEW_BYTES else "little is left: other processes hold the rest",
    )


def _kernel_cache() -> Iterator[Finding]:
    from flambeau.core import settings
    from flambeau.execute.cpu.objects import ENTRY, default_cache

    cache = default_cache()
    if cache is None:
        if not settings.cache_wanted():
            yield Finding("kernel cache", "off (FLAMBEAU_CACHE=0)")
            return
        yield Finding(
            "kernel cache",
            "no folder can be used",
            "each process compiles anew: name a folder of your own in FLAMBEAU_CACHE_DIR"
            " (mode 700, writable by nobody else)",
        )
        return
    files = [f for f in cache.directory.iterdir() if f.name.endswith(ENTRY)]
    size = sum(f.stat().st_size for f in files)
    found = f"{len(files)} kernels, {size / 2**20:.1f} of {cache.limit / 2**20:.0f} MiB"
    room = shutil.disk_usage(cache.directory).free
    yield Finding(
        "kernel cache",
        f"{found}, in {cache.directory}",
        "" if room > 64 << 20 else f"the disk has {room >> 20} MiB left: kernels are not kept",
    )


def _compiler() -> Iterator[Finding]:
    from flambeau.execute.cpu.engine import mappings, most_mappings

    start = time.perf_counter()
    with _executor("compiled"):
        import flambeau

        right = (flambeau.arange(7.0) * 2 + 1).tolist() == [1, 3, 5, 7, 9, 11, 13]
    spent = time.perf_counter() - start
    wrong = "" if right else "a compiled kernel computes wrong numbers: please report this"
    yield Finding("compiler", f"a kernel in {spent * 1e3:.0f} ms", wrong, not right)
    yield Finding("memory mappings", f"{mappings()} of {most_mappings()}")


def _matrix_unit() -> Iterator[Finding]:
    from flambeau.core import settings
    from flambeau.execute.cpu.target import has_matrix_unit

    if not settings.matrix_unit_wanted():
        yield Finding("matrix unit", "switched off (FLAMBEAU_MATRIX_UNIT=0)")
    else:
        yield Finding("matrix unit", "AMX is used" if has_matrix_unit() else "none in this CPU")


def _kernels() -> Iterator[Finding]:
    """Each kind of kernel beside the reference executor."""
    for name, compute in FAMILIES.items():
        with _executor("reference"):
            expected = compute()
        with _executor("compiled"):
            found = compute()
        off = _difference(found, expected)
        wrong = "" if off <= TOLERANCE else "please report this, with what stands above"
        yield Finding(f"kernels: {name}", f"off by {off:.1e}", wrong, bool(wrong))


def _gpu() -> Iterator[Finding]:
    import flambeau

    yield Finding(
        "GPU", "in use" if flambeau.cuda.is_available() else "none: Flambeau computes on the CPU"
    )


def _extras() -> Iterator[Finding]:
    missing = [
        f"{what} (pip install 'flambeau[{extra}]')"
        for module, (extra, what) in EXTRAS.items()
        if importlib.util.find_spec(module) is None
    ]
    yield Finding("extras", f"not installed, for {', '.join(missing)}" if missing else "all there")


CHECKS: list[Callable[[], Iterator[Finding]]] = [
    _python, _threads, _memory, _kernel_cache, _compiler, _matrix_unit, _kernels, _gpu, _extras,
]  # fmt: skip


# ---- the self-test -------------------------------------------------------------------------------

TOLERANCE = 2e-5


@contextmanager
def _executor(name: str) -> Iterator[None]:
    from flambeau.record.options import OPTIONS
    from flambeau.record.recorder import flush
    from flambeau.record.recording import ROOTS

    flush()
    before, OPTIONS.executor = OPTIONS.executor, name
    for root in list(ROOTS.values()):
        root.next.clear()  # programs of the other executor
        root.plans.clear()
    try:
        yield
    finally:
        flush()
        OPTIONS.executor = before


def _difference(found: Any, expected: Any) -> float:
    """The largest difference, relative to the largest number."""
    worst = 0.0
    for a, b in zip(found, expected, strict=True):
        a, b = a.detach().double(), b.detach().double()
        if a.shape != b.shape or bool(a.isnan().any()):
            return float("inf")
        scale = max(float(b.abs().max()), 1.0)
        worst = max(worst, float((a - b).abs().max()) / scale)
    return worst


def _settled(*tensors: Any) -> list[Any]:
    for tensor in tensors:
        tensor.tolist()
    return list(tensors)


def _elementwise() -> list[Any]:
    import flambeau as torch

    x = torch.linspace(0.1, 3.0, 1001)
    exact = torch.linspace(0.1, 3.0, 101, dtype=torch.float64)
    return _settled(x.exp() + x.log().sin() * x.erf(), exact.tanh().sqrt(), x.lgamma())


def _reductions() -> list[Any]:
    import flambeau as torch

    x = torch.linspace(-2, 2, 60 * 77).reshape(60, 77).sin()
    return _settled(x.sum(1), x.amax(0), x.softmax(1), x.var(), x.argmax(1), x.mean(0))


def _products() -> list[Any]:
    import flambeau as torch

    a, b = torch.linspace(-1, 1, 130 * 70).cos(), torch.linspace(0, 3, 70 * 90).sin()
    a, b = a.reshape(130, 70), b.reshape(70, 90)
    whole = (a * 10).round().int() @ (b * 10).round().int()
    return _settled(a @ b, a.double() @ b.double(), whole, a[:1] @ b, a.bfloat16() @ b.bfloat16())


def _convolutions() -> list[Any]:
    import flambeau as torch

    x = torch.linspace(-1, 1, 2 * 3 * 20 * 20).sin().reshape(2, 3, 20, 20).requires_grad_()
    w = torch.linspace(-1, 1, 8 * 3 * 9).cos().reshape(8, 3, 3, 3).requires_grad_()
    y = torch.nn.functional.conv2d(x, w, stride=2, padding=1)
    y.square().sum().backward()
    return _settled(y, x.grad, w.grad)


def _windows() -> list[Any]:
    import flambeau as torch

    x = torch.linspace(-1, 1, 4 * 15 * 15).mul(9).sin().reshape(1, 4, 15, 15).requires_grad_()
    y = torch.nn.functional.max_pool2d(x, 3, 2) + torch.nn.functional.avg_pool2d(x, 3, 2)
    y.square().sum().backward()
    return _settled(y, x.grad)


def _indexed() -> list[Any]:
    import flambeau as torch

    table = torch.linspace(-1, 1, 40).reshape(10, 4).requires_grad_()
    rows = table[torch.tensor([1, 3, 3, 9])]
    rows.square().sum().backward()
    counted = torch.zeros(5).index_add(0, torch.tensor([0, 4, 4]), torch.ones(3))
    return _settled(rows, table.grad, counted)


def _ordered() -> list[Any]:
    import flambeau as torch

    x = torch.linspace(0, 50, 500).sin().reshape(5, 100)
    values, places = x.sort(dim=1)
    return _settled(values, places, x.cumsum(1), x.topk(7, dim=1).values)


def _random() -> list[Any]:
    import flambeau as torch

    torch.manual_seed(7)
    draws = torch.randn(1000), torch.rand(33), torch.randint(0, 9, (50,)), torch.randperm(40)
    return _settled(*draws)


def _recurrences() -> list[Any]:
    import flambeau as torch

    torch.manual_seed(7)
    layer = torch.nn.LSTM(5, 9)
    x = torch.linspace(-1, 1, 6 * 3 * 5).reshape(6, 3, 5)
    y, _ = layer(x)
    y.square().sum().backward()
    return _settled(y, layer.weight_hh_l0.grad)


FAMILIES: dict[str, Callable[[], list[Any]]] = {
    "elementwise": _elementwise,
    "reductions": _reductions,
    "matrix products": _products,
    "convolutions": _convolutions,
    "windows": _windows,
    "gather and scatter": _indexed,
    "scans and sorts": _ordered,
    "random numbers": _random,
    "recurrent layers": _recurrences,
}
