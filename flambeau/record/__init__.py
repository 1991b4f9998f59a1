"""Storages, the recorder and its memory of past steps."""

from flambeau.record.statistics import report

__all__ = ["report"]
