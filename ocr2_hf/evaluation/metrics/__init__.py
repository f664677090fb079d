"""Metrics as modules of the library `evaluate`: `evaluate.load("ocr2_hf/evaluation/metrics/NAME")`, offline."""
