"""The released model, DeepSeek-OCR-2: its configuration and how it cuts pages.

deepseek_ocr2_config.json is the config.json of the library's own layout.
"""

from pathlib import Path

from ocr2_hf.data.images import ImageSettings

REAL_CONFIG = Path(__file__).with_name("deepseek_ocr2_config.json")
REAL_IMAGES = ImageSettings(global_side=1024, tile_side=768, patch=16, downsample=4, min_patches=2, max_patches=6)
