"""Export a trained directory for other programs.

    ocr2 export runs/letters --to merged --output_dir letters-merged
    ocr2 export runs/letters --to original --output_dir letters-original
    ocr2 export runs/letters --to onnx --output_dir letters-onnx

merged: one model of the library's own layout, adapters added into the weights, that the stock Auto classes load, with
the processor and a generation config that stops loops.
original: the same in the layout of deepseek-ai/DeepSeek-OCR-2, which vLLM and SGLang read.
onnx: graphs in float32 for ONNX Runtime, which `ocr2 read --model letters-onnx` reads with too.
All on the CPU, whatever the size of the GPU.
"""

import argparse

from ocr2_hf.commands.arguments import command_parser
from ocr2_hf.publishing.exports import DTYPES, TARGETS, export, is_exported


def main(argv: list[str] | None = None) -> int:
    """Export, and say where the result lies."""
    args = _parse(argv)
    finished = is_exported(args.source, args.to, args.output_dir, args.dtype)
    written = export(args.source, args.to, args.output_dir, args.dtype)
    print(f"{args.to}: {written}{' is finished already' if finished else ''}")
    return 0


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = command_parser("export", __doc__)
    parser.add_argument("source", metavar="DIR", help="what `train` wrote: a model or adapters")
    parser.add_argument("--to", choices=TARGETS, required=True)
    parser.add_argument("--output_dir", required=True, help="a new folder; one with the same export is left as it is")
    parser.add_argument("--dtype", choices=DTYPES, default="auto", help="of the weights (default: as the base's)")
    return parser.parse_args(argv)
