"""`explain`: what a program does, and where its time goes, as a page, JSON or a trace."""

from flambeau.explaining.explanation import Explanation, explain

__all__ = ["Explanation", "explain"]
