"""The two kinds of data pipes, and how functions become methods of them."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

from flambeau.utils.data.dataset import Dataset, IterableDataset


class _Chained:
    """What both kinds share: methods by registered names, state for pickling."""

    functions: ClassVar[dict[str, Callable[..., Any]]]
    getstate_hook: ClassVar[Any] = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)

    def __getattr__(self, name: str) -> Any:
        found = type(self).functions.get(name)
        if found is None:
            raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}")
        return functools.partial(found, self)

    @classmethod
    def register_function(cls, function_name: str, function: Callable[..., Any]) -> None:
        """Makes function(pipe, ...) a method of all pipes of this kind."""
        cls.functions[function_name] = function

    @classmethod
    def register_datapipe_as_function(
        cls, function_name: str, cls_to_register: Any, enable_df_api_tracing: bool = False
    ) -> None:
        """Makes the class a method: pipe.name(...) is class(pipe, ...). Exception where taken."""
        if function_name in cls.functions:
            raise Exception(
                f"Unable to add DataPipe function name {function_name} as it is already taken"
            )
        cls.functions[function_name] = cls_to_register

    def __getstate__(self) -> Any:
        state = self.__dict__
        if type(self).getstate_hook is not None:
            return type(self).getstate_hook(state)
        return state

    @classmethod
    def set_getstate_hook(cls, hook_fn: Any) -> None:
        """Says what is pickled of a pipe: hook_fn(its attributes)."""
        if cls.getstate_hook is not None and hook_fn is not None:
            raise RuntimeError("Attempt to override existing getstate_hook")
        cls.getstate_hook = hook_fn

    def __repr__(self) -> str:
        return type(self).__qualname__


class IterDataPipe(_Chained, IterableDataset[Any]):
    """A pipe that is iterated. Only its latest iterator may go on."""

    functions: ClassVar[dict[str, Callable[..., Any]]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        begin = cls.__dict__.get("__iter__")
        if begin is not None:
            type.__setattr__(cls, "__iter__", _single(begin))

    def reset(self) -> None:
        """Called when an iteration begins."""


def _single(begin: Callable[[Any], Iterator[Any]]) -> Callable[[Any], Iterator[Any]]:
    """An `__iter__` that resets the pipe first and ends iterators begun before."""

    @functools.wraps(begin)
    def call(self: Any) -> Iterator[Any]:
        number = self.__dict__["_iterations"] = self.__dict__.get("_iterations", 0) + 1
        self.reset()

        def elements() -> Iterator[Any]:
            for element in begin(self):
                if self.__dict__["_iterations"] != number:
                    raise RuntimeError(
                        "This iterator has been invalidated because another iterator has been "
                        f"created from the same IterDataPipe: {self!r}\nThis may be caused "
                        "multiple references to the same IterDataPipe. We recommend using "
                        "`.fork()` if that is necessary."
                    )
                yield element

        return elements()

    return call


class DFIterDataPipe(IterDataPipe):
    """A pipe of data frames."""


class MapDataPipe(_Chained, Dataset[Any]):
    """A pipe that is indexed."""

    functions: ClassVar[dict[str, Callable[..., Any]]] = {}


class DataChunk(list[Any]):
    """A batch of a pipe's elements."""

    def __init__(self, items: Any) -> None:
        super().__init__(items)
        self.items = items

    def as_str(self, indent: str = "") -> str:
        """The elements in brackets."""
        return indent + "[" + ", ".join(str(i) for i in iter(self)) + "]"

    def raw_iterator(self) -> Iterator[Any]:
        """The elements."""
        yield from self.items


class functional_datapipe:
    """Decorator: makes a class of pipes a method of all pipes of its kind.

    TypeError for other classes.
    """

    def __init__(self, name: str, enable_df_api_tracing: bool = False) -> None:
        self.name = name
        self.enable_df_api_tracing = enable_df_api_tracing

    def __call__(self, cls: Any) -> Any:
        if isinstance(cls, type) and issubclass(cls, IterDataPipe):
            IterDataPipe.register_datapipe_as_function(self.name, cls)
        elif isinstance(cls, type) and issubclass(cls, MapDataPipe):
            MapDataPipe.register_datapipe_as_function(self.name, cls)
        elif inspect.isfunction(cls):  # of an iterated pipe: it gives several
            IterDataPipe.register_function(self.name, cls)
        else:
            raise TypeError("`functional_datapipe` can only decorate IterDataPipe or MapDataPipe")
        return cls


_determinism = [False]


class guaranteed_datapipes_determinism:
    """Within, pipes that are not deterministic raise TypeError when they are made."""

    def __init__(self) -> None:
        self.before = _determinism[0]
        _determinism[0] = True

    def __enter__(self) -> None:
        _determinism[0] = True

    def __exit__(self, *_: object) -> None:
        _determinism[0] = self.before


class non_deterministic:
    """Decorator of pipes whose order may change: of a class, or by a function of its arguments."""

    def __init__(self, arg: Any) -> None:
        self.is_class = isinstance(arg, type)
        if self.is_class and not issubclass(arg, IterDataPipe):
            raise TypeError(
                f"Only `IterDataPipe` can be decorated with `non_deterministic`, but "
                f"{arg.__name__} is found"
            )
        self.cls = arg if self.is_class else None
        self.function = None if self.is_class else arg

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.cls is not None:
            if _determinism[0]:
                raise TypeError(
                    f"{self.cls.__name__} is non-deterministic, but you set "
                    "'guaranteed_datapipes_determinism'."
                )
            return self.cls(*args, **kwargs)
        kind = args[0]
        function = self.function

        @functools.wraps(kind, updated=())
        def make(*given: Any, **named: Any) -> Any:
            if function is not None and function(*given, **named) and _determinism[0]:
                raise TypeError(
                    f"{kind.__name__} is non-deterministic with the inputs, but you set "
                    "'guaranteed_datapipes_determinism'. You can turn off determinism for this "
                    "DataPipe if that is acceptable for your application"
                )
            return kind(*given, **named)

        return make


def argument_validation(f: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator of constructors: arguments annotated as pipes must be pipes (TypeError)."""
    signature = inspect.signature(f)

    @functools.wraps(f)
    def call(*args: Any, **kwargs: Any) -> Any:
        for name, value in signature.bind(*args, **kwargs).arguments.items():
            wanted = signature.parameters[name].annotation
            pipes = isinstance(wanted, type) and issubclass(wanted, (IterDataPipe, MapDataPipe))
            if pipes and not isinstance(value, wanted):
                raise TypeError(
                    f"Expected argument '{name}' as a {wanted}, but found {type(value)}"
                )
        return f(*args, **kwargs)

    return call


def runtime_validation(f: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator of `__iter__`: elements are passed on as they are, whatever their annotation."""
    return f


class runtime_validation_disabled:
    """A context in which elements are not compared with annotations: so it is everywhere."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass
