"""Stands in for penjing.training.exporting until the learner imports that itself."""

from penjing.training.exporting import exported

__all__ = ["exported"]
