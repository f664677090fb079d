"""`evaluate.load("ocr2_hf/evaluation/metrics/normalized_edit_distance")`: see `ocr2_hf.evaluation.metrics`."""

from ocr2_hf.evaluation.metrics.metrics import module_of

Module = module_of("normalized_edit_distance")
