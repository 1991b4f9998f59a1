"""Published weights and the register of models: torchvision's names for both."""

from __future__ import annotations

import fnmatch
import functools
import inspect
import os
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from types import ModuleType
from typing import Any, TypeVar
from urllib.error import URLError

import flambeau.nn as nn
from flambeau import hub
from flambeau.vision.models import presets
from flambeau.vision.models.published import BASE, IMAGENET, PUBLISHED, Row
from flambeau.vision.models.published_tasks import TASKS, TaskRow
from flambeau.vision.transforms.functional import InterpolationMode

M = TypeVar("M", bound=nn.Module)
_BUILDERS: dict[str, Callable[..., Any]] = {}
_WEIGHTS: dict[str, type[WeightsEnum]] = {}


class Meta(dict[str, Any]):
    """Facts about published weights. NotImplementedError for those that are not bundled."""

    def __missing__(self, key: str) -> Any:
        raise NotImplementedError(f"weights' meta[{key!r}] is not bundled; there are {list(self)}")


@dataclass(eq=False)
class Weights:
    """A file of parameters: its address, what its images go through, facts about it."""

    url: str
    transforms: Callable[..., Any]
    meta: dict[str, Any]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Weights) and (self.url, self.meta) == (other.url, other.meta)


class WeightsEnum(Enum):
    """The published weights of one model."""

    @classmethod
    def verify(cls, obj: Any) -> Any:
        """The member meant: one, its name or None. KeyError, TypeError where it is no such."""
        if isinstance(obj, str):
            return cls[obj.replace(cls.__name__ + ".", "")]
        if obj is not None and not isinstance(obj, cls):
            raise TypeError(
                f"Invalid Weight class provided; expected {cls.__name__} "
                f"but received {obj.__class__.__name__}."
            )
        return obj

    def get_state_dict(self, *args: Any, **kwargs: Any) -> Mapping[str, Any]:
        """The parameters, from the directory of downloads or the net. URLError without either.

        Arguments are those of torch.hub.load_state_dict_from_url after the address.
        """
        try:
            found: Mapping[str, Any] = hub.load_state_dict_from_url(self.url, *args, **kwargs)
        except URLError as error:
            kept = os.path.join(hub.get_dir(), "checkpoints", os.path.basename(self.url))
            raise URLError(
                f"{self}: {self.url} could not be fetched ({error.reason}); a file put at "
                f"{kept} is used without the net"
            ) from error
        return found

    @property
    def url(self) -> str:
        """Where the file is published."""
        return str(self.value.url)

    @property
    def transforms(self) -> Callable[..., Any]:
        """Makes what images go through before these weights see them."""
        made: Callable[..., Any] = self.value.transforms
        return made

    @property
    def meta(self) -> dict[str, Any]:
        """Facts: num_params, min_size."""
        facts: dict[str, Any] = self.value.meta
        return facts

    def __repr__(self) -> str:
        return f"{type(self).__name__}.{self.name}"

    __str__ = __repr__


def _weights(row: Row) -> Weights:
    file, parameters, least, crop, resized = row[1:6]
    preset: dict[str, Any] = {"crop_size": crop, "resize_size": resized}
    if len(row) > 6:
        preset["interpolation"] = InterpolationMode(row[6])
    preset["mean"], preset["std"] = row[7] if len(row) > 7 else IMAGENET
    meta = Meta(num_params=parameters, min_size=(least, least))
    return Weights(f"{BASE}{file}", functools.partial(presets.ImageClassification, **preset), meta)


def _task_weights(row: TaskRow) -> Weights:
    _, file, parameters, least, (preset, arguments) = row
    meta = Meta(num_params=parameters, min_size=(least, least))
    made = functools.partial(getattr(presets, preset), **arguments)
    return Weights(f"{BASE}{file}", made, meta)


def published(name: str) -> type[WeightsEnum]:
    """The enumeration of this name, for the module that calls."""
    if name in TASKS:
        rows = [(row[0], _task_weights(row)) for row in TASKS[name]]
        members = [*rows, ("DEFAULT", rows[-1][1])]
    else:
        rows = [(str(row[0]), _weights(row)) for row in PUBLISHED[name]]
        members = [*rows, ("DEFAULT", rows[0][1])]
    home = sys._getframe(1).f_globals["__name__"]
    make: Any = WeightsEnum
    made: type[WeightsEnum] = make(name, members, module=home, qualname=name)
    made.__doc__ = f"The published weights of {name.removesuffix('_Weights')}, by training."
    return made


# ---- builders ------------------------------------------------------------------------------------


