"""`evaluate.load("ocr2_hf/evaluation/metrics/exact_match")`: see `ocr2_hf.evaluation.metrics`."""

from ocr2_hf.evaluation.metrics.metrics import module_of

Module = module_of("exact_match")
