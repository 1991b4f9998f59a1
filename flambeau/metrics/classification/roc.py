"""Receiver operating characteristics: true against false positive rates."""

from __future__ import annotations

from typing import Any

from flambeau.metrics.classification.precision_recall_curve import (
    BinaryPrecisionRecallCurve,
    MulticlassPrecisionRecallCurve,
    MultilabelPrecisionRecallCurve,
    _CurveByTask,
)
from flambeau.metrics.functional.classification.roc import (
    _binary_roc_compute,
    _multiclass_roc_compute,
    _multilabel_roc_compute,
)


class BinaryROC(BinaryPrecisionRecallCurve):
    """(fpr, tpr, thresholds); options as for `BinaryPrecisionRecallCurve`."""

    plot_lower_bound = 0.0
    plot_upper_bound = 1.0

    def compute(self) -> Any:
        """The curve of all batches."""
        return _binary_roc_compute(self._state(), self.thresholds, self.ignore_index)


class MulticlassROC(MulticlassPrecisionRecallCurve):
    """(fpr, tpr, thresholds) of each class; options as for `MulticlassPrecisionRecallCurve`."""

    plot_lower_bound = 0.0
    plot_upper_bound = 1.0
    plot_legend_name = "Class"

    def compute(self) -> Any:
        """The curves of all batches."""
        return _multiclass_roc_compute(
            self._state(), self.num_classes, self.thresholds, self.average, self.ignore_index
        )


class MultilabelROC(MultilabelPrecisionRecallCurve):
    """(fpr, tpr, thresholds) of each label; options as for `MultilabelPrecisionRecallCurve`."""

    plot_lower_bound = 0.0
    plot_upper_bound = 1.0
    plot_legend_name = "Label"

    def compute(self) -> Any:
        """The curves of all batches."""
        return _multilabel_roc_compute(
            self._state(), self.num_labels, self.thresholds, self.ignore_index
        )


class ROC(_CurveByTask):
    """The form of a task: "binary", "multiclass" or "multilabel"."""

    _forms = (BinaryROC, MulticlassROC, MultilabelROC)
