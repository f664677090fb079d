"""`evaluate.load("ocr2_hf/evaluation/metrics/teds")`: see `ocr2_hf.evaluation.metric_module`."""

from ocr2_hf.evaluation import metric_module


class Module(metric_module.MetricModule):
    metric = "teds"
