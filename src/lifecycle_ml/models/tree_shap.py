"""Margins and exact path-dependent SHAP values of small trees, looked up instead of calculated.

What a tree contributes to a row depends only on the answers to its splits (`value <= threshold`). A tree of
six leaves has five splits, so at most 32 different rows of values: they are calculated once for every tree,
and a row's contributions are sums of what its answers find there. Values are those of LightGBM's
`pred_contrib` (Lundberg et al. 2020, "From local explanations to global understanding with explainable AI for
trees"), with rounding of its own order; margins are LightGBM's to the last bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import factorial

import numpy as np
import numpy.typing as npt

from lifecycle_ml.models.encoding import Floats

MOST_SPLITS = 7
"""Splits of a tree up to which its values are tabulated: 128 answers a tree; ten times LightGBM's speed."""
BLOCK = 4_096
"""Most rows answered at once: the answers to 3,000 splits take 12 MB."""
FEW_ROWS = 64
"""Up to here row by row is faster than tree by tree; the additions, and so the bits, are the same."""
_BLOCK_OF_TREES = 64
_CATEGORICAL, _DEFAULT_LEFT = 1, 2
_MISSING_NONE, _MISSING_NAN = 0, 2

Counts = npt.NDArray[np.intp]


@dataclass(frozen=True)
class TreeTables:
    """The tables of all trees of a bag, tree after tree and member after member.

    Splits that are the same in several trees are answered once: `features`, `thresholds` and `gap_left`
    (where a gap goes) of each, ordered by feature. `splits` (trees, most splits) are the numbers of a tree's,
    `slots` (trees, most features) the columns it uses, and `values` (trees, most features, answers) what each
    of these columns contributes; answer number b has bit j set where split j is answered yes. A tree with
    fewer splits asks one that is never answered yes; one with fewer columns has -1 in `slots`. `outputs`
    (trees, answers) are the values of the leaves reached. `member` is the member of each tree; `base`
    (members,) the mean margin of each.
    """

    columns: int
    features: Counts
    thresholds: Floats
    gap_left: npt.NDArray[np.bool_]
    splits: Counts
    slots: Counts
    values: Floats
    outputs: Floats
    member: Counts
    base: Floats

    @classmethod
    def of(cls, texts: Sequence[str], columns: int) -> TreeTables | None:
        """Tabulate members given as LightGBM text; None where a tree is too large or splits another way.

        Another way: categories of LightGBM's own, zeros taken for gaps, or linear leaves.
        """
        trees = [(number, tree) for number, text in enumerate(texts) for tree in _read_trees(text)]
        if any(tree is None or len(tree.features) > MOST_SPLITS for _, tree in trees):
            return None
        grown = [tree for _, tree in trees if tree is not None]
        member = np.array([number for number, _ in trees], dtype=np.intp)
        base = np.zeros(len(texts))
        for number, tree in zip(member.tolist(), grown, strict=True):
            base[number] += tree.mean
        asked = sorted({split for tree in grown for split in tree.asked})
        place = {split: number for number, split in enumerate(asked)}
        most = max((len(tree.features) for tree in grown), default=0)
        used = [list(dict.fromkeys(tree.features.tolist())) for tree in grown]
        width = max((len(each) for each in used), default=0)
        splits = np.full((len(grown), most), len(asked), dtype=np.intp)
        slots = np.full((len(grown), width), -1, dtype=np.intp)
        for at, tree in enumerate(grown):
            splits[at, : len(tree.features)] = [place[split] for split in tree.asked]
            slots[at, : len(used[at])] = used[at]
        tables = [
            _tabulate(grown[start : start + _BLOCK_OF_TREES], used[start:], most, width)
            for start in range(0, len(grown), _BLOCK_OF_TREES)
        ]
        return cls(
            columns=columns,
            features=np.array([split[0] for split in asked], dtype=np.intp),
            thresholds=np.array([split[1] for split in asked], dtype=np.float64),
            gap_left=np.array([split[2] for split in asked], dtype=bool),
            splits=splits,
            slots=slots,
            values=np.concatenate([values for values, _ in tables]),
            outputs=np.concatenate([outputs for _, outputs in tables]),
            member=member,
            base=base,
        )

    def margins(self, X: Floats) -> Floats:
        """Return each member's margin: (members, rows), the very bits of LightGBM's `raw_score`."""
        found = np.zeros((len(self.base), len(X)))
        if len(X) <= FEW_ROWS:
            trees = np.arange(len(self.member))
            for row, values in enumerate(X):
                leaves = self.outputs[trees, self._row_answers(values)]
                found[:, row] = np.bincount(self.member, leaves, len(self.base))
        else:
            for block in _blocks(len(X)):
                line = np.empty(len(X[block]))
                for tree, place in self._places(X[block]):
                    self.outputs[tree].take(place, out=line, mode="wrap")
                    found[self.member[tree], block] += line
        return found

    def contributions(self, X: Floats, *, by_member: bool = True) -> Floats:
        """Return SHAP values of rows: (members, columns + 1, rows), the last column the base.

        Without `by_member` they are the sums over members: (1, columns + 1, rows). The bits of a row do not
        depend on the rows beside it. One thread: the calls are too short for two not to wait for each other.
        """
        member = self.member if by_member else np.zeros_like(self.member)
        base = self.base if by_member else np.array([sum(self.base.tolist())])
        found = np.zeros((len(base), self.columns + 1, len(X)))
        if len(X) <= FEW_ROWS:
            for row, values in enumerate(X):
                found[:, :-1, row] = self._row(values, member, len(base))
        else:
            for block in _blocks(len(X)):
                self._fill(found[:, :, block], X[block], member)
        found[:, -1] = base[:, None]
        return found

    def _row(self, row: Floats, member: Counts, members: int) -> Floats:
        """Return the contributions to one row: (members, columns)."""
        answer = self._row_answers(row)
        values = np.take_along_axis(self.values, answer[:, None, None], axis=2)[:, :, 0]
        # a column that is none goes to a place after all others; bincount adds in order, tree by tree
        places = np.where(self.slots < 0, members * self.columns, member[:, None] * self.columns + self.slots)
        added = np.bincount(places.ravel(), values.ravel(), members * self.columns + 1)
        return np.asarray(added[:-1].reshape(members, self.columns))

    def _row_answers(self, row: Floats) -> Counts:
        asked = row[self.features]
        yes = np.append(np.where(np.isnan(asked), self.gap_left, asked <= self.thresholds), False)
        return np.asarray((yes[self.splits] << np.arange(self.splits.shape[1])).sum(axis=1))

    def _fill(self, found: Floats, X: Floats, member: Counts) -> None:
        """Add the contributions to a block of rows to `found` (members, columns + 1, rows)."""
        # one contiguous line of numbers at a time, so that take() and += run at the speed of the cache
        line = np.empty(len(X))
        slots = self.slots.tolist()
        for tree, place in self._places(X):
            total, values = found[member[tree]], self.values[tree]
            for slot, column in enumerate(slots[tree]):
                if column >= 0:
                    values[slot].take(place, out=line, mode="wrap")
                    total[column] += line

    def _places(self, X: Floats) -> Iterator[tuple[int, Counts]]:
        """Give, tree by tree, the number of each row's answer."""
        yes = self._answers(X)
        for start in range(0, len(self.splits), _BLOCK_OF_TREES):
            splits = self.splits[start : start + _BLOCK_OF_TREES]
            answers = np.zeros((len(splits), len(X)), dtype=np.uint8)
            for bit in range(splits.shape[1]):
                answers |= yes[splits[:, bit]] << np.uint8(bit)
            yield from enumerate(answers.astype(np.intp), start)

    def _answers(self, X: Floats) -> npt.NDArray[np.uint8]:
        """Answer every split for every row: (splits + 1, rows), the last one never with yes."""
        yes = np.zeros((len(self.features) + 1, len(X)), dtype=np.uint8)
        starts = np.flatnonzero(np.diff(self.features, prepend=-1)).tolist()
        for start, end in pairwise([*starts, len(self.features)]):
            values = np.ascontiguousarray(X[:, self.features[start]])
            answers = values <= self.thresholds[start:end, None]
            gone = np.isnan(values)
            if gone.any():
                answers[:, gone] = self.gap_left[start:end, None]
            yes[start:end] = answers
        return yes


