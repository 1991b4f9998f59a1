"""The main training steps of models.py and layers.py, written for JAX: jax.jit of the whole step.

    python bench/jax_steps.py [--cases steps/digits_mlp] [--threads 1]

bench/suite.py starts it with a Python that has JAX (`--jax`); by itself it prints a time a step. A
step is one call of the compiled function, whose parameters and optimizer state are donated, and the
loss as a number of Python. Initial values are random, not those of the other frameworks.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import sys
import time
from collections.abc import Callable
from typing import Any

Step = Callable[[], float]


def with_threads(count: int) -> None:
    """Before JAX is imported: its threads are as many as the CPUs that the process may use."""
    if count and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:count])


class Made:
    """Random arrays from one stream."""

    def __init__(self) -> None:
        import jax

        self.jax = jax
        self.key = jax.random.PRNGKey(0)

    def normal(self, *shape: int, scale: float = 1.0) -> Any:
        self.key, used = self.jax.random.split(self.key)
        return self.jax.random.normal(used, shape) * scale

    def integers(self, high: int, *shape: int) -> Any:
        self.key, used = self.jax.random.split(self.key)
        return self.jax.random.randint(used, shape, 0, high)

    def linear(self, inside: int, outside: int) -> dict[str, Any]:
        scale = 1 / math.sqrt(inside)
        return {"w": self.normal(inside, outside, scale=scale), "b": self.normal(outside) * 0}

    def norm(self, width: int) -> dict[str, Any]:
        jnp = self.jax.numpy
        return {"scale": jnp.ones(width), "shift": jnp.zeros(width)}


def dense(p: Any, x: Any) -> Any:
    return x @ p["w"] + p["b"]


def cross_entropy(jax: Any, scores: Any, y: Any) -> Any:
    logs = jax.nn.log_softmax(scores)
    return -jax.numpy.take_along_axis(logs, y[:, None], 1).mean()


def sgd(jax: Any, rate: float, momentum: float = 0.0) -> tuple[Any, Any]:
    """(initial state, update) of SGD."""
    tree = jax.tree_util.tree_map

    def first(p: Any) -> Any:
        return tree(jax.numpy.zeros_like, p) if momentum else ()

    def update(p: Any, g: Any, state: Any) -> Any:
        if not momentum:
            return tree(lambda a, b: a - rate * b, p, g), state
        state = tree(lambda v, b: momentum * v + b, state, g)
        return tree(lambda a, v: a - rate * v, p, state), state

    return first, update


def adam(jax: Any, rate: float, decay: float = 0.0) -> tuple[Any, Any]:
    """(initial state, update) of Adam, or AdamW with its weight decay."""
    tree, jnp = jax.tree_util.tree_map, jax.numpy

    def first(p: Any) -> Any:
        return tree(jnp.zeros_like, p), tree(jnp.zeros_like, p), jnp.zeros(())

    def update(p: Any, g: Any, state: Any) -> Any:
        m, v, t = state
        t = t + 1
        m = tree(lambda a, b: 0.9 * a + 0.1 * b, m, g)
        v = tree(lambda a, b: 0.999 * a + 0.001 * b * b, v, g)
        low, high = 1 - 0.9**t, 1 - 0.999**t

        def moved(a: Any, b: Any, c: Any) -> Any:
            return a * (1 - rate * decay) - rate * (b / low) / (jnp.sqrt(c / high) + 1e-8)

        return tree(moved, p, m, v), (m, v, t)

    return first, update


def training(
    jax: Any, loss: Callable[[Any, Any, Any], Any], p: Any, x: Any, y: Any, how: Any
) -> Step:
    """The step of a loss of (parameters, x, y)."""
    first, update = how

    def whole(p: Any, state: Any, x: Any, y: Any) -> Any:
        value, g = jax.value_and_grad(loss)(p, x, y)
        p, state = update(p, g, state)
        return p, state, value

    compiled = jax.jit(whole, donate_argnums=(0, 1))
    held = [p, first(p)]

    def step() -> float:
        held[0], held[1], value = compiled(*held, x, y)
        return float(value)

    return step


def linear(jax: Any, made: Made) -> Step:
    jnp = jax.numpy
    x, y = jnp.array([[1.0], [2.0], [3.0]]), jnp.array([[2.0], [4.0], [6.0]])
    return training(
        jax, lambda p, x, y: ((dense(p, x) - y) ** 2).mean(), made.linear(1, 1), x, y,
        sgd(jax, 0.01),
    )  # fmt: skip


def binary(jax: Any, chance: Any, y: Any) -> Any:
    jnp = jax.numpy
    return -(y * jnp.log(chance) + (1 - y) * jnp.log(1 - chance)).mean()


def small_mlp(jax: Any, made: Made) -> Step:
    p = [made.linear(*pair) for pair in ((8, 6), (6, 4), (4, 1))]

    def loss(p: Any, x: Any, y: Any) -> Any:
        x = jax.nn.relu(dense(p[1], jax.nn.relu(dense(p[0], x))))
        return binary(jax, jax.nn.sigmoid(dense(p[2], x)), y)

    y = (made.normal(32, 1) > 0).astype("float32")
    return training(jax, loss, p, made.normal(32, 8), y, sgd(jax, 0.1))


def batch_norm(jax: Any, p: Any, x: Any, axes: tuple[int, ...]) -> Any:
    mean, variance = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    return (x - mean) * jax.lax.rsqrt(variance + 1e-5) * p["scale"] + p["shift"]


def batchnorm_mlp(jax: Any, made: Made) -> Step:
    p = [made.linear(9, 16), made.norm(16), made.linear(16, 8), made.norm(8), made.linear(8, 1)]

    def loss(p: Any, x: Any, y: Any) -> Any:
        for k in (0, 2):
            x = jax.nn.elu(batch_norm(jax, p[k + 1], dense(p[k], x), (0,)))
        return binary(jax, jax.nn.sigmoid(dense(p[4], x)), y)

    y = (made.normal(32, 1) > 0).astype("float32")
    return training(jax, loss, p, made.normal(32, 9), y, adam(jax, 1e-3))


def digits_mlp(jax: Any, made: Made) -> Step:
    widths = [784, 512, 256, 128, 64, 10]
    p = [made.linear(*pair) for pair in itertools.pairwise(widths)]

    def loss(p: Any, x: Any, y: Any) -> Any:
        for layer in p[:-1]:
            x = jax.nn.relu(dense(layer, x))
        return cross_entropy(jax, dense(p[-1], x), y)

    x, y = made.normal(64, 784), made.integers(10, 64)
    return training(jax, loss, p, x, y, sgd(jax, 0.01, 0.5))


def conv(jax: Any, p: Any, x: Any, padding: int = 0) -> Any:
    """Images with the channels last, as XLA's CPU convolutions like them."""
    found = jax.lax.conv_general_dilated(
        x, p["w"], (1, 1), [(padding, padding)] * 2, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    return found + p["b"]


def pool(jax: Any, x: Any) -> Any:
    n, h, w, c = x.shape
    return x.reshape(n, h // 2, 2, w // 2, 2, c).max((2, 4))


def filters(made: Made, k: int, inside: int, outside: int) -> dict[str, Any]:
    scale = 1 / math.sqrt(inside * k * k)
    return {"w": made.normal(k, k, inside, outside, scale=scale), "b": made.normal(outside) * 0}


def digits_cnn(jax: Any, made: Made) -> Step:
    p = [filters(made, 5, 1, 10), filters(made, 5, 10, 20), made.linear(320, 10)]

    def loss(p: Any, x: Any, y: Any) -> Any:
        for layer in p[:2]:
            x = jax.nn.relu(pool(jax, conv(jax, layer, x)))
        return cross_entropy(jax, dense(p[2], x.reshape(len(x), -1)), y)

    x, y = made.normal(64, 28, 28, 1), made.integers(10, 64)
    return training(jax, loss, p, x, y, sgd(jax, 0.01, 0.5))


def cifar_cnn(jax: Any, made: Made) -> Step:
    p: list[Any] = []
    for inside, outside in ((3, 32), (32, 64), (64, 128)):
        p += [filters(made, 3, inside, outside), made.norm(outside)]
    p.append(made.linear(128 * 16, 10))

    def loss(p: Any, x: Any, y: Any) -> Any:
        for k in (0, 2, 4):
            x = batch_norm(jax, p[k + 1], conv(jax, p[k], x, 1), (0, 1, 2))
            x = pool(jax, jax.nn.relu(x))
        return cross_entropy(jax, dense(p[6], x.reshape(len(x), -1)), y)

    x, y = made.normal(64, 32, 32, 3), made.integers(10, 64)
    return training(jax, loss, p, x, y, adam(jax, 1e-3))


def lstm(jax: Any, made: Made) -> Step:
    jnp, width = jax.numpy, 128
    p = {
        "in": made.linear(width, 4 * width),
        "state": made.linear(width, 4 * width),
        "head": made.linear(width, 10),
    }

    def loss(p: Any, x: Any, y: Any) -> Any:
        def cell(state: Any, share: Any) -> Any:
            h, c = state
            i, f, g, o = jnp.split(share + dense(p["state"], h), 4, axis=1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            return (jax.nn.sigmoid(o) * jnp.tanh(c), c), None

        zero = jnp.zeros((x.shape[0], width))
        shares = dense(p["in"], x).transpose(1, 0, 2)
        (h, _), _ = jax.lax.scan(cell, (zero, zero), shares)
        return cross_entropy(jax, dense(p["head"], h), y)

    x, y = made.normal(32, 50, width), made.integers(10, 32)
    return training(jax, loss, p, x, y, adam(jax, 1e-3))


def layer_norm(jax: Any, p: Any, x: Any) -> Any:
    mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - mean) * jax.lax.rsqrt(variance + 1e-5) * p["scale"] + p["shift"]


def transformer(layers: int = 4, batch: int = 12, length: int = 64) -> Callable[[Any, Made], Step]:
    """As layers.transformer: 128 wide, 4 heads, inner width 512, 64 symbols, GELU; AdamW."""

    def build(jax: Any, made: Made) -> Step:
        jnp, width = jax.numpy, 128
        blocks = [
            {
                "first": made.norm(width),
                "joint": made.linear(width, 3 * width),
                "out": made.linear(width, width),
                "second": made.norm(width),
                "wide": made.linear(width, 512),
                "narrow": made.linear(512, width),
            }
            for _ in range(layers)
        ]
        p = {
            "symbols": made.normal(64, width),
            "places": made.normal(length, width),
            "blocks": blocks,
            "norm": made.norm(width),
            "head": made.linear(width, 64),
        }
        mask = jnp.where(jnp.tril(jnp.ones((length, length))) > 0, 0.0, -jnp.inf)

        def attention(b: Any, x: Any) -> Any:
            joint = dense(b["joint"], x).reshape(batch, length, 3, 4, 32)
            q, k, v = (joint[:, :, n].transpose(0, 2, 1, 3) for n in range(3))
            weights = jax.nn.softmax(q @ k.transpose(0, 1, 3, 2) / math.sqrt(32) + mask)
            return dense(b["out"], (weights @ v).transpose(0, 2, 1, 3).reshape(x.shape))

        def loss(p: Any, tokens: Any, y: Any) -> Any:
            x = p["symbols"][tokens] + p["places"]
            for b in p["blocks"]:
                x = x + attention(b, layer_norm(jax, b["first"], x))
                inner = jax.nn.gelu(dense(b["wide"], layer_norm(jax, b["second"], x)), False)
                x = x + dense(b["narrow"], inner)
            scores = dense(p["head"], layer_norm(jax, p["norm"], x))
            return cross_entropy(jax, scores.reshape(-1, 64), y)

        x, y = made.integers(64, batch, length), made.integers(64, batch * length)
        return training(jax, loss, p, x, y, adam(jax, 3e-4, 0.01))

    return build


def forward(function: Callable[..., Any], count: int) -> Callable[[Any, Made], Step]:
    """A case of elementwise.py; the results of earlier steps are dropped."""

    def build(jax: Any, made: Made) -> Step:
        size = int(float(os.environ.get("FLAMBEAU_BENCH_MEGABYTES", "100")) * 1e6) // 4
        operands = [made.normal(size) ** 2 + 0.5 for _ in range(count)]
        compiled = jax.jit(lambda *given: function(jax, *given))

        def step() -> float:
            result = compiled(*operands).block_until_ready()
            return 0.0 if result.ndim else float(result)

        return step

    return build


CASES: dict[str, Callable[[Any, Made], Step]] = {
    "steps/linear": linear,
    "steps/small_mlp": small_mlp,
    "steps/batchnorm_mlp": batchnorm_mlp,
    "steps/digits_mlp": digits_mlp,
    "steps/digits_cnn": digits_cnn,
    "vision/cifar_cnn": cifar_cnn,
    "layers/lstm": lstm,
    "layers/transformer": transformer(),
    "elementwise/add": forward(lambda jax, a, b: a + b, 2),
    "elementwise/exp": forward(lambda jax, a: jax.numpy.exp(a), 1),
    "elementwise/sum": forward(lambda jax, a: a.sum(), 1),
    "elementwise/chain_sum": forward(lambda jax, a, b, c: jax.nn.relu(a * b + c).sum(), 3),
    "elementwise/chain_exp": forward(
        lambda jax, a, b, c: jax.nn.sigmoid(a) * b + jax.numpy.exp(c), 3
    ),
}


def serve(threads: int) -> None:
    """Answers the requests that steps.Framework writes."""
    with_threads(threads)
    import jax

    steps: dict[str, Step] = {}
    for line in sys.stdin:
        request = json.loads(line)
        case = request["case"]
        try:
            if case not in CASES:
                raise NotImplementedError(f"no JAX version of {case}")
            if case not in steps:
                steps[case] = CASES[case](jax, Made())
            began = time.perf_counter()
            for _ in range(request["count"]):
                loss = steps[case]()
            spent = (time.perf_counter() - began) / request["count"]
            answer: dict[str, Any] = {"seconds": spent, "loss": loss}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--cases", default=",".join(CASES))
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.serve:
        serve(chosen.threads)
        return
    with_threads(chosen.threads)
    import jax

    for name in chosen.cases.split(","):
        step = CASES[name](jax, Made())
        losses = [step() for _ in range(5)]
        began, count = time.perf_counter(), 0
        while time.perf_counter() - began < 0.5:
            step()
            count += 1
        spent = (time.perf_counter() - began) / count
        print(f"{name:28} {spent * 1e6:10.1f} us   losses {losses[0]:.4f} {losses[-1]:.4f}")


if __name__ == "__main__":
    main()
