#!/usr/bin/env bash
# The first hour with real weights: does a checkpoint do what this repository takes for granted?
#
#     recipes/deepseek_ocr2/verify.sh MODEL [FOLDER]
#
# MODEL is a folder or a Hub id, in either layout. FOLDER (runs/verify) gets verify.json and verify.html. On a GPU, or on
# a CPU with 16 GB and patience. Killed at any point, the same command goes on where it was.
set -euo pipefail
cd "$(dirname "$0")/../.."
exec python recipes/deepseek_ocr2/verify.py "$@"
