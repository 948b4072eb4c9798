"""Requests that schemathesis makes from the live document: none makes the server fail, each answer is as it says."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_qa
import tiny_translator
from hypothesis import HealthCheck, Phase, given, seed, settings
from served_process import SHOUTS, process

import recsys
from recsys.testing import tastes

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis, which makes the requests, is not installed")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc, which is Linux's")
LIMITS = "queue = 1000\nmax_queue_ms = 60000.0\ntimeout = 60.0"


def models(folder: Path) -> str:
    """The toys, and three real tasks over tiny models."""
    recsys.fit_item_knn(tastes(), rng=np.random.default_rng(0)).save(folder)
    rows = [
        ("nlp.translation", str(tiny_translator.english_german()), '{ source = "en", target = "de" }', ""),
        ("nlp.qa", str(tiny_qa.reader_folder()), "{}", ""),
        ("recsys.collaborative", str(folder), "{ k = 2 }", '"k"'),
    ]
    return SHOUTS + "".join(
        f'[[models]]\ntask = "{task}"\nmodel = "{model}"\noptions = {options}\nrequest_options = [{open_to}]\n'
        for task, model, options, open_to in rows
    )


def generated(url: str, examples: int) -> tuple[Counter[int], Counter[str]]:
    """The statuses of at least ``examples`` answers, and what was wrong with any."""
    statuses: Counter[int] = Counter()
    faults: Counter[str] = Counter()
    from schemathesis import GenerationMode, checks

    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    wanted = checks.CHECKS.get_by_names(["not_a_server_error", "status_code_conformance", "content_type_conformance"])
    whole = [*wanted, *checks.CHECKS.get_by_names(["response_schema_conformance"])]
    operations = [found.ok() for found in schema.get_all_operations()]
    ways = [(one, mode) for one in operations for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)]
    ways = [(one, mode) for one, mode in ways if one.method == "post" or mode is GenerationMode.POSITIVE]
    each = examples // sum(one.method == "post" for one, _ in ways) + 1
    for operation, mode in ways:

        @seed(0)
        @settings(
            max_examples=each if operation.method == "post" else 3,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate],
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def ask(case: Any) -> None:
            response = case.call()
            statuses[response.status_code] += 1
            try:
                # it reads an event stream by its events; a schema of OpenAPI 3.1 is that of the whole text
                case.validate_response(response, checks=wanted if case.path.endswith("/stream") else whole)
            except BaseExceptionGroup as errors:
                for error in errors.exceptions:
                    faults[f"{case.method} {case.path}: {str(error)[:600]}"] += 1

        ask()
    return statuses, faults


@pytest.mark.parametrize("examples", [60, pytest.param(10_000, marks=pytest.mark.slow)])
def test_no_generated_request_makes_the_server_fail(examples: int, tmp_path: Path) -> None:
    with process(models=models(tmp_path / "knn"), limits=LIMITS) as served:
        before = served.megabytes()
        statuses, faults = generated(served.url, examples)
        after = served.megabytes()
    sys.stdout.write(f"{dict(sorted(statuses.items()))}, {before:.0f} MB before, {after:.0f} behind\n")
    assert sum(statuses.values()) >= examples
    assert statuses[200]
    assert statuses[422]
    assert not faults
