"""The concordance correlation of Lin."""

from __future__ import annotations

from flambeau.metrics._torch import Tensor
from flambeau.metrics.functional.regression.concordance import _concordance_corrcoef_compute
from flambeau.metrics.regression.pearson import PearsonCorrCoef


class ConcordanceCorrCoef(PearsonCorrCoef):
    """Lin's concordance correlation of each output; options as for `PearsonCorrCoef`."""

    higher_is_better = True

    def compute(self) -> Tensor:
        """The value of all batches."""
        return _concordance_corrcoef_compute(self._moments())
