"""The regression metrics."""

from __future__ import annotations

from flambeau.metrics.regression.concordance import (
    ConcordanceCorrCoef,
)
from flambeau.metrics.regression.cosine_similarity import (
    CosineSimilarity,
)
from flambeau.metrics.regression.explained_variance import (
    ExplainedVariance,
)
from flambeau.metrics.regression.kendall import (
    KendallRankCorrCoef,
)
from flambeau.metrics.regression.kl_divergence import (
    KLDivergence,
)
from flambeau.metrics.regression.log_cosh import (
    LogCoshError,
)
from flambeau.metrics.regression.log_mse import (
    MeanSquaredLogError,
)
from flambeau.metrics.regression.mae import (
    MeanAbsoluteError,
)
from flambeau.metrics.regression.mape import (
    MeanAbsolutePercentageError,
)
from flambeau.metrics.regression.minkowski import (
    MinkowskiDistance,
)
from flambeau.metrics.regression.mse import (
    MeanSquaredError,
)
from flambeau.metrics.regression.pearson import (
    PearsonCorrCoef,
)
from flambeau.metrics.regression.r2 import (
    R2Score,
)
from flambeau.metrics.regression.rse import (
    RelativeSquaredError,
)
from flambeau.metrics.regression.spearman import (
    SpearmanCorrCoef,
)
from flambeau.metrics.regression.symmetric_mape import (
    SymmetricMeanAbsolutePercentageError,
)
from flambeau.metrics.regression.wmape import (
    WeightedMeanAbsolutePercentageError,
)

__all__ = [
    "ConcordanceCorrCoef",
    "CosineSimilarity",
    "ExplainedVariance",
    "KLDivergence",
    "KendallRankCorrCoef",
    "LogCoshError",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredError",
    "MeanSquaredLogError",
    "MinkowskiDistance",
    "PearsonCorrCoef",
    "R2Score",
    "RelativeSquaredError",
    "SpearmanCorrCoef",
    "SymmetricMeanAbsolutePercentageError",
    "WeightedMeanAbsolutePercentageError",
]
