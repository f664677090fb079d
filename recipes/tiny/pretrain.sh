#!/usr/bin/env bash
# Train the base of recipes/tiny/base from nothing: pages, datasets, the model to start from, training, evaluation.
# Everything lands in runs/pretrain.
# Killed at any point, the same command goes on where it was.
set -euo pipefail
cd "$(dirname "$0")/../.."

out=runs/pretrain
export HF_HOME="$PWD/$out/cache" HF_DATASETS_CACHE="$PWD/$out/cache/datasets" HF_HUB_OFFLINE=1
step() { printf '\n== %s\n' "$*"; "$@"; }
draw() {
    step python data_scripts/synthesize.py "$out/$1" --kind "$2" --pages "$3" --seed "$4" --size 192x192 \
        --font "${fonts[@]}" "${@:5}"
}

# Three of the typefaces that come with matplotlib, which the curves need anyway.
folder=$(python -c 'import matplotlib; print(matplotlib.get_data_path())')/fonts/ttf
fonts=("$folder/DejaVuSans.ttf" "$folder/DejaVuSansMono.ttf" "$folder/DejaVuSerif.ttf")

draw primer primer 8000 1
draw ragged ragged 10000 1
draw typed typed 8000 1 --damage 0.2
draw typed_test typed 500 99 --damage 0.2
for name in primer ragged typed; do
    step python data_scripts/build_dataset.py $name --annotations $out/$name --val 0 --test 0
done
step python data_scripts/build_dataset.py typed_test --annotations $out/typed_test --val 0 --test 1
step python recipes/tiny/guided_start.py $out/start
step accelerate launch --config_file accelerate_configs/ddp.yaml --num_processes 2 -m ocr2_hf train \
    recipes/tiny/pretrain.yaml --output_dir $out/model
for task in ocr markdown; do
    step ocr2 evaluate --model $out/model --dataset typed_test --task $task --output_dir $out/$task
done
