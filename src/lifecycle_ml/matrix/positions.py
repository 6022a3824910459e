"""Sorted numbers and the positions between them: what windows over tiles are made of."""

from __future__ import annotations

import numpy as np

from lifecycle_ml.matrix.facts import Array


def pair_key(major: Array, minor: Array) -> Array:
    """Return two numbers, the second below 2^32, as one that sorts as they do."""
    key: Array = (major.astype("int64") << 32) | minor.astype("int64")
    return key


def running_sum(value: Array) -> Array:
    """Return what lies before each position, and before the end; whole numbers."""
    running = np.zeros(len(value) + 1, dtype="int64")
    np.cumsum(value, out=running[1:])
    return running


def run_starts(sorted_keys: Array) -> Array:
    """Return where runs of equal keys begin."""
    if not len(sorted_keys):
        return np.zeros(0, dtype="int64")
    return np.concatenate([[0], np.flatnonzero(sorted_keys[1:] != sorted_keys[:-1]) + 1])


def positions_between(low: Array, high: Array) -> tuple[Array, Array]:
    """Return every position between low and high, and the number of the pair it belongs to."""
    length = np.maximum(high - low, 0)
    owner = np.repeat(np.arange(len(low)), length)
    within = np.arange(len(owner)) - np.repeat(np.cumsum(length) - length, length)
    return owner, low[owner] + within
