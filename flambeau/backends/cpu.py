"""torch.backends.cpu: what the processor can do."""

from __future__ import annotations

__all__ = ["get_cpu_capability"]


def get_cpu_capability() -> str:
    """The widest vectors that are compiled for: "AVX512", "AVX2" or "DEFAULT"."""
    from flambeau.execute.cpu.target import Target

    target = Target.host()
    for name, feature in (("AVX512", "avx512f"), ("AVX2", "avx2")):
        if target.has(feature):
            return name
    return "DEFAULT"
