"""The functions of regression."""

from __future__ import annotations

from flambeau.metrics.functional.regression.concordance import (
    concordance_corrcoef,
)
from flambeau.metrics.functional.regression.cosine_similarity import (
    cosine_similarity,
)
from flambeau.metrics.functional.regression.explained_variance import (
    explained_variance,
)
from flambeau.metrics.functional.regression.kendall import (
    kendall_rank_corrcoef,
)
from flambeau.metrics.functional.regression.kl_divergence import (
    kl_divergence,
)
from flambeau.metrics.functional.regression.log_cosh import (
    log_cosh_error,
)
from flambeau.metrics.functional.regression.log_mse import (
    mean_squared_log_error,
)
from flambeau.metrics.functional.regression.mae import (
    mean_absolute_error,
)
from flambeau.metrics.functional.regression.mape import (
    mean_absolute_percentage_error,
)
from flambeau.metrics.functional.regression.minkowski import (
    minkowski_distance,
)
from flambeau.metrics.functional.regression.mse import (
    mean_squared_error,
)
from flambeau.metrics.functional.regression.pearson import (
    pearson_corrcoef,
)
from flambeau.metrics.functional.regression.r2 import (
    r2_score,
)
from flambeau.metrics.functional.regression.rse import (
    relative_squared_error,
)
from flambeau.metrics.functional.regression.spearman import (
    spearman_corrcoef,
)
from flambeau.metrics.functional.regression.symmetric_mape import (
    symmetric_mean_absolute_percentage_error,
)
from flambeau.metrics.functional.regression.wmape import (
    weighted_mean_absolute_percentage_error,
)

__all__ = [
    "concordance_corrcoef",
    "cosine_similarity",
    "explained_variance",
    "kendall_rank_corrcoef",
    "kl_divergence",
    "log_cosh_error",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_log_error",
    "minkowski_distance",
    "pearson_corrcoef",
    "r2_score",
    "relative_squared_error",
    "spearman_corrcoef",
    "symmetric_mean_absolute_percentage_error",
    "weighted_mean_absolute_percentage_error",
]
