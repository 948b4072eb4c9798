"""Metrics as pure functions over arrays, strings and ids, and the intervals that belong to them."""

from shared.evaluation.report import Evaluation, Metric

__all__ = ["Evaluation", "Metric"]
