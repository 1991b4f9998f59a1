"""Random tensors: PyTorch's CPU streams, recorded like every other op.

A generator's state is a tensor that draws overwrite. So `manual_seed(0); rand(3)` inside a training
step is part of its program, and the order of draws is the order of events.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from flambeau.core import dtypes, random_streams
from flambeau.core.calls import refuse_misgiven
from flambeau.core.dtypes import DType
from flambeau.core.errors import not_a_tensor
from flambeau.core.shapes import (
    Shape,
    element_count,
    is_contiguous,
    is_dense,
    memory_order,
)
from flambeau.functional.generators import Generator, default_generator
from flambeau.functional.options import (
    checked_device,
    checked_dtype,
    checked_options,
    finish,
    given_size,
    not_implemented,
    shape_of,
)
from flambeau.ops import arithmetic as ar
from flambeau.ops import elementwise as el
from flambeau.ops import reduction as rd
from flambeau.ops import view
from flambeau.ops.randomness import random_advance, random_draw, require
from flambeau.ops.value import Value
from flambeau.record import recorder
from flambeau.record.events import RandomInplaceOp, RandomOp
from flambeau.tensor.recording import record
from flambeau.tensor.tensor import Tensor, from_array


def draw(
    state: Value, kind: str, count: int, parameters: tuple[tuple[str, Any], ...], *operands: Value
) -> tuple[Value, Value]:
    """`count` values of a kind (1-d) and the state after them."""
    name = random_streams.result_dtype(kind, **dict(parameters))
    attributes = {
        "kind": kind,
        "count": count,
        "parameters": parameters,
        "dtype": dtypes.BY_NAME[name],
    }
    if count == 0:
        return ar.full((0,), 0, dtypes.BY_NAME[name]), view.reshape(state, shape=state.shape)
    return random_draw(state, *operands, **attributes), random_advance(
        state, *operands, **attributes
    )


def _shaped(flat: Value, shape: Shape, dtype: DType) -> Value:
    return ar.cast(view.reshape(flat, shape=shape), dtype)


def _make(
    state: Value, kind: str, shape: Shape, dtype: DType, parameters: tuple[tuple[str, Any], ...]
) -> tuple[Value, Value]:
    flat, after = draw(state, kind, element_count(shape), parameters)
    return _shaped(flat, shape, dtype), after


def _fill(
    state: Value, meta: Any, kind: str, parameters: tuple[tuple[str, Any], ...]
) -> tuple[Value, Value]:
    """Values for an existing tensor, in the order of its memory."""
    flat, after = draw(state, kind, meta.numel, parameters)
    shape, strides = meta.shape, meta.strides
    if is_contiguous(shape, strides) or not is_dense(shape, strides):
        return _shaped(flat, tuple(shape), meta.dtype), after
    order = memory_order(shape, strides)
    value = view.reshape(flat, shape=tuple(shape[a] for a in order))
    back = tuple(order.index(a) for a in range(len(order)))
    return ar.cast(view.permute(value, order=back), meta.dtype), after


MAKE = RandomOp("random", _make)
FILL = RandomInplaceOp("random_", _fill)

_UNIFORM = {
    "float32": "uniform32",
    "float64": "uniform64",
    "float16": "uniform_float16",
    "bfloat16": "uniform_bfloat16",
}


def _generator(generator: Generator | None) -> Tensor:
    try:
        return (default_generator if generator is None else generator)._state
    except AttributeError:
        refuse_misgiven()
        raise


def make_random(
    kind: str, shape: Shape, dtype: DType, parameters: Any, generator: Generator | None
) -> Tensor:
    """A draw of a kind, whose parameters are a dictionary or its items."""
    if parameters.__class__ is dict:
        parameters = tuple(parameters.items())
    attributes = (kind, shape, dtype, parameters)
    return record(MAKE, (_generator(generator),), attributes)


def fill_random(
    self: Tensor, kind: str, parameters: dict[str, Any], generator: Generator | None
) -> Tensor:
    operands = (_generator(generator), self)
    shown = self._storage
    if shown is not None and shown.exposed and shown.still_exposed():
        recorder.write_exposed([shown], lambda: fill_random(self, kind, parameters, generator))
        return self
    attributes = (kind, tuple(parameters.items()))
    if recorder.known(FILL, operands, attributes) is None:
        recorder.advance(FILL, operands, attributes)
    return self


def _float_kind(dtype: DType, name: str) -> str:
    if not dtype.is_floating_point:
        if name in ("exponential", "cauchy"):
            given = dtype.scalar_name
            if name == "cauchy":
                given = dtypes.C_NAMES.get(dtype.name, dtype.name)
            raise RuntimeError(
                f"{name.capitalize()} distribution is a continuous probability distribution. "
                f"dtype must be a floating point but you specified {given}"
            )
        name += "_cpu" if name in ("log_normal", "geometric") else ""
        raise NotImplementedError(f"\"{name}\" not implemented for '{dtype.scalar_name}'")
    return dtype.name


def rand(
    *sizes: Any,
    size: Any = None,
    generator: Generator | None = None,
    out: Tensor | None = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """Uniform numbers in [0, 1)."""
    if device is not None:
        checked_device(device)
    kind, shape = _drawn_kind(dtype, out), shape_of(given_size(sizes, size), "rand")
    if kind.is_complex:
        made = uniform_(_blank(shape, kind), generator=generator)
        return finish(made, requires_grad, out)
    name = _UNIFORM[_float_kind(kind, "check_uniform_bounds")]
    return finish(make_random(name, shape, kind, {}, generator), requires_grad, out)


def _drawn_kind(dtype: Any, out: Tensor | None) -> DType:
    """The dtype of what is drawn: that of `out`, if none is given."""
    return checked_dtype(dtype) if dtype is not None or out is None else out.dtype


def _normal_parameters(
    dtype: DType, mean: float, std: float, contiguous: bool = True
) -> dict[str, Any]:
    return {"mean": float(mean), "std": float(std), "contiguous": contiguous}


def randn(
    *sizes: Any,
    size: Any = None,
    generator: Generator | None = None,
    out: Tensor | None = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """Normal numbers of mean 0 and standard deviation 1."""
    if device is not None:
        checked_device(device)
    kind, shape = _drawn_kind(dtype, out), shape_of(given_size(sizes, size), "randn")
    if kind.is_complex:
        part = kind.to_real()
        flat = make_random(
            f"normal_{part.name}",
            (*shape, 2),
            part,
            _normal_parameters(part, 0.0, 1 / math.sqrt(2)),
            generator,
        )
        from flambeau.functional.conversion import complex as make_complex

        return finish(make_complex(flat[..., 0], flat[..., 1]), requires_grad, out)
    made = make_random(*_standard_normal(kind, shape), generator=generator)
    return finish(made, requires_grad, out) if requires_grad or out is not None else made


@lru_cache(maxsize=256)
def _standard_normal(dtype: DType, shape: Shape) -> tuple[str, Shape, DType, Any]:
    """The kind of draw, shape, dtype and parameters of normal numbers."""
    name = f"normal_{_float_kind(dtype, 'normal_kernel_cpu')}"
    return name, shape, dtype, tuple(_normal_parameters(dtype, 0.0, 1.0).items())


def like(
    make: Callable[[Tensor], Tensor],
    input: Tensor,
    dtype: Any,
    layout: Any,
    device: Any,
    requires_grad: bool,
    memory_format: Any,
) -> Tensor:
    """What `make` fills new memory like that of `input` with."""
    from flambeau.functional.creation import empty_like

    if not isinstance(input, Tensor):
        raise not_a_tensor(sys._getframe(1).f_code.co_name, "input", 1, input)
    made = empty_like(input, dtype=dtype, layout=layout, device=device, memory_format=memory_format)
    return finish(make(made), requires_grad)


def rand_like(
    input: Tensor, *, generator: Generator | None = None, dtype: Any = None, layout: Any = None,
    device: Any = None, requires_grad: bool = False, pin_memory: bool = False,
    memory_format: Any = None,
) -> Tensor:  # fmt: skip
    """Uniform numbers in [0, 1) in the shape and dtype of `input`."""
    options = dtype, layout, device, requires_grad, memory_format
    return like(lambda t: uniform_(t, generator=generator), input, *options)


def randn_like(
    input: Tensor, *, generator: Generator | None = None, dtype: Any = None, layout: Any = None,
    device: Any = None, requires_grad: bool = False, pin_memory: bool = False,
    memory_format: Any = None,
) -> Tensor:  # fmt: skip
    """Standard normal numbers in the shape and dtype of `input`."""
    kind = getattr(input, "dtype", None) if dtype is None else dtype
    options = dtype, layout, device, requires_grad, memory_format
    if getattr(kind, "is_complex", False):
        return like(lambda t: t.copy_(_complex_noise(t, generator)), input, *options)
    return like(lambda t: normal_(t, generator=generator), input, *options)


def _complex_noise(like: Tensor, generator: Generator | None) -> Tensor:
    return randn(*like.shape, dtype=like.dtype, generator=generator)


def uniform_(
    self: Tensor,
    from_: float = 0.0,
    to: float = 1.0,
    *,
    generator: Generator | None = None,
    **bounds: Any,
) -> Tensor:
    """Fills with uniform numbers in [from, to)."""
    low = _a_float("uniform_", "from", 1, bounds.pop("from", from_))
    high = _a_float("uniform_", "to", 2, to)
    no_more("uniform_", bounds)
    if self.dtype.is_complex:
        uniform_(_parts(self), low, high, generator=generator)
        return self
    kind = _UNIFORM[_float_kind(self.dtype, "check_uniform_bounds")]
    _check_bounds(self.dtype, low, high)
    return fill_random(self, kind, {"low": low, "high": high}, generator)


def _a_float(name: str, argument: str, position: int, given: Any) -> float:
    """A parameter; TypeError where it is no number."""
    if type(given) is complex or not hasattr(type(given), "__float__"):
        raise TypeError(
            f"{name}(): argument '{argument}' (position {position}) must be float, not "
            f"{type(given).__name__}"
        )
    return float(given)


def _parts(numbers: Tensor) -> Tensor:
    """The memory of complex numbers, as real ones."""
    from flambeau.functional.complex_numbers import view_as_real

    shown: Tensor = view_as_real(recorder.detach(numbers))
    return shown


def _check_bounds(dtype: DType, low: float, high: float) -> None:
    """RuntimeError where a dtype cannot hold bounds, or what lies between them."""
    most = dtypes.finfo(dtype).max
    for name, bound in (("from", low), ("to", high)):
        if not -most <= bound <= most:
            raise RuntimeError(f"{name} is out of bounds for {dtypes.C_NAMES[dtype.name]}")
    if low > high:
        raise RuntimeError(
            f"uniform_ expects to return a [from, to) range, but found from={low:g} > to={high:g}"
        )
    if high - low > most:
        raise RuntimeError(
            f"uniform_ expects to-from <= std::numeric_limits<{dtype.scalar_name}>::max(), but "
            f"found to={high:g} and from={low:g} which result in to-from to exceed the limit"
        )


def no_more(name: str, arguments: dict[str, Any]) -> None:
    if arguments:
        raise TypeError(f"{name}() got an unexpected keyword argument '{next(iter(arguments))}'")


def normal_(
    self: Tensor, mean: float = 0.0, std: float = 1.0, *, generator: Generator | None = None
) -> Tensor:
    """Fills with normal numbers."""
    mean, std = _a_float("normal_", "mean", 1, mean), _a_float("normal_", "std", 2, std)
    random_streams.check_parameters("normal", std=std)
    if self.dtype.is_complex:  # (std is that of both parts together)
        normal_(_parts(self), mean, std / math.sqrt(2), generator=generator)
        return self
    kind = f"normal_{_float_kind(self.dtype, 'normal_kernel_cpu')}"
    return fill_random(
        self, kind, _normal_parameters(self.dtype, mean, std, self.is_contiguous()), generator
    )


def bernoulli_(self: Tensor, p: Any = 0.5, *, generator: Generator | None = None) -> Tensor:
    """Fills with ones of probability p (a number, or a tensor of probabilities) and zeros."""
    if isinstance(p, Tensor):
        from flambeau.functional.inplace import copy_

        if self.dtype.is_complex:
            raise not_implemented("bernoulli_tensor_cpu_self_", self.dtype)
        return copy_(self, _bernoulli_of(p.expand(self.shape), generator))
    random_streams.check_parameters("bernoulli", p=p)
    if self.dtype.is_complex:
        raise not_implemented("bernoulli_scalar_cpu_", self.dtype)
    return fill_random(self, "bernoulli", {"p": float(p)}, generator)


NO_PROBABILITY = (
    "Expected p_in >= 0 && p_in <= 1 to be true, but got false.  (Could this error message be "
    "improved?  If so, please report an enhancement request to PyTorch.)"
)


def _bernoulli_probabilities(state: Value, p: Value) -> tuple[Value, Value]:
    wide = p.dtype is dtypes.float64
    flat, after = draw(state, "uniform64" if wide else "uniform32", p.size, ())
    compared = p if wide else ar.cast(p, dtypes.float32)
    drawn = ar.cast(el.lt(view.reshape(flat, shape=p.shape), compared), p.dtype)
    inside = ar.logical_and(ar.ge(p, 0), ar.le(p, 1))
    outside = ar.cast(ar.logical_not(inside), dtypes.int64)
    count = rd.sum_(outside, axes=tuple(range(p.ndim)))
    return require(drawn, ar.eq(count, 0), error=("RuntimeError", NO_PROBABILITY)), after


BERNOULLI = RandomOp(
    "bernoulli", lambda state, p: _bernoulli_probabilities(state, p), "BernoulliBackward0"
)


def _without_slope(drawn: Tensor, *parameters: Any) -> Tensor:
    """The draw as PyTorch has it: the parameters' gradients exist and are zero."""
    for given in parameters:
        if isinstance(given, Tensor) and given.requires_grad and recorder.LOCAL.grad_mode:
            drawn = drawn + given.sign() * 0
    return drawn


