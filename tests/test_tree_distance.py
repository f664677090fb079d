"""Tree edit distance against apted, on random trees and random costs."""

import time

import numpy as np
import pytest
from apted import APTED, Config
from hypothesis import given, settings
from hypothesis import strategies as st

from ocr2_hf.evaluation.tree_distance import tree_distance

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


@settings(max_examples=150, deadline=None)
@given(SHAPES, SHAPES, st.integers(0, 2**32 - 1))
def test_equals_apted(shape_a, shape_b, seed):
    a, b = [], []
    roots = Node(shape_a, a), Node(shape_b, b)
    draw = np.random.default_rng(seed)
    rename = draw.choice([0, 0.25, 0.5, 1], (len(a), len(b)))
    expected = APTED(*roots, Costs(rename)).compute_edit_distance()
    assert tree_distance(*([node.leftmost for node in side] for side in (a, b)), rename) == pytest.approx(expected)


def test_by_hand():
    # A root with two leaves against a root with one: one leaf is inserted, the other costs a quarter.
    rename = np.array([[1, 0.25, 1], [1, 1, 0]])
    assert tree_distance([0, 0], [0, 1, 0], rename) == pytest.approx(1.25)
    assert tree_distance([0], [0], np.array([[0.5]])) == 0.5


@pytest.mark.parametrize("nested", [False, True])
def test_a_thousand_nodes_take_no_minutes(nested):
    # 100 rows of 9 cells, or a hundred stairs of ten steps.
    leftmost = []
    for row in range(100):
        leftmost += [row * 10] * 10 if nested else [*range(row * 10, row * 10 + 9), row * 10]
    leftmost.append(0)
    start = time.perf_counter()
    assert tree_distance(leftmost, leftmost, 1 - np.eye(len(leftmost))) == 0
    assert time.perf_counter() - start < 5
