"""torch.nn.functional (being completed)."""

from flambeau.functional import activation, convolution, loss, normalisation, pooling, randomness
from flambeau.functional.shaping import pad

for _module in (activation, convolution, pooling, normalisation, loss):
    globals().update({n: v for n, v in vars(_module).items() if callable(v) and not n.startswith("_") and not n.isupper()})
dropout = randomness.dropout
