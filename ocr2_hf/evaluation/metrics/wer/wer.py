"""`evaluate.load("ocr2_hf/evaluation/metrics/wer")`: see `ocr2_hf.evaluation.metrics`."""

from ocr2_hf.evaluation.metrics.metrics import module_of

Module = module_of("wer")
