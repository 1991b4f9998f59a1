"""Recurrent layers: RNN, LSTM and GRU."""

from __future__ import annotations

import math
import numbers
import warnings
from typing import Any

from flambeau.functional.recurrent import GATES
from flambeau.functional.recurrent_layers import run_layers
from flambeau.nn import init
from flambeau.nn._torch import Parameter, Tensor, empty, zeros_recorded
from flambeau.nn.modules.module import Module
from flambeau.nn.modules.rnn_cells import GRUCell as GRUCell
from flambeau.nn.modules.rnn_cells import LSTMCell as LSTMCell
from flambeau.nn.modules.rnn_cells import RNNCell as RNNCell
from flambeau.nn.modules.rnn_cells import RNNCellBase as RNNCellBase
from flambeau.nn.utils.rnn import PackedSequence

__all__ = ["GRU", "LSTM", "RNN", "RNNBase"]

_NO_PROJECTION = "proj_size argument is only supported for LSTM, not RNN or GRU"


def apply_permutation(tensor: Tensor, permutation: Tensor, dim: int = 1) -> Tensor:
    """Return the tensor with `dim` in another order."""
    return tensor.index_select(dim, permutation)


class RNNBase(Module):
    """What RNN, LSTM and GRU share: weights, layers, directions, padding and packing."""

    mode: str

    def __init__(
        self,
        mode: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.mode = mode
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = float(dropout)
        self.bidirectional: Any = bidirectional
        self.proj_size = proj_size
        self._check_options(dropout)
        self._flat_weights_names: list[str] = []
        self._all_weights: list[list[str]] = []
        for layer in range(num_layers):
            for direction in range(2 if bidirectional else 1):
                self._add_weights(layer, direction, device, dtype)
        self.reset_parameters()

    def _check_options(self, dropout: Any) -> None:
        """ValueError or TypeError for sizes and options that cannot be."""
        if (
            isinstance(dropout, bool)
            or not isinstance(dropout, numbers.Number)
            or not 0 <= self.dropout <= 1
        ):
            raise ValueError(
                "dropout should be a number in range [0, 1] "
                "representing the probability of an element being zeroed"
            )
        if self.dropout > 0 and self.num_layers == 1:
            warnings.warn(
                "dropout option adds dropout after all but last recurrent layer, so non-zero "
                f"dropout expects num_layers greater than 1, but got dropout={dropout} and "
                f"num_layers={self.num_layers}",
                stacklevel=4,
            )
        for name in ("bias", "batch_first"):
            flag = getattr(self, name)
            if not isinstance(flag, bool):
                raise TypeError(f"{name} should be of type bool, got: {type(flag).__name__}")
        for name in ("input_size", "hidden_size"):
            size = getattr(self, name)
            if not isinstance(size, int):
                raise TypeError(f"{name} should be of type int, got: {type(size).__name__}")
            if size <= 0:
                raise ValueError(f"{name} must be greater than zero")
        if self.num_layers <= 0:
            raise ValueError("num_layers must be greater than zero")
        if self.proj_size < 0:
            raise ValueError(
                "proj_size should be a positive integer or zero to disable projections"
            )
        if self.proj_size >= self.hidden_size:
            raise ValueError("proj_size has to be smaller than hidden_size")
        if self.mode not in GATES:
            raise ValueError(f"Unrecognized RNN mode: {self.mode}")

    @property
    def _output_size(self) -> int:
        return self.proj_size or self.hidden_size

    @property
    def _directions(self) -> int:
        return 2 if self.bidirectional else 1

    def _add_weights(self, layer: int, direction: int, device: Any, dtype: Any) -> None:
        rows = GATES[self.mode] * self.hidden_size
        width = self._output_size * self._directions if layer else self.input_size
        shapes: dict[str, tuple[int, ...]] = {
            "weight_ih": (rows, width),
            "weight_hh": (rows, self._output_size),
        }
        if self.bias:
            shapes.update(bias_ih=(rows,), bias_hh=(rows,))
        if self.proj_size:
            shapes["weight_hr"] = (self.proj_size, self.hidden_size)
        names = []
        for name, shape in shapes.items():
            full = f"{name}_l{layer}{'_reverse' if direction else ''}"
            setattr(self, full, Parameter(empty(shape, device=device, dtype=dtype)))
            names.append(full)
        self._all_weights.append(names)
        self._flat_weights_names += names

    @property
    def _flat_weights(self) -> list[Any]:
        """The weights in order, as the attributes are now (a parametrisation may replace them)."""
        return [getattr(self, name, None) for name in self._flat_weights_names]

    @property
    def all_weights(self) -> list[list[Tensor]]:
        """The weights, a list for each layer and direction."""
        return [[getattr(self, name) for name in names] for names in self._all_weights]

    def flatten_parameters(self) -> None:
        """Do nothing: it is for a GPU library that wants all weights in one piece of memory."""

    def reset_parameters(self) -> None:
        """Draw all weights anew, uniform in +-1/sqrt(hidden_size)."""
        bound = 1.0 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    # Checks

    def check_input(self, input: Tensor, batch_sizes: Tensor | None) -> None:
        """ValueError or RuntimeError for an input of another dtype, rank or size."""
        weight = self._flat_weights[0]
        if input.dtype != weight.dtype:
            raise ValueError(
                f"RNN input dtype ({input.dtype}) does not match weight dtype ({weight.dtype}). "
                f"Convert input: input.to({weight.dtype}), or convert model: "
                f"model.to({input.dtype})"
            )
        expected = 3 if batch_sizes is None else 2
        if input.dim() != expected:
            raise RuntimeError(f"input must have {expected} dimensions, got {input.dim()}")
        if self.input_size != input.size(-1):
            raise RuntimeError(
                "input.size(-1) must be equal to input_size. "
                f"Expected {self.input_size}, got {input.size(-1)}"
            )

    def get_expected_hidden_size(
        self, input: Tensor, batch_sizes: Tensor | None
    ) -> tuple[int, int, int]:
        """Return the shape (layers * directions, batch, size) of a hidden state."""
        if batch_sizes is not None:
            batch = int(batch_sizes[0])
        else:
            batch = input.size(0) if self.batch_first else input.size(1)
        return self.num_layers * self._directions, batch, self._output_size

    def get_expected_cell_size(
        self, input: Tensor, batch_sizes: Tensor | None
    ) -> tuple[int, int, int]:
        """Return the shape (layers * directions, batch, hidden_size) of an LSTM's cell state."""
        *outer, _ = self.get_expected_hidden_size(input, batch_sizes)
        return outer[0], outer[1], self.hidden_size

    def check_hidden_size(
        self,
        hx: Tensor,
        expected_hidden_size: tuple[int, int, int],
        msg: str = "Expected hidden size {}, got {}",
    ) -> None:
        """RuntimeError for a hidden state of another shape."""
        if tuple(hx.shape) != tuple(expected_hidden_size):
            raise RuntimeError(msg.format(tuple(expected_hidden_size), list(hx.shape)))

    def check_forward_args(self, input: Tensor, hidden: Any, batch_sizes: Tensor | None) -> None:
        """Check the input and the hidden state."""
        self.check_input(input, batch_sizes)
        self.check_hidden_size(hidden, self.get_expected_hidden_size(input, batch_sizes))

    def permute_hidden(self, hx: Any, permutation: Tensor | None) -> Any:
        """Return the hidden state with the sequences in another order."""
        return hx if permutation is None else apply_permutation(hx, permutation)

    def _check_ranks(self, hx: Any, batched: bool) -> None:
        if batched and hx.dim() != 3:
            raise RuntimeError(
                f"For batched 3-D input, hx should also be 3-D but got {hx.dim()}-D tensor"
            )
        if not batched and hx.dim() != 2:
            raise RuntimeError(
                f"For unbatched 2-D input, hx should also be 2-D but got {hx.dim()}-D tensor"
            )

    def extra_repr(self) -> str:
        """Return the sizes; what has its default value is left out."""
        parts = [f"{self.input_size}, {self.hidden_size}"]
        defaults = {
            "proj_size": 0,
            "num_layers": 1,
            "bias": True,
            "batch_first": False,
            "dropout": 0,
            "bidirectional": False,
        }
        for name, usual in defaults.items():
            value = getattr(self, name)
            if value != usual:
                parts.append(f"{name}={value}")
        return ", ".join(parts)

    def _refuse_direction(self, input: Tensor, hx: Any) -> None:
        """What PyTorch's function says of a `bidirectional` that is no truth."""
        from flambeau.core.signatures import fault

        name, weights = self.mode.lower(), self._flat_weights
        options = (self.bias, self.num_layers, self.dropout, self.training, self.bidirectional)
        error = fault("f", name, (input, hx, weights, *options, self.batch_first), {})
        if error is not None:
            raise error

    # Forward

    _states = 1  # how many tensors the hidden state has

    def forward(self, input: Any, hx: Any = None) -> tuple[Any, Any]:
        """Return (output, hidden state) of [T, N, i], [N, T, i], [T, i] or a PackedSequence."""
        if isinstance(input, PackedSequence):
            return self._forward_packed(input, hx)
        if input.dim() not in (2, 3):
            what = "D tensor" if self.mode.startswith("RNN") else "D"
            raise ValueError(
                f"{self._get_name()}: Expected input to be 2D or 3D, got {input.dim()}{what} "
                "instead"
            )
        batched = input.dim() == 3
        if hx is not None:
            self._check_ranks(hx, batched)
        if not batched:
            input = input.unsqueeze(0 if self.batch_first else 1)
            hx = None if hx is None else self._each(hx, lambda h: h.unsqueeze(1))
        if hx is None:
            hx = self._zero_state(input, None)
        self.check_forward_args(input, hx, None)
        if self.bidirectional.__class__ is not bool:
            self._refuse_direction(input, hx)
        if self.batch_first:
            input = input.transpose(0, 1)
        steps, batch = input.shape[0], input.shape[1]
        if steps == 0:
            raise RuntimeError("Expected sequence length to be larger than 0 in RNN")
        rows = input.reshape(steps * batch, self.input_size)
        output, state = self._run(rows, (batch,) * steps, self._listed(hx))
        output = output.view(steps, batch, self._output_size * self._directions)
        if self.batch_first:
            output = output.transpose(0, 1)
        if not batched:
            output = output.squeeze(0 if self.batch_first else 1)
            state = [h.squeeze(1) for h in state]
        return output, self._bundled(state)

    def _forward_packed(self, input: PackedSequence, hx: Any) -> tuple[Any, Any]:
        data, batch_sizes, order, back = input
        if hx is None:
            hx = self._zero_state(data, batch_sizes)
        else:
            hx = self.permute_hidden(hx, order)
        self.check_forward_args(data, hx, batch_sizes)
        sizes = tuple(int(n) for n in batch_sizes.tolist())
        output, state = self._run(data, sizes, self._listed(hx))
        packed = PackedSequence(output, batch_sizes, order, back)
        return packed, self.permute_hidden(self._bundled(state), back)

    def _listed(self, hx: Any) -> list[Tensor]:
        return [hx]

    def _bundled(self, state: list[Tensor]) -> Any:
        return state[0]

    def _each(self, hx: Any, function: Any) -> Any:
        return self._bundled([function(h) for h in self._listed(hx)])

    def _zero_state(self, input: Tensor, batch_sizes: Tensor | None) -> Any:
        shape = self.get_expected_hidden_size(input, batch_sizes)
        return zeros_recorded(shape, input.dtype)

    def _run(
        self, rows: Tensor, sizes: tuple[int, ...], state: list[Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        """All layers over packed rows: (packed rows, the states after the last step)."""
        places = self.num_layers * self._directions
        weights = [self._weights_of(place) for place in range(places)]
        dropout = self.dropout if self.training else 0.0
        return run_layers(self.mode, rows, sizes, state, weights, self._directions, dropout)

    def _weights_of(self, place: int) -> tuple[Any, ...]:
        """(w_ih, w_hh, b_ih, b_hh, w_hr) of a layer and direction; None for what there is not."""
        weights = [getattr(self, name) for name in self._all_weights[place]]
        biases = weights[2:4] if self.bias else [None, None]
        return (*weights[:2], *biases, weights[-1] if self.proj_size else None)


class RNN(RNNBase):
    """h' = tanh (or relu) of W_ih x + b_ih + W_hh h + b_hh, over all steps of a sequence."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if "proj_size" in kwargs:
            raise ValueError(_NO_PROJECTION)
        if len(args) > 3:
            self.nonlinearity = args[3]
            args = args[:3] + args[4:]
        else:
            self.nonlinearity = kwargs.pop("nonlinearity", "tanh")
        if self.nonlinearity not in ("tanh", "relu"):
            raise ValueError(
                f"Unknown nonlinearity '{self.nonlinearity}'. Select from 'tanh' or 'relu'."
            )
        super().__init__(f"RNN_{self.nonlinearity.upper()}", *args, **kwargs)


class GRU(RNNBase):
    """A gated recurrent unit over all steps of a sequence."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if "proj_size" in kwargs:
            raise ValueError(_NO_PROJECTION)
        super().__init__("GRU", *args, **kwargs)


class LSTM(RNNBase):
    """A long short-term memory over all steps of a sequence; the hidden state is (h, c)."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__("LSTM", *args, **kwargs)

    def _listed(self, hx: Any) -> list[Tensor]:
        return [hx[0], hx[1]]

    def _bundled(self, state: list[Tensor]) -> Any:
        return state[0], state[1]

    def _zero_state(self, input: Tensor, batch_sizes: Tensor | None) -> Any:
        shapes = (
            self.get_expected_hidden_size(input, batch_sizes),
            self.get_expected_cell_size(input, batch_sizes),
        )
        return tuple(zeros_recorded(shape, input.dtype) for shape in shapes)

    def _check_ranks(self, hx: Any, batched: bool) -> None:
        ranks = f"({hx[0].dim()}-D, {hx[1].dim()}-D) tensors"
        if batched and (hx[0].dim() != 3 or hx[1].dim() != 3):
            raise RuntimeError(
                f"For batched 3-D input, hx and cx should also be 3-D but got {ranks}"
            )
        if not batched and (hx[0].dim() != 2 or hx[1].dim() != 2):
            raise RuntimeError(
                f"For unbatched 2-D input, hx and cx should also be 2-D but got {ranks}"
            )

    def check_forward_args(self, input: Tensor, hidden: Any, batch_sizes: Tensor | None) -> None:
        """Check the input and both parts of the hidden state."""
        self.check_input(input, batch_sizes)
        self.check_hidden_size(
            hidden[0],
            self.get_expected_hidden_size(input, batch_sizes),
            "Expected hidden[0] size {}, got {}",
        )
        self.check_hidden_size(
            hidden[1],
            self.get_expected_cell_size(input, batch_sizes),
            "Expected hidden[1] size {}, got {}",
        )

    def permute_hidden(self, hx: Any, permutation: Tensor | None) -> Any:
        """Return both parts of the hidden state with the sequences in another order."""
        if permutation is None:
            return hx
        return apply_permutation(hx[0], permutation), apply_permutation(hx[1], permutation)
