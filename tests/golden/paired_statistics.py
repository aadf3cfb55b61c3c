"""Goldens of tests/evaluation/statistics.test.ts: intervals of paired differences.

Made with Python 3.11, numpy 2.4.6, scipy 1.17.1:  python tests/golden/paired_statistics.py

Losses: Student's interval around the ratio Σ change / Σ tokens with the jackknife's standard error, each text left out by deleting
it; for texts of one length the interval of scipy.stats.ttest_rel, which knows no jackknife.
Quantiles: scipy.stats.t.
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


def losses(n, shift, spread, length=None):
    count = rng.integers(40, 160, n) if length is None else np.full(n, length)
    before = np.round(count * rng.normal(3.0, 0.4, n), 3)
    after = np.round(before + count * rng.normal(shift, spread, n), 3)
    ratio = lambda kept: float((after[kept] - before[kept]).sum() / count[kept].sum())
    every = np.arange(n)
    if length is None:
        without = np.array([ratio(np.delete(every, index)) for index in every])
        error = np.sqrt((n - 1) * without.var())
        interval = stats.t.interval(0.95, n - 1, loc=ratio(every), scale=error)
    else:
        interval = stats.ttest_rel(after / count, before / count).confidence_interval(0.95)
    return {
        "before": before.tolist(),
        "after": after.tolist(),
        "count": count.tolist(),
        "difference": ratio(every),
        "interval": [float(x) for x in interval],
    }


def quantile(share, degrees):
    return {"share": share, "degrees": degrees, "t": float(stats.t.ppf((1 + share) / 2, degrees))}


golden = {
    "shares": [shares(*c) for c in [(3, 79, 0, 18), (200, 12, 19, 100), (150, 40, 10, 120), (150, 10, 40, 120), (50, 0, 0, 50), (0, 5, 0, 0), (240, 3, 4, 72), (10, 9, 2, 4)]],
    "quantiles": [quantile(share, degrees) for share in (0.95, 0.5) for degrees in (1, 2, 3, 4, 5, 10, 45, 46, 1000, 99_999)],
    "losses": [losses(46, 0.02, 0.05), losses(46, 0.0, 0.03), losses(12, -0.2, 0.1), losses(120, 0.004, 0.03), losses(3, -0.2, 0.02), losses(5, 0.1, 0.1), losses(4, -0.1, 0.05, 64), losses(30, 0.01, 0.02, 50)],
}
path = pathlib.Path(__file__).parent / "statistics" / "statistics.json"
path.write_text(json.dumps(golden, separators=(",", ":")) + "\n")
