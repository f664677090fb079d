"""`evaluate.load("ocr2_hf/evaluation/metrics/reading_order")`: see `ocr2_hf.evaluation.metrics`."""

from ocr2_hf.evaluation.metrics.metrics import module_of

Module = module_of("reading_order")
