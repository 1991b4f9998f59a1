"""Derivatives of functions: grad, vjp, jvp and Jacobians, in terms of autograd.

Forward mode is a second backward pass: the pullback is linear in its cotangent, and its own
pullback is the derivative along a tangent.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from typing import Any

from flambeau.autograd import engine
from flambeau.autograd.mapping import over_basis, without_draws
from flambeau.autograd.modes import enable_grad, is_grad_enabled
from flambeau.func.tree import flatten
from flambeau.functional.creation import ones_like, zeros_like
from flambeau.tensor.tensor import Tensor


def _level(tensor: Any) -> Any:
    """The tensor as the variable of a transform: another one for autograd, the same outside."""
    if not isinstance(tensor, Tensor):
        raise ValueError(f"Thing passed to transform API must be Tensor, got {type(tensor)}")
    if tensor.requires_grad:
        return tensor.view_as(tensor)
    return tensor.detach().requires_grad_()


_transforms = itertools.count()


class _Traced:
    """One run of a function on variables of its own, ready for pullbacks."""

    def __init__(self, function: Callable[[list[Any]], Any], values: list[Any]) -> None:
        self.connected = is_grad_enabled()
        self.number = next(_transforms)
        with enable_grad():
            self.variables = [_level(v) for v in values]
            for variable in self.variables:
                variable._transform = self.number
            self.result = function(self.variables)

    def see(self, roots: list[Any]) -> None:
        """Finds out whether results stay part of an outer graph."""
        self.outside = self.connected and engine.reaches_outside(
            [r for r in roots if isinstance(r, Tensor)], self.variables, self.number
        )

    def plain(self, value: Any) -> Any:
        """A tensor without the transform's own variables, where nothing outside needs them."""
        return value.detach() if isinstance(value, Tensor) and not self.outside else value

    def pull(self, roots: list[Tensor], cotangents: list[Tensor], keep: bool = False) -> list[Any]:
        """Cotangents of the variables; zeros where a variable is not used."""
        pairs = [(r, c) for r, c in zip(roots, cotangents, strict=True) if r.requires_grad]
        if not pairs or not self.variables:
            return [zeros_like(v.detach()) for v in self.variables]
        kept = keep or self.outside
        kept = kept or (is_grad_enabled() and any(c.requires_grad for _, c in pairs))
        found = engine.grad(
            [r for r, _ in pairs],
            self.variables,
            [c for _, c in pairs],
            retain_graph=True,
            create_graph=kept,
            materialize_grads=True,
        )
        return list(found)


def _chosen(argnums: Any, count: int) -> list[int]:
    if isinstance(argnums, bool) or not isinstance(argnums, (int, tuple)):
        raise RuntimeError(f"argnums must be int or Tuple[int, ...], got: {type(argnums)}")
    places = [argnums] if isinstance(argnums, int) else list(argnums)
    if not places:
        raise RuntimeError("argnums must be non-empty")
    for place in places:
        if not -count <= place < count:
            raise RuntimeError(f"Got argnum={place}, but only {count} positional inputs")
    chosen = [place % count for place in places]
    if len(set(chosen)) != len(chosen):
        raise RuntimeError(f"argnums elements must be unique, got {tuple(chosen)}")
    return chosen


