"""Analyses of graphs: torch.fx.passes."""

from flambeau.fx.passes import shape_prop

__all__ = ["shape_prop"]
