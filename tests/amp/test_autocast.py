"""Autocast beside PyTorch's on the CPU: the dtype of every result, gradients, nesting."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from beside_torch import LIBRARIES, array, dtype_name, given

import flambeau

pytestmark = pytest.mark.parity
DTYPES = ["bfloat16", "float16"]


def _indices(library: Any) -> Any:
    return library.tensor([1, 0, 2])


# (library, x, y, z): x, y are (3, 4) float32, z (3, 4) in the lower precision.
OPS: dict[str, Callable[[Any, Any, Any, Any], Any]] = {
    "matmul": lambda t, x, y, z: x @ y.T,
    "matmul of both": lambda t, x, y, z: x @ z.T,
    "matmul vector": lambda t, x, y, z: x @ y[0],
    "mm": lambda t, x, y, z: t.mm(x, y.T),
    "mv": lambda t, x, y, z: t.mv(x, y[0]),
    "bmm": lambda t, x, y, z: t.bmm(x[None], y.T[None]),
    "addmm": lambda t, x, y, z: t.addmm(x[:, :3], x, y.T),
    "baddbmm": lambda t, x, y, z: t.baddbmm(x[None, :, :3], x[None], y.T[None]),
    "einsum": lambda t, x, y, z: t.einsum("ij,kj->ik", x, y),
    "einsum of one": lambda t, x, y, z: t.einsum("ij->ji", x),
    "tensordot": lambda t, x, y, z: t.tensordot(x, y, dims=([1], [1])),
    "inner": lambda t, x, y, z: t.inner(x, y),
    "outer": lambda t, x, y, z: t.outer(x[0], y[0]),
    "dot": lambda t, x, y, z: t.dot(x[0], y[0]),
    "inner of vectors": lambda t, x, y, z: t.inner(x[0], y[0]),
    "linear": lambda t, x, y, z: t.nn.functional.linear(x, y),
    "linear with bias": lambda t, x, y, z: t.nn.functional.linear(x, y, x[:, 0]),
    "bilinear": lambda t, x, y, z: t.nn.functional.bilinear(x, y, t.ones(2, 4, 4)),
    "conv1d": lambda t, x, y, z: t.nn.functional.conv1d(x[None], y[None, :, :2]),
    "conv2d": lambda t, x, y, z: t.nn.functional.conv2d(x[None, None], y[None, None, :2, :2]),
    "conv_transpose1d": lambda t, x, y, z: t.nn.functional.conv_transpose1d(x[None], y[:, None]),
    "attention": lambda t, x, y, z: t.nn.functional.scaled_dot_product_attention(
        x[None], y[None], x[None]
    ),
    "prelu": lambda t, x, y, z: t.nn.functional.prelu(x, t.ones(1)),
    "relu": lambda t, x, y, z: t.relu(z),
    "softmax": lambda t, x, y, z: t.softmax(z, 1),
    "log_softmax": lambda t, x, y, z: t.log_softmax(z, 1),
    "gelu": lambda t, x, y, z: t.nn.functional.gelu(z),
    "layer_norm": lambda t, x, y, z: t.nn.functional.layer_norm(z, (4,)),
    "layer_norm single": lambda t, x, y, z: t.nn.functional.layer_norm(x, (4,)),
    "add": lambda t, x, y, z: x + z,
    "mul": lambda t, x, y, z: z * z,
    "sum": lambda t, x, y, z: z.sum(),
    "mean": lambda t, x, y, z: z.mean(1),
    "prod": lambda t, x, y, z: z.prod(),
    "exp": lambda t, x, y, z: z.exp(),
    "pow": lambda t, x, y, z: z**2,
    "norm": lambda t, x, y, z: z.norm(),
    "cat": lambda t, x, y, z: t.cat([x, z]),
    "cat lower": lambda t, x, y, z: t.cat([z, z]),
    "stack": lambda t, x, y, z: t.stack([z, x]),
    "trace": lambda t, x, y, z: t.trace(z),
    "cdist": lambda t, x, y, z: t.cdist(z, z),
    "mse_loss": lambda t, x, y, z: t.nn.functional.mse_loss(z, x),
    "l1_loss": lambda t, x, y, z: t.nn.functional.l1_loss(z, z),
    "smooth_l1_loss": lambda t, x, y, z: t.nn.functional.smooth_l1_loss(z, x),
    "huber_loss": lambda t, x, y, z: t.nn.functional.huber_loss(z, x),
    "cross_entropy": lambda t, x, y, z: t.nn.functional.cross_entropy(z, _indices(t)),
    "nll_loss": lambda t, x, y, z: t.nn.functional.nll_loss(z, _indices(t)),
    "kl_div": lambda t, x, y, z: t.nn.functional.kl_div(z, z.exp(), reduction="sum"),
    "bce": lambda t, x, y, z: t.nn.functional.binary_cross_entropy(z.sigmoid(), x.sigmoid()),
    "bce with logits": lambda t, x, y, z: t.nn.functional.binary_cross_entropy_with_logits(z, z),
    "poisson_nll_loss": lambda t, x, y, z: t.nn.functional.poisson_nll_loss(z, z.exp()),
    "soft_margin_loss": lambda t, x, y, z: t.nn.functional.soft_margin_loss(z, z.sign()),
    "hinge_embedding_loss": lambda t, x, y, z: t.nn.functional.hinge_embedding_loss(z, z.sign()),
    "cosine_similarity": lambda t, x, y, z: t.nn.functional.cosine_similarity(z, z),
    "embedding": lambda t, x, y, z: t.nn.functional.embedding(_indices(t), x),
    "max_pool1d": lambda t, x, y, z: t.nn.functional.max_pool1d(z[None], 2),
    "avg_pool1d": lambda t, x, y, z: t.nn.functional.avg_pool1d(z[None], 2),
    "double": lambda t, x, y, z: x.double() @ y.double().T,
    "in place": lambda t, x, y, z: x.clone().add_(z),
}


def _arguments(library: Any, dtype: str) -> list[Any]:
    generator = torch.Generator().manual_seed(0)
    x, y, z = (torch.randn(3, 4, generator=generator) for _ in range(3))
    lower = given(library, z).to(getattr(library, dtype))
    return [library, given(library, x), given(library, y), lower]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", OPS)
def test_dtype_of_every_result(name: str, dtype: str) -> None:
    results = []
    for library in LIBRARIES:
        arguments = _arguments(library, dtype)
        with library.autocast("cpu", dtype=getattr(library, dtype)):
            results.append(OPS[name](*arguments))
    assert dtype_name(results[0]) == dtype_name(results[1])
    mine, other = array(results[0]), array(results[1])
    assert mine == pytest.approx(other, rel=0.05, abs=0.1)


def _model(library: Any) -> tuple[Any, Any, Any]:
    generator = torch.Generator().manual_seed(1)
    x, y = torch.randn(8, 6, generator=generator), torch.randn(8, 3, generator=generator)
    model = library.nn.Sequential(
        library.nn.Linear(6, 16),
        library.nn.LayerNorm(16),
        library.nn.GELU(),
        library.nn.Linear(16, 3),
    )
    with library.no_grad():
        for p in model.parameters():
            p.copy_(given(library, torch.randn(tuple(p.shape), generator=generator) * 0.3))
    return model, given(library, x), given(library, y)


def test_training_under_autocast() -> None:
    curves = []
    for library in LIBRARIES:
        model, x, y = _model(library)
        optimizer = library.optim.SGD(model.parameters(), lr=0.05)
        losses = []
        for _ in range(10):
            optimizer.zero_grad()
            with library.autocast(device_type="cpu", dtype=library.bfloat16):
                out = model(x)
                loss = library.nn.functional.mse_loss(out, y)
            assert dtype_name(out) == "bfloat16"
            loss.backward()
            assert all(dtype_name(p.grad) == "float32" for p in model.parameters())
            optimizer.step()
            losses.append(loss.item())
        curves.append(losses)
    assert curves[0] == pytest.approx(curves[1], rel=0.03)
    assert curves[0][-1] < curves[0][0]


def test_nesting_decorator_and_state() -> None:
    seen = []
    for library in LIBRARIES:
        x = library.ones(2, 2)
        rows: list[Any] = [library.is_autocast_enabled("cpu")]

        @library.autocast("cpu")
        def product(x: Any) -> Any:
            return x @ x

        with library.autocast("cpu", dtype=library.float16):
            rows += [x @ x, library.is_autocast_enabled("cpu"), library.get_autocast_dtype("cpu")]
            with library.autocast("cpu", enabled=False):
                rows += [x @ x, library.is_autocast_enabled("cpu")]
            rows.append(x @ x)
            with library.amp.autocast("cpu", library.bfloat16), library.no_grad():
                rows.append(x @ x)
            rows.append(product(x))
        rows += [x @ x, product(x), library.get_autocast_dtype("cpu")]
        seen.append([dtype_name(r) if hasattr(r, "dtype") else str(r) for r in rows])
    assert seen[0] == seen[1]


def test_mistakes() -> None:
    for library in LIBRARIES:
        with pytest.raises(ValueError, match="Expected `device_type` of type `str`"):
            library.autocast(3)
        with pytest.raises(RuntimeError):
            library.autocast("nothing")
        with pytest.warns(UserWarning, match="the target dtype is not supported"):
            block = library.autocast("cpu", dtype=library.float32)
        with block:
            assert dtype_name(library.ones(2, 2) @ library.ones(2, 2)) == "float32"
        with pytest.warns(UserWarning, match="CUDA is not available"):
            library.autocast("cuda")
        with pytest.warns(UserWarning, match="CUDA is not available"):
            assert not library.amp.GradScaler().is_enabled()
        with pytest.warns(FutureWarning, match="deprecated"), warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            library.cuda.amp.autocast()
        with pytest.raises(TypeError, match="requires a callable"):
            library.autocast("cpu")(3)


def test_custom_function() -> None:
    def run(library: Any) -> list[Any]:
        seen: list[str] = []

        class Product(library.autograd.Function):  # type: ignore[misc]
            @staticmethod
            @library.amp.custom_fwd(device_type="cpu", cast_inputs=library.float32)
            def forward(ctx: Any, a: Any, b: Any) -> Any:
                ctx.save_for_backward(a, b)
                out = a @ b
                seen.append(dtype_name(out))
                return out

            @staticmethod
            @library.amp.custom_bwd(device_type="cpu")
            def backward(ctx: Any, grad: Any) -> Any:
                a, b = ctx.saved_tensors
                result = grad @ b.T
                seen.append(dtype_name(result))
                return result, a.T @ grad

        x = library.ones(2, 2, requires_grad=True)
        with library.autocast("cpu"):
            out = Product.apply(x, library.ones(2, 2))
        out.sum().backward()
        return [seen, dtype_name(out), array(x.grad).tolist()]

    assert run(flambeau) == run(torch)


def test_grad_scaler() -> None:
    curves = []
    for library in LIBRARIES:
        model, x, y = _model(library)
        optimizer = library.optim.SGD(model.parameters(), lr=0.05)
        scaler = library.amp.GradScaler("cpu", init_scale=2.0**10, growth_interval=2)
        rows = []
        for step in range(7):
            optimizer.zero_grad()
            loss = library.nn.functional.mse_loss(model(x), y)
            scaler.scale(loss).backward()
            if step == 3:
                next(iter(model.parameters())).grad[0, 0] = float("inf")
            if step % 2:
                scaler.unscale_(optimizer)
            scaler.step(optimizer)
            with pytest.raises(RuntimeError, match="already been called"):
                scaler.step(optimizer)
            scaler.update()
            rows += [loss.item(), scaler.get_scale()]
        restored = pickle.loads(pickle.dumps(scaler))
        assert restored.state_dict() == scaler.state_dict()
        curves.append((rows, scaler.state_dict()))
    assert curves[0][0] == pytest.approx(curves[1][0], rel=1e-4)
    assert curves[0][1] == curves[1][1]


def test_recordings_know_the_policy() -> None:
    x = flambeau.randn(4, 4)
    for _ in range(4):  # the same stream of ops with and without autocast
        plain = x @ x
        with flambeau.autocast("cpu"):
            lower = x @ x
        assert (dtype_name(plain), dtype_name(lower)) == ("float32", "bfloat16")
        assert plain.sum().item() == pytest.approx(lower.float().sum().item(), abs=0.5)
        with flambeau.autocast("cpu"):
            assert dtype_name(x @ x) == "bfloat16"
            assert (x @ x).float().sum().item() == pytest.approx(plain.sum().item(), abs=0.5)
            assert dtype_name(x @ x) == "bfloat16"