def _positional(
    args: tuple[Any, ...], kwargs: dict[str, Any], known: tuple[str, ...]
) -> dict[str, Any]:
    """The old calls, weights and progress by position, in the words of the new ones."""
    names = known[: len(args)]
    if len(args) > len(known):
        raise TypeError(f"expected at most {len(known)} positional arguments, got {len(args)}")
    if not args:
        return kwargs
    if repeated := [name for name in names if name in kwargs]:
        raise TypeError(f"got multiple values for argument '{repeated[0]}'")
    told = " and ".join(f"'{name}'" for name in names)
    warnings.warn(
        f"Using {told} as positional parameter(s) is deprecated since 0.13 and may be removed in "
        "the future. Please use keyword parameter(s) instead.",
        stacklevel=3,
    )
    return {**kwargs, **dict(zip(names, args, strict=True))}


def _chosen(
    kind: type[WeightsEnum],
    first: str | None,
    kwargs: dict[str, Any],
    model: str,
    part: str = "",
    absent: str | None = None,
) -> Any:
    """The weights that a call asks for, also in the old way (pretrained=True); None for none.

    `part` is what follows the argument's name ("_backbone"), `absent` what no argument means.
    """
    name, old = f"weights{part}", f"pretrained{part}"
    weights = kwargs.pop(name, None if old in kwargs else absent)
    if old in kwargs:
        warnings.warn(
            f"The parameter '{old}' is deprecated since 0.13 and may be removed in the future, "
            f"please use '{name}' instead.",
            stacklevel=3,
        )
        weights = kwargs.pop(old)
    if weights is None or isinstance(weights, (str, WeightsEnum)):
        return kind.verify(weights)
    if weights and first is None:
        raise ValueError(f"No weights available for model {model}")
    member = kind[first] if weights and first is not None else None
    told = f"`{name}={member}`"
    if member is not None:
        told += (
            f". You can also use `{name}={kind.__name__}.DEFAULT` to get the most up-to-date "
            "weights"
        )
    warnings.warn(
        f"Arguments other than a weight enum or `None` for '{name}' are deprecated since 0.13 and "
        f"may be removed in the future. The current behavior is equivalent to passing {told}.",
        stacklevel=3,
    )
    return member


def fix(kwargs: dict[str, Any], name: str, value: Any) -> None:
    """An argument that the weights decide. ValueError where the call says otherwise."""
    if kwargs.setdefault(name, value) != value:
        raise ValueError(
            f"The parameter '{name}' expected value {value} but got {kwargs[name]} instead."
        )


def load(model: nn.Module, weights: WeightsEnum, progress: bool) -> None:
    """Published parameters into a model, with the file's checksum."""
    model.load_state_dict(weights.get_state_dict(progress=progress, check_hash=True))


Load = Callable[[Any, WeightsEnum, bool], None]


def builder(
    kind: type[WeightsEnum],
    loaded: Load = load,
    prepared: Callable[[WeightsEnum, dict[str, Any]], None] | None = None,
    first: str | None = "IMAGENET1K_V1",
    classes: int = 1000,
) -> Callable[[Callable[..., M]], Callable[..., M]]:
    """Registers a function that makes a model, and gives it `weights` and `progress`.

    `prepared` changes the arguments where weights are asked for, `loaded` reads them; `first` is
    what pretrained=True means; None: a ValueError. `classes` are those of the weights.
    """

    def wrap(make: Callable[..., M]) -> Callable[..., M]:
        @functools.wraps(make)
        def build(*args: Any, **kwargs: Any) -> M:
            kwargs = _positional(args, dict(kwargs), ("weights", "progress"))
            progress = kwargs.pop("progress", True)
            weights = _chosen(kind, first, kwargs, make.__name__)
            if weights is None:
                return make(**kwargs)
            fix(kwargs, "num_classes", classes)
            if prepared is not None:
                prepared(weights, kwargs)
            model = make(**kwargs)
            loaded(model, weights, progress)
            return model

        _sign(build, [("weights", None, kind), ("progress", True, bool)])
        _WEIGHTS[make.__name__] = kind
        return register_model()(build)

    return wrap


def _sign(build: Any, arguments: list[tuple[str, Any, Any]]) -> None:
    keyword = inspect.Parameter.KEYWORD_ONLY
    told = [inspect.Parameter(n, keyword, default=v, annotation=kind) for n, v, kind in arguments]
    told.append(inspect.Parameter("kwargs", inspect.Parameter.VAR_KEYWORD))
    build.__signature__ = inspect.Signature(told)


