"""Tree edit distance on random trees and random costs: against its definition, and against apted."""

from functools import cache

import numpy as np
import pytest
from apted import APTED, Config
from hypothesis import given, settings
from hypothesis import strategies as st

from ocr2_hf.evaluation.tables import tree_distance

SMALL_SHAPES = st.recursive(st.just([]), lambda shapes: st.lists(shapes, max_size=3), max_leaves=6)
SHAPES = st.recursive(st.just([]), lambda shapes: st.lists(shapes, max_size=5), max_leaves=25)


class Node:
    def __init__(self, shape, postorder):
        self.children = [Node(child, postorder) for child in shape]
        self.number = len(postorder)
        postorder.append(self)
        self.leftmost = self.children[0].leftmost if self.children else self.number


class Costs(Config):
    def __init__(self, rename):
        self.costs = rename

    def rename(self, node1, node2):
        return self.costs[node1.number, node2.number]


def by_definition(root_a: Node, root_b: Node, rename: np.ndarray) -> float:
    """The last nodes of two forests: one is deleted, or the other inserted, or one becomes the other."""

    @cache
    def distance(forest_a: tuple[Node, ...], forest_b: tuple[Node, ...]) -> float:
        if not forest_a and not forest_b:
            return 0
        *before_a, a = forest_a or (None,)
        *before_b, b = forest_b or (None,)
        ways = []
        if a:
            ways.append(1 + distance((*before_a, *a.children), forest_b))
        if b:
            ways.append(1 + distance(forest_a, (*before_b, *b.children)))
        if a and b:
            below = distance(tuple(a.children), tuple(b.children))
            ways.append(rename[a.number, b.number] + below + distance(tuple(before_a), tuple(before_b)))
        return min(ways)

    return distance((root_a,), (root_b,))


def drawn(shape_a, shape_b, seed):
    """Roots, what `tree_distance` takes of them, and drawn costs."""
    a, b = [], []
    roots = Node(shape_a, a), Node(shape_b, b)
    rename = np.random.default_rng(seed).choice([0, 0.25, 0.5, 1], (len(a), len(b)))
    return roots, tree_distance(*([node.leftmost for node in side] for side in (a, b)), rename), rename


@settings(max_examples=150, deadline=None)
@given(SMALL_SHAPES, SMALL_SHAPES, st.integers(0, 2**32 - 1))
def test_equals_the_definition(shape_a, shape_b, seed):
    roots, found, rename = drawn(shape_a, shape_b, seed)
    assert found == pytest.approx(by_definition(*roots, rename))


def test_where_apted_misses_the_least_cost():
    """About one in two hundred small random pairs."""
    roots, found, rename = drawn([[], [[]], [], [], []], [[], [], [], [[], [], []], []], 0)
    assert found == by_definition(*roots, rename) == 5.5
    assert APTED(*roots, Costs(rename)).compute_edit_distance() == 5.75


@settings(max_examples=150, deadline=None)
@given(SHAPES, SHAPES, st.integers(0, 2**32 - 1))
def test_is_never_more_than_apteds(shape_a, shape_b, seed):
    roots, found, rename = drawn(shape_a, shape_b, seed)
    expected = APTED(*roots, Costs(rename)).compute_edit_distance()
    assert found <= expected + 1e-6


def test_by_hand():
    # A root with two leaves against a root with one: one leaf is inserted, the other costs a quarter.
    rename = np.array([[1, 0.25, 1], [1, 1, 0]])
    assert tree_distance([0, 0], [0, 1, 0], rename) == pytest.approx(1.25)
    assert tree_distance([0], [0], np.array([[0.5]])) == 0.5


@pytest.mark.timeout(60)
@pytest.mark.parametrize("nested", [False, True])
def test_a_thousand_nodes_take_no_minutes(nested):
    # 100 rows of 9 cells, or a hundred stairs of ten steps.
    leftmost = []
    for row in range(100):
        leftmost += [row * 10] * 10 if nested else [*range(row * 10, row * 10 + 9), row * 10]
    leftmost.append(0)
    assert tree_distance(leftmost, leftmost, 1 - np.eye(len(leftmost))) == 0