def _blocks(rows: int) -> list[slice]:
    return [slice(start, start + BLOCK) for start in range(0, rows, BLOCK)]


@dataclass(frozen=True)
class _Tree:
    """One tree: its splits, and of each leaf its value and the way to it.

    A way is a list of (split, yes, share of the split's rows that went on this way).
    """

    features: Counts
    asked: tuple[tuple[int, float, bool], ...]
    values: Floats
    ways: tuple[tuple[tuple[int, bool, float], ...], ...]
    mean: float


def _read_trees(text: str) -> Iterator[_Tree | None]:
    """Read each tree of a model in LightGBM's text format; None for one that splits another way."""
    for part in text.split("\nTree=")[1:]:
        lines = part.split("\n\n", 1)[0].splitlines()[1:]
        yield _read_tree(dict(line.split("=", 1) for line in lines if "=" in line))


def _read_tree(said: dict[str, str]) -> _Tree | None:
    values = np.array(said["leaf_value"].split(), dtype=np.float64)
    if int(said["num_cat"]) or int(said.get("is_linear", "0")):
        return None
    if len(values) == 1:
        return _Tree(np.zeros(0, dtype=np.intp), (), values, ((),), float(values[0]))
    features = np.array(said["split_feature"].split(), dtype=np.intp)
    asked = []
    for feature, threshold, kind in zip(
        features.tolist(), said["threshold"].split(), said["decision_type"].split(), strict=True
    ):
        at, missing = float(threshold), int(kind) >> 2 & 3
        if missing not in (_MISSING_NONE, _MISSING_NAN) or int(kind) & _CATEGORICAL:
            return None
        # a split that saw no gap in training takes one for 0
        left = bool(int(kind) & _DEFAULT_LEFT) if missing == _MISSING_NAN else at >= 0
        asked.append((feature, at, left))
    leaf_count = [float(count) for count in said["leaf_count"].split()]
    count = [float(count) for count in said["internal_count"].split()]
    left_child = [int(child) for child in said["left_child"].split()]
    right_child = [int(child) for child in said["right_child"].split()]
    ways: list[tuple[tuple[int, bool, float], ...]] = [()] * len(values)
    waiting: list[tuple[int, tuple[tuple[int, bool, float], ...]]] = [(0, ())]
    while waiting:
        node, way = waiting.pop()
        if node < 0:
            ways[~node] = way
            continue
        for child, yes in ((left_child[node], True), (right_child[node], False)):
            rows = leaf_count[~child] if child < 0 else count[child]
            waiting.append((child, (*way, (node, yes, rows / count[node]))))
    mean = sum(value * rows / count[0] for value, rows in zip(values.tolist(), leaf_count, strict=True))
    return _Tree(features, tuple(asked), values, tuple(ways), mean)