def _bernoulli_of(p: Tensor, generator: Generator | None) -> Tensor:
    if not p.dtype.is_floating_point:
        raise not_implemented("bernoulli_tensor_cpu_p_", p.dtype)
    drawn: Tensor = record(BERNOULLI, (_generator(generator), recorder.detach(p)))
    return _without_slope(drawn, p)


def bernoulli(
    input: Tensor, p: Any = None, *, generator: Generator | None = None, out: Tensor | None = None
) -> Tensor:
    """Ones with the probabilities that `input` holds, zeros elsewhere."""
    try:
        if p is not None:
            from flambeau.functional.creation import empty_like

            return finish(bernoulli_(empty_like(input), p, generator=generator), False, out)
        if input.dtype.is_complex:
            raise not_implemented("bernoulli_tensor_cpu_self_", input.dtype)
        return finish(_bernoulli_of(input, generator), False, out, (input,))
    except Exception:
        refuse_misgiven()
        raise


def _filling(kind: str, *names: str) -> Callable[..., Tensor]:
    def fill(self: Tensor, *args: Any, generator: Generator | None = None, **named: Any) -> Tensor:
        if len(args) > len(names):
            refuse_misgiven()
        parameters = dict(FILL_DEFAULTS[kind])
        given = dict(zip(names, args, strict=False)) | named
        for name, value in given.items():
            if name not in names:
                no_more(kind + "_", {name: value})
            place = names.index(name) + 1
            parameters[name] = _a_float(kind + "_", name, place, value)
        random_streams.check_parameters(kind, **parameters)
        actual = {PARAMETER_NAMES.get(name, name): value for name, value in parameters.items()}
        integers = kind == "geometric" and self.dtype.kind in "iu"
        dtype = "float64" if integers else _float_kind(self.dtype, kind)
        return fill_random(self, kind, {**actual, "dtype": dtype}, generator)

    fill.__name__ = kind + "_"
    fill.__doc__ = f"Fills with numbers of the {kind} distribution ({', '.join(names)})."
    return fill


