"""Calling a module with other parameters, under its older name."""

from __future__ import annotations

from flambeau.func.modules import functional_call

__all__ = ["functional_call"]
