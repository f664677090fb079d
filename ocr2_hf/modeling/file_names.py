"""What a saved model's type and the files beside the library's own are called; imports nothing, so anyone may ask."""

MODEL_TYPE = "deepseek_ocr2"  # in config.json
ADAPTER_FILE, ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
BASE_FOLDER = "base"  # where a run keeps a base that lies nowhere else, beside the adapter
BOX_HEAD_FILE = "box_head.safetensors"
