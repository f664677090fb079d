"""Every metric module is loaded by its path, offline, in a process of its own, and computes."""

import json
import subprocess
import sys

import pytest

ROOT_OF_METRICS = "ocr2_hf/evaluation/metrics"
TABLE = "<table><tr><td>abc{}</td><td>x</td></tr></table>"
BOXES = {"predictions": [[[0, 0, 10, 10]], []], "references": [[[2, 2, 8, 8]], [[0, 0, 1, 1]]]}
CALLS = {
    "cer": [({"predictions": ["abcd", "e\u0301 f"], "references": ["abce", "\u00e9\nf"]}, {"cer": 1 / 7})],
    "wer": [({"predictions": ["one  two"], "references": ["one too"]}, {"wer": 0.5})],
    "normalized_edit_distance": [
        ({"predictions": ["abcd", "abcd"], "references": ["abce", "ab"]}, {"normalized_edit_distance": 0.375}),
        ({"predictions": ["a\nb"], "references": ["a b"], "strict": True}, {"normalized_edit_distance": 1 / 3}),
    ],
    "exact_match": [({"predictions": ["a\nb", "c"], "references": ["a b", "d"]}, {"exact_match": 0.5})],
    "teds": [
        ({"predictions": [TABLE.format("x")], "references": [TABLE.format("d")]}, {"teds": 1 - 0.25 / 3}),
        (
            {"predictions": [TABLE.format("x")], "references": [TABLE.format("d")], "structure_only": True},
            {"teds": 1.0},
        ),
    ],
    "box_iou": [(BOXES, {"box_iou": 0.18})],
    "box_f1": [
        (BOXES, {"precision": 0.0, "recall": 0.0, "f1": 0.0}),
        (BOXES | {"min_iou": 0.3, "greedy": True}, {"precision": 1.0, "recall": 0.5, "f1": 2 / 3}),
    ],
    "reading_order": [({"predictions": [[1, 0, 2, 3], []], "references": [[0, 1, 2, 3], []]}, {"reading_order": 0.25})],
    "repetition_rate": [({"predictions": ["fine", "no " * 100]}, {"repetition_rate": 0.5})],
}
# Runs in a new interpreter, away from the checkout.
SCRIPT = """
import json, sys
import evaluate

for name, calls in json.load(sys.stdin).items():
    metric = evaluate.load(f"{sys.argv[1]}/{name}")
    print(json.dumps([metric.compute(**call) for call, _ in calls]))
"""


def test_modules_load_by_path_offline_and_compute(repo, tmp_path):
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(repo / ROOT_OF_METRICS)],
        input=json.dumps(CALLS),
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(repo), "PATH": "/usr/bin:/bin"},
    )
    assert run.returncode == 0, run.stderr
    results = [json.loads(line) for line in run.stdout.splitlines() if line.startswith("[")]
    for (name, calls), computed in zip(CALLS.items(), results, strict=True):
        for (_, expected), scores in zip(calls, computed, strict=True):
            assert scores == pytest.approx(expected), name


def test_every_module_is_tried_here(repo):
    assert {
        folder.name for folder in (repo / ROOT_OF_METRICS).iterdir() if (folder / f"{folder.name}.py").is_file()
    } == set(CALLS)
