"""The list of metrics is complete, and every entry can be exported."""

from __future__ import annotations

import re

import pytest

from paradox.observe import METRICS, MetricName, names


def test_every_metric_of_the_module_is_listed_once() -> None:
    declared = [value for value in vars(names).values() if isinstance(value, MetricName)]
    assert list(METRICS) == declared
    assert len({metric.name for metric in METRICS}) == len(METRICS)


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_a_metric_is_named_as_prometheus_expects(metric: MetricName) -> None:
    assert re.fullmatch(r"paradox_[a-z_]+", metric.name)
    assert metric.name.endswith("_total") == (metric.kind == "counter")
    assert metric.help.endswith(".")
    if metric.unit in ("seconds", "bytes"):
        assert metric.name.endswith(metric.unit)
    assert all(re.fullmatch(r"[a-z_]+", label) for label in metric.labels)
    assert 0 < metric.lowest < metric.highest