PARAMETER_NAMES = {"lambd": "rate"}
FILL_DEFAULTS: dict[str, dict[str, float]] = {
    "exponential": {"lambd": 1.0},
    "cauchy": {"median": 0.0, "sigma": 1.0},
    "log_normal": {"mean": 1.0, "std": 2.0},
    "geometric": {},
}
exponential_ = _filling("exponential", "lambd")
cauchy_ = _filling("cauchy", "median", "sigma")
log_normal_ = _filling("log_normal", "mean", "std")
geometric_ = _filling("geometric", "p")


def normal(
    mean: Any,
    std: Any = 1.0,
    size: Any = None,
    *,
    generator: Generator | None = None,
    out: Tensor | None = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """Normal numbers of the given means and standard deviations."""
    checked_options(device, layout, pin_memory)
    if not isinstance(mean, Tensor) and not isinstance(std, Tensor):
        kind, shape = _drawn_kind(dtype, out), shape_of((size,), "normal")
        mean, std = _a_float("normal", "mean", 1, mean), _a_float("normal", "std", 2, std)
        random_streams.check_parameters("normal", std=std)
        if kind.is_complex:
            drawn = normal_(_blank(shape, kind), mean, std, generator=generator)
            return finish(drawn, requires_grad, out)
        name = f"normal_{_float_kind(kind, 'normal_kernel_cpu')}"
        parameters = _normal_parameters(kind, mean, std)
        drawn = make_random(name, shape, kind, parameters, generator)
        return finish(drawn, requires_grad, out)
    if isinstance(std, Tensor) and std.is_complex():
        raise RuntimeError("normal expects standard deviation to be non-complex")
    if isinstance(std, Tensor) and not bool((std >= 0).all()):
        raise RuntimeError("normal expects all elements of std >= 0.0")
    kind = mean.dtype if isinstance(mean, Tensor) else std.dtype
    noise = _blank(tuple((mean + std).shape), kind)
    if kind.is_complex:
        noise = _complex_noise(noise, generator)
    else:
        normal_(noise, generator=generator)
    plain = [recorder.detach(v) if isinstance(v, Tensor) else v for v in (std, mean)]
    drawn = noise.mul_(plain[0]).add_(plain[1])
    return finish(_without_slope(drawn, mean, std), False, out, (mean, std))


def _blank(shape: Shape, kind: DType) -> Tensor:
    from flambeau.functional.creation import uninitialised

    return uninitialised(shape, kind)


CHOSEN_AT_ONCE = (dtypes.float32, dtypes.float64)


def multinomial(
    input: Tensor,
    num_samples: int,
    replacement: bool = False,
    *,
    generator: Generator | None = None,
    out: Tensor | None = None,
) -> Tensor:
    """Indices drawn by the weights in each row (weights need not sum to one)."""
    try:
        if not input.dtype.is_floating_point:
            raise RuntimeError(
                "multinomial only supports floating-point dtypes for input, got: "
                f"{input.dtype.scalar_name}"
            )
        if input.dim() not in (1, 2):
            raise RuntimeError("prob_dist must be 1 or 2 dim")
        if out is not None and out.dtype is not dtypes.int64:
            raise RuntimeError(f"multinomial expects Long tensor out, got: {out.dtype.scalar_name}")
        categories = input.shape[-1]
        if num_samples <= 0:
            raise RuntimeError("cannot sample n_sample <= 0 samples")
        if not replacement and num_samples > categories:
            raise RuntimeError(
                "cannot sample n_sample > prob_dist.size(-1) samples without replacement"
            )
        from flambeau.functional.drawing import NOTHING, REFUSED, chosen

        meta = input._meta
        several = replacement and num_samples > 1
        if not several and meta.numel and meta.steps is None and meta.dtype in CHOSEN_AT_ONCE:
            return finish(chosen(input, num_samples, generator), False, out)
        weights = recorder.detach(input)
        values = weights._values()
        if not np.isfinite(values).all() or (values < 0).any():
            raise RuntimeError(REFUSED)
        if (values.sum(-1) <= 0).any():
            raise RuntimeError(NOTHING)
        if several:
            state = default_generator if generator is None else generator
            rows = np.atleast_2d(values)
            drawn, after = random_streams.draw_and_advance(
                "multinomial", state._state._array(), num_samples, rows
            )
            state._state = from_array(after, dtypes.uint32)
            result = from_array(
                np.asarray(drawn).reshape(*input.shape[:-1], num_samples), dtypes.int64
            )
            return finish(result, False, out)
        from flambeau.functional.creation import empty_like
        from flambeau.functional.ordering import topk
        from flambeau.functional.reduction import argmax

        noise = exponential_(empty_like(weights), 1.0, generator=generator)
        scores = weights / noise
        if num_samples == 1:
            return finish(argmax(scores, -1, keepdim=True), False, out)
        return finish(topk(scores, num_samples, -1)[1], False, out)
    except Exception:
        refuse_misgiven()
        raise


def poisson(input: Tensor, generator: Generator | None = None) -> Tensor:
    """Poisson counts with the rates that `input` holds."""
    if not input.dtype.is_floating_point:
        raise not_implemented("poisson_cpu", input.dtype)
    state = default_generator if generator is None else generator
    rates = input._values()
    drawn, after = random_streams.draw_and_advance(
        "poisson", state._state._array(), rates.size, rates.ravel()
    )
    state._state = from_array(after, dtypes.uint32)
    return from_array(drawn.reshape(rates.shape), dtypes.float64).to(input.dtype)


METHODS: dict[str, Callable[..., Any]] = {
    "uniform_": uniform_,
    "normal_": normal_,
    "bernoulli_": bernoulli_,
    "bernoulli": bernoulli,
    "exponential_": exponential_,
    "cauchy_": cauchy_,
    "log_normal_": log_normal_,
    "geometric_": geometric_,
    "multinomial": multinomial,
}

# Names of the torch namespace.
__all__ = [
    "bernoulli", "multinomial", "normal", "poisson", "rand", "rand_like", "randn", "randn_like",
]  # fmt: skip
