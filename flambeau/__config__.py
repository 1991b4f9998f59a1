"""torch.__config__: what this build is, as text for reports."""

from __future__ import annotations

import platform

__all__ = ["parallel_info", "show"]


def show() -> str:
    """What programs are compiled with, and for: a fact a line."""
    import flambeau
    from flambeau.execute.cpu.target import llvm_version

    return (
        f"Flambeau {flambeau.FLAMBEAU_VERSION}, for programs of PyTorch "
        f"{flambeau.__version__.partition('+')[0]}, built with:\n"
        f"  - Python {platform.python_version()}\n"
        f"  - LLVM {llvm_version()}\n"
        f"  - CPU capability usage: {flambeau.backends.cpu.get_cpu_capability()}\n"
    )


def parallel_info() -> str:
    """How many threads programs run on."""
    import flambeau

    return (
        "Flambeau parallel settings\n"
        f"\tat::get_num_threads() : {flambeau.get_num_threads()}\n"
        f"\tat::get_num_interop_threads() : {flambeau.get_num_interop_threads()}\n"
    )
