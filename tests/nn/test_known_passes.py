"""A `Sequential` recorded again in one piece gives what its layers give, whatever was changed."""

from __future__ import annotations

import copy
import pickle
from contextlib import nullcontext
from typing import Any

import pytest

import flambeau as torch
import flambeau.nn as nn
import flambeau.nn.functional as F
from flambeau.nn.modules import repeated
from flambeau.record.options import OPTIONS


def model_of() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(6, 8),
        nn.BatchNorm1d(8),
        nn.ReLU(inplace=True),
        nn.Sequential(nn.Linear(8, 8), nn.ELU()),
        nn.Dropout(0.0).eval(),
        nn.Flatten(),
        nn.Linear(8, 3),
    )


class Changes:
    """What may happen between two steps; each leaves the model such that it can be trained."""

    def attribute(self, model, state):
        model[3][1].alpha = 0.25

    def momentum(self, model, state):
        model[1].momentum = 0.5

    def evaluation(self, model, state):
        model.eval()

    def hook(self, model, state):
        model[3][0].register_forward_hook(lambda m, args, out: out * 2)

    def global_hook(self, model, state):
        state["undo"] = nn.modules.module.register_module_forward_hook(
            lambda m, args, out: out * 1.5 if isinstance(m, nn.Linear) else None
        ).remove

    def function(self, model, state):
        known = F.elu
        calls = []

        def elu(x, *rest):
            calls.append(x)
            return known(x, *rest) * len(calls)

        F.elu = elu
        state["undo"] = lambda: setattr(F, "elu", known)

    def inner_function(self, model, state):
        known = F.dropout
        F.dropout = lambda x, *rest, **more: known(x, *rest, **more) * 3
        state["undo"] = lambda: setattr(F, "dropout", known)

    def method(self, model, state):
        known = nn.ELU.forward
        nn.ELU.forward = lambda self, x: known(self, x) * 4
        state["undo"] = lambda: setattr(nn.ELU, "forward", known)

    def own_method(self, model, state):
        model[3][1].forward = lambda x: x * 0.5

    def call(self, model, state):
        known = nn.Module.__call__

        def call(self, *args):
            out = known(self, *args)
            return out * 2 if isinstance(self, nn.Linear) else out

        nn.Module.__call__ = call
        state["undo"] = lambda: setattr(nn.Module, "__call__", known)

    def layer(self, model, state):
        model[3][1] = nn.Tanh()

    def more(self, model, state):
        model.append(nn.Sigmoid())

    def parameter(self, model, state):
        model[6].bias = nn.Parameter(torch.ones(3))

    def data(self, model, state):
        model[0].weight.data = model[0].weight.data * 2

    def shared(self, model, state):
        model[3][0].weight.data = model[3][0].weight.data.clone()
        model[1].weight.data = model[3][0].weight.data[0]

    def frozen(self, model, state):
        model[0].weight.requires_grad_(False)

    def seen_by_numpy(self, model, state):
        array = state["array"] = model[0].weight.detach().numpy()
        array[0] = 2.0

    def written(self, model, state):
        with torch.no_grad():
            model[6].weight.mul_(1.5)  # is part of the recording when the next step begins

    def loaded(self, model, state):
        model.load_state_dict({k: v.clone() + 1 for k, v in model.state_dict().items()})

    def other_length(self, model, state):
        state["x"] = torch.randn(5, 6)

    def part(self, model, state):
        state["x"] = state["x"][2:]

    def view_of_a_parameter(self, model, state):
        state["x"] = model[0].weight.detach()

    def numpy_input(self, model, state):
        state["array"] = state["x"].numpy()

    def computed_input(self, model, state):
        state["make"] = lambda x: x * 2

    def no_grad(self, model, state):
        state["mode"] = torch.no_grad

    def twice(self, model, state):
        state["make"] = lambda x: torch.cat([model(x), model(x)], 1)

    def autocast(self, model, state):
        state["mode"] = lambda: torch.autocast("cpu", torch.bfloat16)

    def double(self, model, state):
        model.double()
        state["x"] = state["x"].double()

    def input_with_history(self, model, state):
        state["x"] = torch.randn(7, 6, requires_grad=True) * 2
        state["x"].tolist()


CHANGES = sorted(name for name in vars(Changes) if not name.startswith("_"))


def trained(change: str, known: bool, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Losses and parameters of a training with a change in the middle."""
    monkeypatch.setattr(repeated, "ATTEMPTS", 32 if known else -1)
    monkeypatch.setattr(OPTIONS, "executor", "reference")  # the same bits, whatever has run before
    monkeypatch.setattr(nn.Module, "_hooked", False)  # stays so where a test has used global hooks
    model = model_of()
    torch.manual_seed(1)
    state: dict[str, Any] = {"x": torch.randn(7, 6), "mode": nullcontext, "make": lambda x: x}
    found: list[object] = []
    hits = []
    plain = repeated.Pass.repeat

    def repeat(self, rec, x):
        result = plain(self, rec, x)
        hits.append(result is not None)
        return result

    monkeypatch.setattr(repeated.Pass, "repeat", repeat)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.001, momentum=0.9)
    try:
        for number in range(12):
            if number == 6:
                assert any(hits) == known
                getattr(Changes(), change)(model, state)
            if "array" in state and number % 2:
                state["array"][1] = number / 8
            optimizer.zero_grad()
            with state["mode"]():
                x = state["make"](state["x"])
                out = model(x if x.shape[1] == 6 else x.repeat(1, 1)[:, :6])
            if out.requires_grad:
                out.float().square().sum().backward(retain_graph=True)
                optimizer.step()
            found.append(out.tolist())
    finally:
        state.get("undo", lambda: None)()
        monkeypatch.undo()
    found += [p.tolist() for p in model.state_dict().values()]
    return found


@pytest.mark.parametrize("change", CHANGES)
def test_a_known_pass_is_what_its_layers_do(change, monkeypatch):
    assert trained(change, True, monkeypatch) == trained(change, False, monkeypatch)


def test_copies_learn_anew():
    model = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
    x = torch.randn(2, 3)
    for _ in range(5):
        expected = model(x).tolist()
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model)), copy.copy(model)):
        with torch.no_grad():
            other[0].weight.zero_()
        for _ in range(5):
            found = other(x).tolist()
        assert found == [[max(b, 0.0) for b in other[0].bias.tolist()]] * 2
    assert model(x).tolist() == [[max(b, 0.0) for b in model[0].bias.tolist()]] * 2 != expected
