"""Errors and warnings of metrics."""


class TorchMetricsUserError(Exception):
    """A metric is used in a way that its state does not allow."""


class TorchMetricsUserWarning(UserWarning):
    """A metric is used in a way that may not be meant."""
