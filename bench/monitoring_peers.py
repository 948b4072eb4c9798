"""What evidently and NannyML say of windows that `bench/monitoring.py` has written; run by the peer's own Python.

    PYTHON bench/monitoring_peers.py evidently IN.npz OUT.json
    PYTHON bench/monitoring_peers.py nannyml IN.npz OUT.json

evidently: `DataDriftPreset()` as it comes, over numbers and categories. For each window the share of columns that
drifted;
its own alarm is a share of half or more. IN: `numbers` [n, columns], `categories` [n, columns], `names` of both after
each other, `reference` [windows, k] and `window` [windows, m], rows of each.

NannyML: `CBPE` of accuracy as it comes (isotonic), with "the answer is right" as the binary prediction and the
confidence
as its probability. IN: for each window w `reference_confidence_w`, `reference_correct_w`, `confidence_w`.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd


def evidently(path: Path) -> dict[str, object]:
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    given = np.load(path)
    names = given["names"].tolist()
    k = given["numbers"].shape[1]
    definition = DataDefinition(numerical_columns=names[:k], categorical_columns=names[k:])
    frame = pd.DataFrame(given["numbers"].astype(np.float64), columns=names[:k])
    for name, column in zip(names[k:], given["categories"].T):
        frame[name] = column
    shares, begun = [], time.process_time()
    for reference, window in zip(given["reference"], given["window"]):
        sides = [
            Dataset.from_pandas(frame.iloc[rows].reset_index(drop=True), data_definition=definition)
            for rows in (window, reference)
        ]
        found = Report([DataDriftPreset()]).run(*sides).dict()["metrics"]
        shares.append(next(one["value"]["share"] for one in found if "DriftedColumnsCount" in one["metric_name"]))
    return {"shares": shares, "seconds": (time.process_time() - begun) / len(shares)}


def nannyml(path: Path) -> dict[str, object]:
    import nannyml as nml

    given = np.load(path)
    found = []
    for w in range(sum(name.startswith("confidence_") for name in given.files)):
        right = given[f"reference_correct_{w}"].astype(int)
        reference = pd.DataFrame({"y": right, "said": 1, "p": given[f"reference_confidence_{w}"].astype(np.float64)})
        window = pd.DataFrame({"said": 1, "p": given[f"confidence_{w}"].astype(np.float64)})
        estimator = nml.CBPE(
            y_true="y",
            y_pred="said",
            y_pred_proba="p",
            problem_type="classification_binary",
            metrics=["accuracy"],
            chunk_size=10**9,
        ).fit(reference)
        frame = estimator.estimate(window).filter(period="analysis").to_df()["accuracy"]
        names = ("value", "lower_confidence_boundary", "upper_confidence_boundary")
        found.append([float(frame[name].iloc[0]) for name in names])
    return {"estimates": found}


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    what, source, out = sys.argv[1:]
    Path(out).write_text(json.dumps({"evidently": evidently, "nannyml": nannyml}[what](Path(source))), "utf-8")
