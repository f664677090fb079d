"""Annotation folders -> datasets; also `ocr2 build | inspect | crop | synthesize`."""
