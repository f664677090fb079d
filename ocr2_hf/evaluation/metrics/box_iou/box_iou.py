"""`evaluate.load("ocr2_hf/evaluation/metrics/box_iou")`: see `ocr2_hf.evaluation.metrics`."""

from ocr2_hf.evaluation.metrics.metrics import module_of

Module = module_of("box_iou")
