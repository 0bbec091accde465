"""AutoGluon's side of benchmarks/kinds.py, run by the interpreter of an environment of its own: kinds_peers.py calls it and reads what it leaves.

python -m venv autogluon
autogluon/bin/pip install 'autogluon.tabular[lightgbm,catboost,xgboost]' torch==2.13.0
"""

from __future__ import annotations

import json
import sys
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
from autogluon.tabular import TabularPredictor

BATCH = 64
TIMED = 1024
"""Test rows that are answered in batches to see how fast that is; an ensemble is slow in small batches."""

asked = json.loads(sys.argv[1])
scratch, target = Path(asked["scratch"]), asked["target"]
train, test = (pd.read_csv(asked[name], na_values="?") for name in ("learn", "judge"))
test = test.drop(columns=target)
started = time.perf_counter()
predictor = TabularPredictor(target, eval_metric="log_loss", path=str(scratch / "models"), verbosity=1)
predictor.fit(train, time_limit=asked["seconds"], presets=asked["preset"])
seconds = time.perf_counter() - started
probabilities = predictor.predict_proba(test)
np.save(scratch / "said.npy", probabilities[sorted(probabilities.columns)].to_numpy())
predictor.persist()
started = time.perf_counter()
for i in range(0, min(TIMED, len(test)), BATCH):
    predictor.predict_proba(test[i : i + BATCH])
figures = {
    "seconds": seconds,
    "rows_per_s": min(TIMED, len(test)) / (time.perf_counter() - started),
    "best": predictor.model_best,
    "tries": len(predictor.model_names()),
    "version": version("autogluon.tabular"),
}
(scratch / "figures.json").write_text(json.dumps(figures))
