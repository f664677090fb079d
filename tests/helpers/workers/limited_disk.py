"""`ocr2` with small shards of vision features and files of at most BYTES (0: any size).

python limited_disk.py BYTES train ...
"""

import resource
import sys

from ocr2_hf.__main__ import cli
from ocr2_hf.training import vision_cache

if __name__ == "__main__":
    vision_cache.SHARD_BYTES = 1
    if limit := int(sys.argv.pop(1)):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    cli()
