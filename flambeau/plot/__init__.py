"""Pictures of training, models and their mistakes, by matplotlib (the extra `flambeau[plot]`).

Every function takes `ax`, the axes to draw into (by default new ones), and gives the axes it drew
into; data may be tensors, arrays or lists. Colours follow matplotlib's style, light or dark.
"""

from flambeau.plot.answers import confusion_matrix, decision_boundary, worst_errors
from flambeau.plot.functions import activations
from flambeau.plot.layers import feature_maps, filters, gradient_flow, weight_histograms
from flambeau.plot.surface import loss_surface, snapshot
from flambeau.plot.training import RangeTest, loss_curves, lr_find, range_test

__all__ = [
    "RangeTest",
    "activations",
    "confusion_matrix",
    "decision_boundary",
    "feature_maps",
    "filters",
    "gradient_flow",
    "loss_curves",
    "loss_surface",
    "lr_find",
    "range_test",
    "snapshot",
    "weight_histograms",
    "worst_errors",
]
