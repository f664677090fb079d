#!/usr/bin/env bash
# Fine-tuning on the CPU, in minutes: `make quickstart`. The tiny base reads typed slips. Tickets have another layout,
# another typeface and other words: the base reads them badly, and well once LoRA has seen 300 of them.
#
#     recipes/tiny/quickstart.sh [FOLDER]
#
# With the folder of a format that knows lines (ALTO, PAGE-XML, hOCR): the same on the line crops of its pages. Real
# print and handwriting are beyond so small a model, whatever the results say.
# Everything lands in runs/quickstart (runs/quickstart-lines), the caches too; delete that folder to start anew.
set -euo pipefail
folder=${1:+$(realpath "$1")}
cd "$(dirname "$0")/../.."

out=runs/quickstart${folder:+-lines}
data=${folder:+lines}
data=${data:-tickets}
# A line has far fewer tokens than a page may have, and what the base makes of handwriting need not end.
longest=${folder:+--max_new_tokens 300}  # split into words where it is used
base=recipes/tiny/base
export HF_HOME="$PWD/$out/cache" HF_DATASETS_CACHE="$PWD/$out/cache/datasets" HF_HUB_OFFLINE=1
export DS_ACCELERATOR=cpu  # or DeepSpeed says that it found no GPU
step() { printf '\n== %s\n' "$*"; "$@"; }

if [ -n "$folder" ]; then
    step python data_scripts/build_dataset.py whole_pages --annotations "$folder" --level line --split rank --val 0 --test 0.25
    rm -rf "$out/lines_raw"
    step python data_scripts/crop_regions.py whole_pages "$out/lines_raw"
    step python data_scripts/build_dataset.py lines --annotations "$out/lines_raw" --split folders
    shown=$(find "$out/lines_raw/images/test" -name '*.png' | sort | head -n 1)
else
    font=$(python -c 'import matplotlib; print(matplotlib.get_data_path())')/fonts/ttf/DejaVuSansMono-BoldOblique.ttf
    step python data_scripts/synthesize.py $out/tickets_raw --kind tickets --pages 350 --size 192x192 --seed 1 \
        --damage 0.2 --font "$font"
    step python data_scripts/build_dataset.py tickets --annotations $out/tickets_raw --split rank --val 0 --test 0.15
    shown=$out/tickets_raw/images/000000.png
fi
step ocr2 evaluate --model $base --dataset $data --task markdown --output_dir $out/base $longest
step accelerate launch --config_file accelerate_configs/cpu.yaml --num_cpu_threads_per_process 2 -m ocr2_hf train \
    recipes/tiny/lora.yaml --model $base --dataset $data --output_dir $out/model --num_train_epochs 5 --per_device_train_batch_size 8 \
    --eval_strategy no --save_strategy no
step ocr2 evaluate --model $out/model --dataset $data --task markdown --output_dir $out/tuned $longest
step ocr2 read "$shown" --model $out/model --output_dir $out/page
# The table, and the same pages before and after, boxes and text.
step ocr2 evaluate --compare $out/base $out/tuned --output_dir $out/report

printf '\nReport: %s\nPage:   %s\n' "$out/report/report.html" "$out/page/$(basename "$shown" .png).md"
