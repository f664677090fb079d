"""`evaluate.load("ocr2_hf/evaluation/metrics/repetition_rate")`: see `ocr2_hf.evaluation.metrics`."""

from ocr2_hf.evaluation.metrics.metrics import module_of

Module = module_of("repetition_rate")
