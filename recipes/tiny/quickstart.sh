#!/usr/bin/env bash
# The whole line on synthetic receipts with the tiny model, on the CPU: `make quickstart`.
# Everything lands in runs/quickstart, the caches too; delete that folder to start anew.
set -euo pipefail
cd "$(dirname "$0")/../.."

out=runs/quickstart
export HF_HOME="$PWD/$out/cache" HF_DATASETS_CACHE="$PWD/$out/cache/datasets" HF_HUB_OFFLINE=1
step() { printf '\n== %s\n' "$*"; "$@"; }

step python data_scripts/synthesize.py $out/receipts_raw --kind receipts --pages 64 --size 192x192 --seed 1
step python data_scripts/build_dataset.py receipts --annotations $out/receipts_raw --val 0.1 --test 0.1
step accelerate launch --config_file accelerate_configs/cpu.yaml -m ocr2_hf train recipes/tiny/full.yaml \
    --dataset receipts --output_dir $out/model --num_train_epochs 20
step ocr2 evaluate --model $out/model --dataset receipts --split test --output_dir $out/evaluation
step ocr2 read $out/receipts_raw/images/000000.png --model $out/model --output_dir $out/page

printf '\nReport: %s\nPage:   %s\n' "$out/evaluation/report.html" "$out/page/000000.md"
