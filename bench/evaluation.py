"""What intervals cost beside the figure they belong to, and how often they cover the truth.

    python bench/evaluation.py --only bootstrap [--rows 1000000] [--resamples 1000] [--turns 5] [--samples 1000]

Needs no extra and no data. Cost: one plain pass is the call that gives the figure alone, over all rows; beside it stands
the call that gives 1,000 resamples of the same rows, from figures of each item that the pass has at hand. Both take
turns; what is printed is the ratio of medians. Coverage: the share of samples of an exponential distribution whose
interval of 95 % holds its mean of 1 (independent rows), or the same with five equal rows a group.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np

from shared.evaluation.analytic import mean_by_formula
from shared.evaluation.bca import f1, ratio, sums_interval
from shared.evaluation.classification import accuracy_score
from shared.evaluation.intervals import mean_interval
from shared.evaluation.paired import compare_paired
from shared.evaluation.rating import rmse_error
from shared.evaluation.report import Metric
from shared.evaluation.spans import span_score