@dataclass(frozen=True)
class Ask:
    """What a call asks of a model on a backbone: published weights of either, or None."""

    weights: WeightsEnum | None
    backbone: WeightsEnum | None
    progress: bool
    classes: int

    @property
    def trained(self) -> bool:
        """Whether the backbone does not begin with random weights."""
        return self.weights is not None or self.backbone is not None


def builder_on(
    kind: type[WeightsEnum],
    backbone: type[WeightsEnum],
    first: str,
    classes: int,
    loaded: Load = load,
    first_backbone: str = "IMAGENET1K_V1",
    backed: bool = True,
) -> Callable[[Callable[..., M]], Callable[..., M]]:
    """As builder, of models on a backbone, which has published weights of its own.

    The function is called with an Ask and the other arguments. Without weights of its own a model
    begins with those of its backbone, unless weights_backbone says None (as without backed).
    """
    known = ("weights", "progress", "num_classes", "weights_backbone")

    def wrap(make: Callable[..., M]) -> Callable[..., M]:
        @functools.wraps(make)
        def build(*args: Any, **kwargs: Any) -> M:
            kwargs = _positional(args, dict(kwargs), known)
            progress, name = kwargs.pop("progress", True), make.__name__
            weights = _chosen(kind, first, kwargs, name)
            absent = first_backbone if backed else None
            inner = _chosen(backbone, first_backbone, kwargs, name, "_backbone", absent)
            count = kwargs.pop("num_classes", None)
            if weights is None:
                return make(Ask(None, inner, progress, classes if count is None else count), kwargs)
            fix({} if count is None else {"num_classes": count}, "num_classes", classes)
            model = make(Ask(weights, None, progress, classes), kwargs)
            loaded(model, weights, progress)
            return model

        default = backbone[first_backbone] if backed else None
        values = (None, True, None, default)
        _sign(build, list(zip(known, values, (kind, bool, int, backbone), strict=True)))
        _WEIGHTS[make.__name__] = kind
        return register_model()(build)

    return wrap


# ---- the register --------------------------------------------------------------------------------


def register_model(
    name: str | None = None,
) -> Callable[[Callable[..., M]], Callable[..., M]]:
    """A decorator that enters a builder. ValueError where the name is taken."""

    def enter(make: Callable[..., M]) -> Callable[..., M]:
        key = make.__name__ if name is None else name
        if key in _BUILDERS:
            raise ValueError(f"An entry is already registered under the name '{key}'.")
        _BUILDERS[key] = make
        return make

    return enter


def get_model_builder(name: str) -> Callable[..., nn.Module]:
    """The function that makes a model. ValueError for unknown names."""
    try:
        return _BUILDERS[name.lower()]
    except KeyError:
        raise ValueError(f"Unknown model {name}") from None


def get_model(name: str, **config: Any) -> nn.Module:
    """A model by its name, with its builder's arguments. ValueError for unknown names."""
    return get_model_builder(name)(**config)


def get_model_weights(name: Callable[..., Any] | str) -> type[WeightsEnum]:
    """The published weights of a model, by its name or its builder. ValueError if unknown."""
    key = (name if isinstance(name, str) else name.__name__).lower()
    if key not in _WEIGHTS:
        raise ValueError(f"Unknown model {name}")
    return _WEIGHTS[key]


def get_weight(name: str) -> WeightsEnum:
    """Weights by their whole name, as "ResNet50_Weights.IMAGENET1K_V2". ValueError if unknown."""
    parts = name.split(".")
    if len(parts) != 2:
        raise ValueError(f"Invalid weight name provided: '{name}'.")
    for kind in _WEIGHTS.values():
        if kind.__name__ == parts[0]:
            return kind[parts[1]]
    raise ValueError(f"The weight enum '{parts[0]}' for the specific method couldn't be retrieved.")


def list_models(
    module: ModuleType | None = None,
    include: Iterable[str] | str | None = None,
    exclude: Iterable[str] | str | None = None,
) -> list[str]:
    """The names of the models, those of a module or that match shell patterns, sorted."""
    names = set(_BUILDERS)
    if module is not None:
        home = module.__name__.rsplit(".", 1)[-1]
        names = {n for n in names if home in _BUILDERS[n].__module__.split(".")[-2:]}

    def matching(patterns: Iterable[str] | str) -> set[str]:
        listed = [patterns] if isinstance(patterns, str) else patterns
        return {n for pattern in listed for n in names if fnmatch.fnmatch(n, pattern)}

    chosen = names if not include else matching(include)
    return sorted(chosen - matching(exclude) if exclude else chosen)
