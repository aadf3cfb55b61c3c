"""Goldens of tests/evaluation/statistics.test.ts: intervals of paired differences.

Made with Python 3.11, numpy 2.4.6, scipy 1.17.1:  python tests/golden/paired_statistics.py

Losses: scipy.stats.bootstrap, paired, percentile method, 200 000 resamples.
Shares: the Wald interval of a matched difference from the covariance matrix of the four multinomial cells, half an observation
added to each (Agresti and Min 2005), by matrix algebra rather than by the closed formula; and the p-value of the exact McNemar test.
"""

import json
import pathlib

import numpy as np
from scipy import stats

rng = np.random.default_rng(11)


def shares(both, gained, lost, neither):
    cells = np.array([both, gained, lost, neither]) + 0.5
    n = cells.sum()
    p = cells / n
    contrast = np.array([0, 1, -1, 0])
    covariance = (np.diag(p) - np.outer(p, p)) / n
    centre, error = contrast @ p, np.sqrt(contrast @ covariance @ contrast)
    z = stats.norm.ppf(0.975)
    p_value = stats.binomtest(gained, gained + lost).pvalue if gained + lost else 1.0
    return {
        "cells": {"both": both, "gained": gained, "lost": lost, "neither": neither},
        "interval": [max(-1, centre - z * error), min(1, centre + z * error)],
        "mcnemar": p_value,
    }


def losses(n, shift, spread):
    count = rng.integers(40, 160, n)
    before = np.round(count * rng.normal(3.0, 0.4, n), 3)
    after = np.round(before + count * rng.normal(shift, spread, n), 3)
    ratio = lambda b, a, c, axis=-1: (a.sum(axis=axis) - b.sum(axis=axis)) / c.sum(axis=axis)
    result = stats.bootstrap((before, after, count), ratio, paired=True, vectorized=True, method="percentile", n_resamples=200_000, rng=5)
    return {
        "before": before.tolist(),
        "after": after.tolist(),
        "count": count.tolist(),
        "difference": float(ratio(before, after, count)),
        "interval": [float(x) for x in result.confidence_interval],
        "standardError": float(result.standard_error),
    }


golden = {
    "shares": [shares(*c) for c in [(3, 79, 0, 18), (200, 12, 19, 100), (150, 40, 10, 120), (150, 10, 40, 120), (50, 0, 0, 50), (0, 5, 0, 0), (240, 3, 4, 72), (10, 9, 2, 4)]],
    "losses": [losses(46, 0.02, 0.05), losses(46, 0.0, 0.03), losses(12, -0.2, 0.1), losses(120, 0.004, 0.03)],
}
path = pathlib.Path(__file__).parent / "statistics" / "statistics.json"
path.write_text(json.dumps(golden, separators=(",", ":")) + "\n")
