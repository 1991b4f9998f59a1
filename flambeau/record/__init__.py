"""Storages, the recorder and its memory of past steps."""

from flambeau.record.plan import report

__all__ = ["report"]
