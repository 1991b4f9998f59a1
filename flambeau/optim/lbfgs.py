"""L-BFGS."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from flambeau.nn._torch import Tensor, cat, enable_grad, no_grad, zeros
from flambeau.optim.line_search import LineSearch, Point
from flambeau.optim.optimizer import Optimizer
from flambeau.optim.stepping import check_lr
from flambeau.record import recorder

# Changes that one program goes over: a longer history is the same program several times, and no
# other one whenever it has grown.
PIECE = 5
# What a step keeps for the next one, beside the counts.
_KEPT = ("d", "t", "old_dirs", "old_stps", "ro", "H_diag", "prev_flat_grad", "prev_loss")


def number(loss: Any) -> float:
    """What a closure has returned, as a number."""
    return float(loss.item() if isinstance(loss, Tensor) else loss)


class LBFGS(Optimizer):
    """Limited-memory BFGS (Nocedal, 1980), in one parameter group; `step` needs a closure.

    Several evaluations make one step: `max_iter` directions, `max_eval` evaluations at most.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        check_lr(lr)
        if max_eval is None:
            max_eval = max_iter * 5 // 4
        defaults = {
            "lr": lr,
            "max_iter": max_iter,
            "max_eval": max_eval,
            "tolerance_grad": tolerance_grad,
            "tolerance_change": tolerance_change,
            "history_size": history_size,
            "line_search_fn": line_search_fn,
        }
        super().__init__(params, defaults)
        if len(self.param_groups) != 1:
            raise ValueError("LBFGS doesn't support per-parameter options (parameter groups)")

    @property
    def _params(self) -> list[Tensor]:
        params: list[Tensor] = self.param_groups[0]["params"]
        return params

    def _real(self, tensor: Tensor) -> Tensor:
        from flambeau.functional.parts import view_as_real

        return view_as_real(tensor) if tensor.is_complex() else tensor

    def _flat_grad(self) -> Tensor:
        parts = []
        for param in self._params:
            shown = self._real(param)
            if param.grad is None:
                parts.append(zeros(shown.numel(), dtype=shown.dtype))
            else:
                parts.append(self._real(param.grad).reshape(-1))
        return cat(parts, 0)

    def _move(self, length: float, direction: Tensor) -> None:
        place = 0
        for param in self._params:
            shown = self._real(param)
            count = shown.numel()
            shown.add_(direction[place : place + count].view_as(shown), alpha=length)
            place += count

    def _search(
        self,
        closure: Callable[[], Any],
        direction: Tensor,
        start: Point,
        length: float,
        most: int,
    ) -> tuple[Point, int]:
        """The point that a line search finds, and its number of evaluations; moves nothing."""
        before = [param.clone() for param in self._params]

        def evaluate(t: float) -> Point:
            self._move(t, direction)
            loss = number(closure())
            grad = self._flat_grad()
            for param, value in zip(self._params, before):
                param.copy_(value)
            return Point(t, loss, grad, float(grad.dot(direction)))

        size = float(direction.abs().max())
        # The search has a tolerance of its own in PyTorch, whatever that of the optimiser.
        search = LineSearch(evaluate, start, size, 1e-9, most)
        return search.run(length), search.evaluations

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Minimise along several directions; return the loss at the start."""
        if closure is None:
            raise TypeError("LBFGS.step() missing 1 required positional argument: 'closure'")
        evaluate = closure

        def graded() -> Any:
            with enable_grad():
                return evaluate()

        with no_grad():
            loss = self._minimise(graded)
        recorder.end_step()
        return loss

    def _minimise(self, closure: Callable[[], Any]) -> Any:
        group = self.param_groups[0]
        if group["line_search_fn"] not in (None, "strong_wolfe"):
            raise RuntimeError("only 'strong_wolfe' is supported")
        # All state is that of the first parameter, as in PyTorch.
        state = self._state[self._params[0]]
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)
        original = closure()
        loss = number(original)
        state["func_evals"] += 1
        evaluations = 1
        grad = self._flat_grad()
        if float(grad.abs().max()) <= group["tolerance_grad"]:
            return original
        memory = {name: state.get(name) for name in _KEPT}
        for iteration in range(1, group["max_iter"] + 1):
            state["n_iter"] += 1
            direction = self._direction(state, memory, grad)
            previous = memory["prev_flat_grad"]
            memory["prev_flat_grad"] = grad.clone() if previous is None else previous.copy_(grad)
            memory["prev_loss"] = before = loss
            length = float(group["lr"])
            if state["n_iter"] == 1:
                length *= min(1.0, 1.0 / float(grad.abs().sum()))
            memory["t"] = length
            slope = float(grad.dot(direction))
            if slope > -group["tolerance_change"]:
                break
            last, used = iteration == group["max_iter"], 0
            if group["line_search_fn"] is not None:
                start = Point(0.0, loss, grad, slope)
                most = group["max_eval"] - evaluations
                found, used = self._search(closure, direction, start, length, most)
                loss, grad, length = found.loss, found.grad, found.t
                memory["t"] = length
                self._move(length, direction)
            else:
                self._move(length, direction)
                if not last:
                    loss, used = number(closure()), 1
                    grad = self._flat_grad()
            evaluations += used
            state["func_evals"] += used
            if last or evaluations >= group["max_eval"]:
                break
            if _converged(group, grad, direction, length, loss - before):
                break
        state.update(memory)
        return original

    def _direction(self, state: dict[str, Any], memory: dict[str, Any], grad: Tensor) -> Tensor:
        """The quasi-Newton direction at the gradient, after the memory took in the last step."""
        if state["n_iter"] == 1:
            direction = grad.neg()
            memory.update(d=direction, old_dirs=[], old_stps=[], ro=[], H_diag=1)
            return direction
        size = self.param_groups[0]["history_size"]
        changes, steps, inverses = memory["old_dirs"], memory["old_stps"], memory["ro"]
        change = grad.sub(memory["prev_flat_grad"])
        step = memory["d"].mul(memory["t"])
        product = change.dot(step)
        if float(product) > 1e-10:
            if len(changes) == size:
                for history in (changes, steps, inverses):
                    history.pop(0)
            changes.append(change)
            steps.append(step)
            inverses.append(1.0 / product)
            memory["H_diag"] = product / change.dot(change)
        shares = state.setdefault("al", [None] * size)
        direction = grad.neg()
        count = len(changes)
        for i in range(count - 1, -1, -1):
            shares[i] = steps[i].dot(direction) * inverses[i]
            direction = direction - changes[i] * shares[i]
            if (count - i) % PIECE == 0:
                recorder.flush()
        direction = direction.mul(memory["H_diag"])
        for i in range(count):
            back = changes[i].dot(direction) * inverses[i]
            direction = direction + steps[i] * (shares[i] - back)
            if i % PIECE == PIECE - 1:
                recorder.flush()
        memory["d"] = direction
        return direction


def _converged(
    group: dict[str, Any], grad: Tensor, direction: Tensor, length: float, change: float
) -> bool:
    """Whether the gradient, the step or the change of the loss is too small to go on."""
    return bool(
        float(grad.abs().max()) <= group["tolerance_grad"]
        or float(direction.mul(length).abs().max()) <= group["tolerance_change"]
        or abs(change) < group["tolerance_change"]
    )
