"""Scores of classifications and correlations by scikit-learn and SciPy, and a logistic regression.

Versions: scikit-learn==1.9.1 scipy==1.17.1 numpy==2.

    python tests/golden/labels.py

writes tests/golden/labels/labels.json. NaN is written as null.
"""

import json
import warnings
from pathlib import Path

import numpy as np
from scipy.stats import pearsonr, spearmanr
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, matthews_corrcoef

HERE = Path(__file__).resolve().parent
warnings.simplefilter("ignore")  # constant input and shares of nothing are among the cases


def class_case(name, expected, predicted, classes):
    case = {
        "name": name,
        "classes": classes,
        "expected": expected,
        "predicted": predicted,
        "confusion": confusion_matrix(expected, predicted, labels=range(classes)).tolist(),
        "accuracy": accuracy_score(expected, predicted),
        "macroF1": f1_score(expected, predicted, average="macro"),
        "microF1": f1_score(expected, predicted, average="micro"),
        "matthews": matthews_corrcoef(expected, predicted),
    }
    if classes == 2:
        case["binaryF1"] = f1_score(expected, predicted, average="binary", pos_label=1)
    return case


def class_cases():
    random = np.random.default_rng(1)
    draw = lambda classes, count: random.integers(0, classes, count).tolist()
    agree = lambda values, classes: [v if random.random() < 0.7 else int(random.integers(0, classes)) for v in values]
    two, five = draw(2, 60), draw(5, 200)
    return [
        class_case("two classes", two, agree(two, 2), 2),
        class_case("five classes", five, agree(five, 5), 5),
        class_case("all right", [0, 1, 2, 1], [0, 1, 2, 1], 3),
        class_case("all wrong", [0, 1, 0, 1], [1, 0, 1, 0], 2),
        class_case("one class predicted", [0, 1, 1, 0, 2], [1, 1, 1, 1, 1], 3),
        class_case("one class there", [0, 0, 0], [0, 1, 0], 2),
        class_case("one class there and predicted", [0, 0, 0], [0, 0, 0], 2),
        class_case("a class that never occurs", [0, 2, 2, 0, 0], [0, 2, 0, 0, 2], 4),
        class_case("positives never predicted", [1, 0, 1, 0], [0, 0, 0, 0], 2),
    ]


def correlation_case(name, a, b):
    number = lambda value: None if np.isnan(value) else float(value)
    return {"name": name, "a": a, "b": b, "pearson": number(pearsonr(a, b)[0]), "spearman": number(spearmanr(a, b)[0])}


def correlation_cases():
    random = np.random.default_rng(2)
    x = random.normal(size=40)
    y = 0.6 * x + random.normal(size=40)
    return [
        correlation_case("noise", x.tolist(), y.tolist()),
        correlation_case("a curve", x.tolist(), np.exp(3 * x).tolist()),
        correlation_case("ties", [1, 2, 2, 3, 3, 3, 4], [2, 1, 1, 5, 5, 4, 4]),
        correlation_case("two values", [1, 2], [5, 3]),
        correlation_case("one side constant", [1, 2, 3], [4, 4, 4]),
        correlation_case("far from zero", (1e6 + x).tolist(), (1e6 + y).tolist()),
    ]


def probe_case(classes, strength):
    random = np.random.default_rng(3 + classes)
    centres = random.normal(size=(classes, 6))
    labels = random.integers(0, classes, 90)
    features = (centres[labels] + 0.9 * random.normal(size=(90, 6))).astype(np.float32)
    # With two classes one row of weights stands for two that are each other's negative, whose squares add up to half of its own.
    c = strength if classes > 2 else 2 * strength
    fitted = LogisticRegression(C=c, tol=1e-10, max_iter=10_000).fit(features[:60].astype(np.float64), labels[:60])
    return {
        "classes": classes,
        "strength": strength,
        "features": features.tolist(),
        "labels": labels.tolist(),
        "trained": 60,
        "probabilities": fitted.predict_proba(features[60:].astype(np.float64)).tolist(),
    }


if __name__ == "__main__":
    folder = HERE / "labels"
    folder.mkdir(exist_ok=True)
    probes = [probe_case(2, 1.0), probe_case(4, 1.0), probe_case(3, 0.05)]
    golden = {"classes": class_cases(), "correlations": correlation_cases(), "probes": probes}
    (folder / "labels.json").write_text(json.dumps(golden) + "\n")