def _split_arguments(
    function: Any, argnums: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[list[Any], Callable[[list[Any]], Any], Callable[[list[Any]], Any]]:
    """The leaves at `argnums`, the function of them, and how to nest results like them."""
    places = _chosen(argnums, len(args))
    picked = args[places[0]] if isinstance(argnums, int) else tuple(args[p] for p in places)
    leaves, build = flatten(picked)

    def call(values: list[Any]) -> Any:
        made = build(values)
        whole = list(args)
        for place, part in zip(places, [made] if isinstance(argnums, int) else made, strict=True):
            whole[place] = part
        return function(*whole, **kwargs)

    return leaves, call, build


def grad_and_value(
    func: Callable[..., Any], argnums: Any = 0, has_aux: bool = False
) -> Callable[..., tuple[Any, Any]]:
    """A function that gives (gradients, value) of a scalar function."""

    def wrapped(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        leaves, call, build = _split_arguments(func, argnums, args, kwargs)
        run = _Traced(call, leaves)
        output, aux = run.result, None
        if has_aux:
            if not (isinstance(output, tuple) and len(output) == 2):
                raise RuntimeError(
                    "grad_and_value(f)(*args): output of function f should be a tuple: "
                    "(output, aux) if has_aux is True"
                )
            output, aux = output
        if not isinstance(output, Tensor):
            raise RuntimeError(
                "grad_and_value(f)(*args): Expected f(*args) to return a Tensor, got "
                f"{type(output)}"
            )
        if output.dim():
            raise RuntimeError(
                "grad_and_value(f)(*args): Expected f(*args) to return a scalar Tensor, got "
                f"tensor with {output.dim()} dims. Maybe you wanted to use the vjp or jacrev APIs "
                "instead?"
            )
        parts, rebuild = flatten(aux)
        run.see([output, *parts])
        gradients = build(run.pull([output], [ones_like(output.detach())]))
        value = run.plain(output)
        return gradients, (value, rebuild([run.plain(p) for p in parts])) if has_aux else value

    return wrapped


def grad(func: Callable[..., Any], argnums: Any = 0, has_aux: bool = False) -> Callable[..., Any]:
    """A function that gives the gradients of a scalar function (with `has_aux`: and the aux)."""
    both = grad_and_value(func, argnums, has_aux)

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        gradients, value = both(*args, **kwargs)
        return (gradients, value[1]) if has_aux else gradients

    return wrapped


def _outputs(result: Any, name: str, has_aux: bool) -> tuple[Any, Any]:
    output, aux = result, None
    if has_aux:
        if not (isinstance(output, tuple) and len(output) == 2):
            raise RuntimeError(
                f"{name}(f, *primals): output of function f should be a tuple: (output, aux) if "
                "has_aux is True"
            )
        output, aux = output
    for leaf in flatten(output)[0]:
        if not isinstance(leaf, Tensor):
            raise RuntimeError(
                f"{name}(f, *primals): expected f(*primals) to return only tensors, got "
                f"unsupported type {type(leaf)}"
            )
    return output, aux


def vjp(func: Callable[..., Any], *primals: Any, has_aux: bool = False) -> Any:
    """(outputs, function from their cotangents to those of the primals)[, aux]."""
    leaves, build = flatten(primals)
    run = _Traced(lambda values: func(*build(values)), leaves)
    output, aux = _outputs(run.result, "vjp", has_aux)
    roots, nest = flatten(output)
    extra, rebuild = flatten(aux)
    run.see([*roots, *extra])

    def pullback(*cotangents: Any) -> Any:
        if not cotangents:
            raise TypeError(
                "_vjp_with_argnums.<locals>.wrapper() missing 1 required positional argument: "
                "'cotangents'"
            )
        given, _ = flatten(cotangents if len(cotangents) > 1 else cotangents[0])
        if len(given) != len(roots):
            raise RuntimeError(
                f"Expected {len(roots)} cotangents, as many as outputs, got {len(given)}"
            )
        for place, (one, root) in enumerate(zip(given, roots, strict=True)):
            if tuple(one.shape) != tuple(root.shape):
                raise RuntimeError(
                    f"Mismatch in shape: grad_output[{place}] has a shape of {one.shape} and "
                    f"output[{place}] has a shape of {root.shape}."
                )
        return build(run.pull(roots, given))

    shown = nest([run.plain(r) for r in roots])
    return (
        (shown, pullback, rebuild([run.plain(e) for e in extra])) if has_aux else (shown, pullback)
    )


def jvp(
    func: Callable[..., Any],
    primals: Any,
    tangents: Any,
    *,
    strict: bool = False,
    has_aux: bool = False,
) -> Any:
    """(outputs, their derivative along `tangents`)[, aux]."""
    if strict:
        raise NotImplementedError("func.jvp: strict=True is not supported yet")
    if not isinstance(primals, tuple):
        raise RuntimeError(
            "jvp(f, primals, tangents): Expected primals to be a tuple. E.g. it should be valid "
            "to call f(*primals)."
        )
    leaves, build = flatten(primals)
    along, _ = flatten(tangents)
    if not isinstance(tangents, tuple) or len(along) != len(leaves):
        raise RuntimeError(
            "jvp(f, primals, tangents): Expected primals and tangents to have the same python "
            "structure."
        )
    for x, v in zip(leaves, along, strict=True):
        if tuple(x.shape) != tuple(v.shape):
            raise RuntimeError(
                "Trying to set a forward gradient that has a different size than that of the "
                "original Tensor, this is not supported. Tensor is of size "
                f"{list(x.shape)} while the given forward gradient is of size {list(v.shape)}."
            )
    run = _Traced(lambda values: func(*build(values)), leaves)
    output, aux = _outputs(run.result, "jvp", has_aux)
    roots, nest = flatten(output)
    extra, rebuild = flatten(aux)
    run.see([*roots, *extra])
    pushed = nest(_push(run, roots, along))
    shown = nest([run.plain(r) for r in roots])
    return (shown, pushed, rebuild([run.plain(e) for e in extra])) if has_aux else (shown, pushed)


def linearize(func: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[..., Any]]:
    """(outputs, function from tangents of the primals to those of the outputs).

    The function is traced once; each call of the second function pushes through that trace.
    RuntimeError there for another number or shape of tangents.
    """
    leaves, build = flatten(primals)
    run = _Traced(lambda values: func(*build(values)), leaves)
    output, _ = _outputs(run.result, "linearize", False)
    roots, nest = flatten(output)
    run.see(roots)
    pushed = _Pushed(run, roots)

    def push_forward(*tangents: Any) -> Any:
        along, _ = flatten(tangents)
        if len(along) != len(leaves):
            raise RuntimeError(
                f"Expected the tangents to have the same argspec as the primals: got {len(along)} "
                f"of {len(leaves)}"
            )
        for place, (x, v) in enumerate(zip(leaves, along, strict=True)):
            if tuple(x.shape) != tuple(v.shape):
                raise RuntimeError(
                    f"tangent:{place} with shape {v.shape} in flattened pytree doesn't match the "
                    f"shape {x.shape} of the corresponding primal."
                )
            if x.dtype is not v.dtype:
                raise RuntimeError(
                    f"tangent:{place} with dtype {v.dtype} in flattened pytree doesn't match the "
                    f"dtype {x.dtype} of the corresponding primal."
                )
        return nest(pushed.along(along))

    return nest([run.plain(r) for r in roots]), push_forward


def _push(run: _Traced, roots: list[Any], along: list[Any]) -> list[Any]:
    """The derivatives of the roots along tangents of the variables."""
    return _Pushed(run, roots).along(along)


class _Pushed:
    """The pullback of a run as a function of its cotangents, ready to be pulled back itself."""

    def __init__(self, run: _Traced, roots: list[Any]) -> None:
        self.run, self.roots = run, roots
        with enable_grad():
            self.dummies = [zeros_like(r.detach()).requires_grad_() for r in roots]
            self.pulled = run.pull(roots, self.dummies, keep=True)

    def along(self, tangents: list[Any]) -> list[Any]:
        """The derivatives of the roots along tangents of the variables."""
        run = self.run
        kept = run.outside or (run.connected and any(v.requires_grad for v in tangents))
        pairs = [(p, v) for p, v in zip(self.pulled, tangents, strict=True) if p.requires_grad]
        if not pairs:
            return [zeros_like(r.detach()) for r in self.roots]
        with enable_grad():
            return list(
                engine.grad(
                    [p for p, _ in pairs],
                    self.dummies,
                    [v for _, v in pairs],
                    retain_graph=True,
                    create_graph=kept,
                    materialize_grads=True,
                )
            )


def jacrev(
    func: Callable[..., Any],
    argnums: Any = 0,
    *,
    has_aux: bool = False,
    chunk_size: int | None = None,
    _preallocate_and_copy: bool = False,
) -> Callable[..., Any]:
    """A function that gives the Jacobian by reverse mode: all rows at once, or `chunk_size`."""
    if chunk_size is not None and chunk_size <= 0:
        raise ValueError("jacrev: `chunk_size` should be greater than 0.")

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        leaves, call, build = _split_arguments(func, argnums, args, kwargs)
        run = _Traced(call, leaves)
        output, aux = _outputs(run.result, "vjp", has_aux)
        roots, nest = flatten(output)
        extra, rebuild = flatten(aux)
        run.see([*roots, *extra])
        per_root = []
        for root in roots:
            shapes = [(*root.shape, *variable.shape) for variable in run.variables]
            if root.numel():
                pull = functools.partial(_rows_of, run, root)
                rows = over_basis(pull, root, chunk_size)
                parts = [row.reshape(shape) for row, shape in zip(rows, shapes, strict=True)]
            else:
                made = zip(run.variables, shapes, strict=True)
                parts = [variable.detach().new_zeros(shape) for variable, shape in made]
            per_root.append(build(parts))
        jacobian = nest(per_root)
        return (jacobian, rebuild([run.plain(e) for e in extra])) if has_aux else jacobian

    return wrapped


def _rows_of(run: _Traced, root: Tensor, cotangent: Tensor) -> list[Any]:
    return run.pull([root], [cotangent])


def jacfwd(
    func: Callable[..., Any],
    argnums: Any = 0,
    has_aux: bool = False,
    *,
    randomness: str = "error",
) -> Callable[..., Any]:
    """A function that gives the Jacobian by forward mode, all columns at once.

    The function is run once, so `randomness="same"` is how it draws in any case.
    """
    if randomness == "different":
        raise NotImplementedError("func.jacfwd: randomness='different' is not supported yet")

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        leaves, call, build = _split_arguments(func, argnums, args, kwargs)
        make = functools.partial(_Traced, call, leaves)
        run = without_draws(make) if randomness == "error" else make()
        output, aux = _outputs(run.result, "jvp", has_aux)
        roots, nest = flatten(output)
        extra, rebuild = flatten(aux)
        run.see([*roots, *extra])
        parts: list[list[Any]] = [[] for _ in roots]
        pushed = _Pushed(run, roots)
        for place, variable in enumerate(run.variables):
            shapes = [(*root.shape, *variable.shape) for root in roots]
            if variable.numel():
                along = functools.partial(_columns_of, pushed, place)
                columns = over_basis(along, variable)
                made = [column.movedim(0, -1) for column in columns]
            else:
                made = [root.detach().new_zeros(0) for root in roots]
            for part, column, shape in zip(parts, made, shapes, strict=True):
                part.append(column.reshape(shape))
        result = nest([build(part) for part in parts])
        return (result, rebuild([run.plain(e) for e in extra])) if has_aux else result

    return wrapped


def _columns_of(pushed: _Pushed, place: int, tangent: Tensor) -> list[Any]:
    """The derivatives of the roots along a tangent of one variable."""
    tangents = [zeros_like(v.detach()) for v in pushed.run.variables]
    tangents[place] = tangent
    return pushed.along(tangents)


def hessian(func: Callable[..., Any], argnums: Any = 0) -> Callable[..., Any]:
    """A function that gives the second derivatives: the Jacobian of the gradient."""
    return jacfwd(jacrev(func, argnums), argnums)


def functionalize(func: Callable[..., Any], *, remove: str = "mutations") -> Callable[..., Any]:
    """`func`, whose programs are free of mutations as all recorded programs are; writes to its
    arguments stay. RuntimeError for another `remove` than "mutations" or "mutations_and_views".
    """
    if remove not in ("mutations", "mutations_and_views"):
        raise RuntimeError(
            f"functionalize(f, remove='mutations'): received invalid argument for remove={remove}."
            " Valid options are: 'mutations', 'mutations_and_views'"
        )

    @functools.wraps(func)
    def functional(*args: Any, **kwargs: Any) -> Any:
        return func(*args, **kwargs)

    return functional