def _tabulate(
    trees: Sequence[_Tree], used: Sequence[Sequence[int]], most: int, width: int
) -> tuple[Floats, Floats]:
    """Return what each column contributes under each answer, (trees, width, 2 ** most), and the leaf reached.

    A leaf is a game its columns play together: it pays its value times, for each column, 1 or 0 (all the
    answers on the way to it are, or are not, as it needs them) if the column is known, else the share of
    rows that went this way. A tree is the sum of its leaves, and so are Shapley values. A column that is
    not on the way pays 1 in either case, which changes nothing.
    """
    leaves = max(len(tree.values) for tree in trees)
    shape = (leaves, width, len(trees), 1)
    value, share = np.zeros((leaves, len(trees), 1)), np.ones(shape)
    needs_yes, needs_no = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    for at, tree in enumerate(trees):
        value[: len(tree.values), at, 0] = tree.values
        slots = [used[at].index(feature) for feature in tree.features.tolist()]
        for leaf, way in enumerate(tree.ways):
            for split, yes, part in way:
                share[leaf, slots[split], at] *= part
                (needs_yes if yes else needs_no)[leaf, slots[split], at] |= 1 << split
    answers = np.arange(1 << most)
    found, reached = np.zeros((width, len(trees), len(answers))), np.zeros((len(trees), len(answers)))
    weights = [factorial(size) * factorial(width - 1 - size) / factorial(width) for size in range(width)]
    for leaf in range(leaves):
        open_ = ((answers & needs_yes[leaf]) == needs_yes[leaf]) & ((answers & needs_no[leaf]) == 0)
        known = open_.astype(np.float64)
        reached += np.where(open_.all(axis=0), value[leaf], 0.0)
        for player in range(width):
            # by how many of the others are known: the sum, over all sets of that size, of what they pay
            pays = [np.ones((len(trees), len(answers)))]
            for other in range(width):
                if other != player:
                    unknown = [term * share[leaf, other] for term in pays] + [np.zeros(1)]
                    joined = [np.zeros(1)] + [term * known[other] for term in pays]
                    pays = [first + second for first, second in zip(unknown, joined, strict=True)]
            total = sum(weight * term for weight, term in zip(weights, pays, strict=True))
            found[player] += total * (known[player] - share[leaf, player]) * value[leaf]
    return np.ascontiguousarray(found.transpose(1, 0, 2)), reached
