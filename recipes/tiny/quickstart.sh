#!/usr/bin/env bash
# Fine-tuning before your eyes, on the CPU: `make quickstart`. The tiny base reads typed slips; tickets, in a layout, a
# typeface and words it was not trained on, it reads badly, until LoRA has seen 300 of them.
# Everything lands in runs/quickstart, the caches too; delete that folder to start anew.
set -euo pipefail
cd "$(dirname "$0")/../.."

out=runs/quickstart
base=recipes/tiny/base
export HF_HOME="$PWD/$out/cache" HF_DATASETS_CACHE="$PWD/$out/cache/datasets" HF_HUB_OFFLINE=1
step() { printf '\n== %s\n' "$*"; "$@"; }
font=$(python -c 'import matplotlib; print(matplotlib.get_data_path())')/fonts/ttf/DejaVuSansMono-BoldOblique.ttf

step python data_scripts/synthesize.py $out/tickets_raw --kind tickets --pages 350 --size 192x192 --seed 1 --damage 0.2 \
    --font "$font"
step python data_scripts/build_dataset.py tickets --annotations $out/tickets_raw --val 0 --test 0.15
step ocr2 evaluate --model $base --dataset tickets --task markdown --output_dir $out/base
step accelerate launch --config_file accelerate_configs/cpu.yaml -m ocr2_hf train recipes/tiny/lora.yaml \
    --model $base --dataset tickets --output_dir $out/model --num_train_epochs 5 --per_device_train_batch_size 8 \
    --eval_strategy no --save_strategy no
step ocr2 evaluate --model $out/model --dataset tickets --task markdown --output_dir $out/tuned
step ocr2 read $out/tickets_raw/images/000000.png --model $out/model --output_dir $out/page
# The table, and the same pages before and after, boxes and text.
step ocr2 evaluate --compare $out/base $out/tuned --output_dir $out/report

printf '\nReport: %s\nPage:   %s\n' "$out/report/report.html" "$out/page/000000.md"
