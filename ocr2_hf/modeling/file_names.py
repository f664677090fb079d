"""The names of what a saved model has beside the library's own files; imports nothing, so that anyone may ask."""

ADAPTER_FILE, ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
BASE_FOLDER = "base"  # where a run keeps a base that lies nowhere else, beside the adapter
BOX_HEAD_FILE = "box_head.safetensors"
