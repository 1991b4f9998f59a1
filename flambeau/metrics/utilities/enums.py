"""The words that choose among the forms of a metric."""

from __future__ import annotations

from enum import Enum
from typing import TypeVar

E = TypeVar("E", bound="EnumStr")


class EnumStr(str, Enum):
    """Words that may be written in any case, with - or _."""

    @staticmethod
    def _name() -> str:
        return "Task"

    @classmethod
    def from_str(cls: type[E], value: str, source: str = "key") -> E:
        """The member of that name. ValueError for other words."""
        word = value.replace("-", "_").lower()
        for member in cls:
            if member.name.lower() == word:
                return member
        names = [member.name for member in cls]
        raise ValueError(f"Invalid {cls._name()}: expected one of {names}, but got {value}.")

    def __str__(self) -> str:
        return f"{type(self).__name__}.{self.name}"

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)


class ClassificationTask(EnumStr):
    """The kinds of classification."""

    BINARY = "binary"
    MULTICLASS = "multiclass"
    MULTILABEL = "multilabel"

    @staticmethod
    def _name() -> str:
        return "Classification"


class ClassificationTaskNoBinary(EnumStr):
    """Those with several classes or labels."""

    MULTILABEL = "multilabel"
    MULTICLASS = "multiclass"

    @staticmethod
    def _name() -> str:
        return "Classification"


class ClassificationTaskNoMultilabel(EnumStr):
    """Those with one label."""

    BINARY = "binary"
    MULTICLASS = "multiclass"

    @staticmethod
    def _name() -> str:
        return "Classification"
