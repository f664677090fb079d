#!/usr/bin/env bash
# The tiny twin of recipes/deepseek_ocr2/financial_statements.yaml, on the CPU: the tiny base before and after it learned
# to read small statements as tables, and the statements of three pages as checked spreadsheets.
# Everything lands in runs/statements, the caches too. Killed at any point, the same command goes on where it was.
set -euo pipefail
cd "$(dirname "$0")/../.."

out=runs/statements
base=recipes/tiny/base
export HF_HOME="$PWD/$out/cache" HF_DATASETS_CACHE="$PWD/$out/cache/datasets" HF_HUB_OFFLINE=1
step() { printf '\n== %s\n' "$*"; "$@"; }
folder=$(python -c 'import matplotlib; print(matplotlib.get_data_path())')/fonts/ttf
draw() {
    step python data_scripts/synthesize.py "$out/$1" --kind small_statements --pages "$2" --seed "$3" --damage 0.2 \
        --font "$folder/DejaVuSans.ttf" "$folder/DejaVuSansMono.ttf" "$folder/DejaVuSerif.ttf"
}

draw train_raw 2000 1
draw test_raw 200 99
step python data_scripts/build_dataset.py small_statements --annotations $out/train_raw --val 0 --test 0
step python data_scripts/build_dataset.py small_statements_test --annotations $out/test_raw --val 0 --test 1
step ocr2 evaluate --model $base --dataset small_statements_test --task table --output_dir $out/base --max_new_tokens 300
step accelerate launch --config_file accelerate_configs/cpu.yaml -m ocr2_hf train recipes/tiny/financial_statements.yaml \
    --output_dir $out/model
step ocr2 evaluate --model $out/model --dataset small_statements_test --task table --output_dir $out/tuned \
    --max_new_tokens 300
step python -m ocr2_hf.statements.scores $out/base/predictions.jsonl $out/tuned/predictions.jsonl
step ocr2 evaluate --compare $out/base $out/tuned --output_dir $out/report
step ocr2 statements $out/test_raw/images/000000.png $out/test_raw/images/000001.png $out/test_raw/images/000002.png \
    --model $out/model --to xlsx csv json --output_dir $out/read --max_new_tokens 400

printf '\nReport:     %s\nStatements: %s\n' "$out/report/report.html" "$out/read"
