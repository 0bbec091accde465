"""What is usually worth varying of each learner: the space of a search that names none. Light, and knows learners by name alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_SMALL_NET = {
    "learning_rate": {"low": 3e-4, "high": 1e-2, "log": True},
    "weight_decay": {"low": 1e-3, "high": 0.2, "log": True},
}

SPACES: Mapping[str, Mapping[str, Any]] = {
    "boosted-trees": {
        "learning_rate": {"low": 0.02, "high": 0.2, "log": True},
        "leaves": {"low": 7, "high": 127, "log": True},
        "min_rows_in_leaf": {"low": 5, "high": 100, "log": True},
        "l2": {"low": 0.01, "high": 10.0, "log": True},
        "feature_share": {"low": 0.5, "high": 1.0},
        "row_share": {"low": 0.5, "high": 1.0},
    },
    "linear": {
        "learning_rate": {"low": 0.1, "high": 3.0, "log": True},
        "l2": {"low": 1e-7, "high": 1e-4, "log": True},
        "epochs": {"low": 3, "high": 15},
    },
    "tabular-linear": {"l2": {"low": 0.03, "high": 100.0, "log": True}, "bins": {"low": 16, "high": 512, "log": True}, "crosses": [0, 8, 16]},
    "static-embedding": {"learning_rate": {"low": 0.02, "high": 0.5, "log": True}, "epochs": {"low": 3, "high": 20}},
    "tabular-network": {**_SMALL_NET, "layers": {"low": 1, "high": 5}, "dropout": {"low": 0.0, "high": 0.6}},
    "image-network": {**_SMALL_NET, "stages": {"low": 2, "high": 4}},
    "transformer": {"learning_rate": {"low": 2e-5, "high": 3e-4, "log": True}, "batch_size": [8, 16, 32, 64]},
    "backbone": {"learning_rate": {"low": 1e-4, "high": 2e-3, "log": True}, "batch_size": [16, 32, 64]},
}
