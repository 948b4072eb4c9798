"""Metrics as pure functions over arrays, strings and ids, and the intervals that belong to them."""

from shared.evaluation.intervals import bootstrap, mean_interval, wilson
from shared.evaluation.report import Evaluation, Metric

__all__ = ["Evaluation", "Metric", "bootstrap", "mean_interval", "wilson"]
