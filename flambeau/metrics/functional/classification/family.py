"""The four functions of a metric that is a reduction of (tp, fp, tn, fn).

A reduction is called as reduce(tp, fp, tn, fn, average, multidim_average=, multilabel=, top_k=)
and, if it is told so, zero_division=; `average` is "binary" for the binary form.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flambeau.metrics._torch import Tensor
from flambeau.metrics.functional.classification import scores as s
from flambeau.metrics.utilities.enums import ClassificationTask

Reduce = Callable[..., Tensor]
Function = Callable[..., Tensor]
_NEEDED = "`{name}` is expected to be `int` but `{kind} was passed.`"


def _named(function: Any, name: str, module: str, what: str) -> Function:
    function.__name__ = function.__qualname__ = name
    function.__module__ = module
    function.__doc__ = what
    made: Function = function
    return made


def _binary(
    reduce: Reduce,
    preds: Tensor,
    target: Tensor,
    threshold: float,
    multidim_average: str,
    ignore_index: int | None,
    validate_args: bool,
    **options: Any,
) -> Tensor:
    if validate_args:
        s.check_binary_arguments(threshold, multidim_average, ignore_index, **options)
        s.check_binary_batch(preds, target, multidim_average, ignore_index)
    found = s.binary_scores(preds, target, threshold, multidim_average, ignore_index)
    return reduce(*found, "binary", multidim_average=multidim_average, **options)


def _multiclass(
    reduce: Reduce,
    preds: Tensor,
    target: Tensor,
    num_classes: int | None,
    average: str | None,
    top_k: int,
    multidim_average: str,
    ignore_index: int | None,
    validate_args: bool,
    **options: Any,
) -> Tensor:
    if validate_args:
        s.check_multiclass_arguments(
            num_classes, top_k, average, multidim_average, ignore_index, **options
        )
        s.check_multiclass_batch(
            preds,
            target,
            num_classes,
            multidim_average,
            ignore_index,
            all_in_range=average != "micro",
        )
    found = s.multiclass_scores(
        preds, target, num_classes or 1, top_k, average, multidim_average, ignore_index
    )
    return reduce(*found, average, multidim_average=multidim_average, top_k=top_k, **options)


def _multilabel(
    reduce: Reduce,
    preds: Tensor,
    target: Tensor,
    num_labels: int,
    threshold: float,
    average: str | None,
    multidim_average: str,
    ignore_index: int | None,
    validate_args: bool,
    **options: Any,
) -> Tensor:
    if validate_args:
        s.check_multilabel_arguments(
            num_labels, threshold, average, multidim_average, ignore_index, **options
        )
        s.check_multilabel_batch(preds, target, num_labels, multidim_average, ignore_index)
    found = s.multilabel_scores(preds, target, threshold, multidim_average, ignore_index)
    return reduce(*found, average, multidim_average=multidim_average, multilabel=True, **options)


def chosen(
    functions: tuple[Function, Function, Function],
    needed: str,
    preds: Tensor,
    target: Tensor,
    task: str,
    leading: tuple[Any, ...],
    threshold: float,
    num_classes: int | None,
    num_labels: int | None,
    average: str | None,
    multidim_average: str,
    top_k: int,
    *trailing: Any,
) -> Tensor:
    """The function of a task. ValueError for other tasks and where its number is missing."""
    kind = ClassificationTask.from_str(task)

    def check(name: str, value: Any) -> None:
        if not isinstance(value, int):
            raise ValueError(needed.format(name=name, task=kind, kind=type(value)))

    binary, multiclass, multilabel = functions
    if kind is ClassificationTask.BINARY:
        return binary(preds, target, *leading, threshold, multidim_average, *trailing)
    if kind is ClassificationTask.MULTICLASS:
        check("num_classes", num_classes)
        check("top_k", top_k)
        given = (num_classes, average, top_k, multidim_average, *trailing)
        return multiclass(preds, target, *leading, *given)
    check("num_labels", num_labels)
    return multilabel(
        preds, target, *leading, num_labels, threshold, average, multidim_average, *trailing
    )


def family(
    name: str, what: str, reduce: Reduce, needed: str = _NEEDED
) -> tuple[Function, Function, Function, Function]:
    """binary_name, multiclass_name, multilabel_name, name."""

    def binary(
        preds: Tensor,
        target: Tensor,
        threshold: float = 0.5,
        multidim_average: str = "global",
        ignore_index: int | None = None,
        validate_args: bool = True,
    ) -> Tensor:
        return _binary(
            reduce, preds, target, threshold, multidim_average, ignore_index, validate_args
        )

    def multiclass(
        preds: Tensor,
        target: Tensor,
        num_classes: int | None = None,
        average: str | None = "macro",
        top_k: int = 1,
        multidim_average: str = "global",
        ignore_index: int | None = None,
        validate_args: bool = True,
    ) -> Tensor:
        given = (num_classes, average, top_k, multidim_average, ignore_index, validate_args)
        return _multiclass(reduce, preds, target, *given)

    def multilabel(
        preds: Tensor,
        target: Tensor,
        num_labels: int,
        threshold: float = 0.5,
        average: str | None = "macro",
        multidim_average: str = "global",
        ignore_index: int | None = None,
        validate_args: bool = True,
    ) -> Tensor:
        given = (num_labels, threshold, average, multidim_average, ignore_index, validate_args)
        return _multilabel(reduce, preds, target, *given)

    def by_task(
        preds: Tensor,
        target: Tensor,
        task: str,
        threshold: float = 0.5,
        num_classes: int | None = None,
        num_labels: int | None = None,
        average: str | None = "micro",
        multidim_average: str = "global",
        top_k: int = 1,
        ignore_index: int | None = None,
        validate_args: bool = True,
    ) -> Tensor:
        given = (threshold, num_classes, num_labels, average, multidim_average, top_k)
        three = (binary, multiclass, multilabel)
        end = (ignore_index, validate_args)
        return chosen(three, needed, preds, target, task, (), *given, *end)

    return _dressed(name, what, reduce, (binary, multiclass, multilabel, by_task))


def family_with_zero(
    name: str, what: str, reduce: Reduce
) -> tuple[Function, Function, Function, Function]:
    """The same for a quotient whose value where it is 0 / 0 can be chosen (`zero_division`)."""

    def binary(
        preds: Tensor,
        target: Tensor,
        threshold: float = 0.5,
        multidim_average: str = "global",
        ignore_index: int | None = None,
        validate_args: bool = True,
        zero_division: float = 0,
    ) -> Tensor:
        given = (threshold, multidim_average, ignore_index, validate_args)
        return _binary(reduce, preds, target, *given, zero_division=zero_division)

    def multiclass(
        preds: Tensor,
        target: Tensor,
        num_classes: int | None = None,
        average: str | None = "macro",
        top_k: int = 1,
        multidim_average: str = "global",
        ignore_index: int | None = None,
        validate_args: bool = True,
        zero_division: float = 0,
    ) -> Tensor:
        given = (num_classes, average, top_k, multidim_average, ignore_index, validate_args)
        return _multiclass(reduce, preds, target, *given, zero_division=zero_division)

    def multilabel(
        preds: Tensor,
        target: Tensor,
        num_labels: int,
        threshold: float = 0.5,
        average: str | None = "macro",
        multidim_average: str = "global",
        ignore_index: int | None = None,
        validate_args: bool = True,
        zero_division: float = 0,
    ) -> Tensor:
        given = (num_labels, threshold, average, multidim_average, ignore_index, validate_args)
        return _multilabel(reduce, preds, target, *given, zero_division=zero_division)

    def by_task(
        preds: Tensor,
        target: Tensor,
        task: str,
        threshold: float = 0.5,
        num_classes: int | None = None,
        num_labels: int | None = None,
        average: str | None = "micro",
        multidim_average: str = "global",
        top_k: int = 1,
        ignore_index: int | None = None,
        validate_args: bool = True,
        zero_division: float = 0,
    ) -> Tensor:
        given = (threshold, num_classes, num_labels, average, multidim_average, top_k)
        three = (binary, multiclass, multilabel)
        end = (ignore_index, validate_args, zero_division)
        return chosen(three, _NEEDED, preds, target, task, (), *given, *end)

    return _dressed(name, what, reduce, (binary, multiclass, multilabel, by_task))


def _dressed(
    name: str, what: str, reduce: Reduce, functions: tuple[Any, Any, Any, Any]
) -> tuple[Function, Function, Function, Function]:
    """The functions under their names, as if written in the file of their reduction."""
    module = reduce.__module__
    binary, multiclass, multilabel, by_task = functions
    return (
        _named(binary, f"binary_{name}", module, f"The {what}, for targets of 0 and 1."),
        _named(multiclass, f"multiclass_{name}", module, f"The {what}, for several classes."),
        _named(multilabel, f"multilabel_{name}", module, f"The {what}, for several labels."),
        _named(by_task, name, module, f'The {what}; `task`: "binary", "multiclass", ...'),
    )
