"""Silence for exporters and model libraries, whose chatter a user of Penjing can do nothing about. Imports none of them."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_LOGGERS = ("transformers", "torch", "torch.onnx", "torch.export", "onnxscript", "onnx_ir", "openvino")


@contextmanager
def quiet() -> Iterator[None]:
    """Silence their bars, logs and warnings."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    levels = [logger.level for logger in loggers]
    transformers = sys.modules.get("transformers")
    shown = transformers is not None and transformers.utils.logging.is_progress_bar_enabled()
    if transformers is not None and shown:
        transformers.utils.logging.disable_progress_bar()
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        if transformers is not None and shown:
            transformers.utils.logging.enable_progress_bar()
