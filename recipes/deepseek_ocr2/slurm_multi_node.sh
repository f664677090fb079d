#!/usr/bin/env bash
# Train on several machines under SLURM, ZeRO-3 over all their GPUs. From the root of the checkout, on a shared disk:
# sbatch recipes/deepseek_ocr2/slurm_multi_node.sh recipes/deepseek_ocr2/full.yaml --dataset NAME --output_dir SHARED_DIR
# The dataset must be built where every machine finds it: point HF_HOME at a shared disk, or build it on each.
#SBATCH --job-name=ocr2
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=32
#SBATCH --output=%x-%j.log
# Five minutes before the time is up the run saves and ends; the same sbatch goes on from there.
#SBATCH --signal=TERM@300
set -euo pipefail

mapfile -t machines < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
processes=$((SLURM_NNODES * SLURM_GPUS_ON_NODE))
port=$((20000 + SLURM_JOB_ID % 10000)) # jobs that share a machine must not meet

# SLURM_NODEID is known only to the task on each machine: srun starts a shell there that reads it.
# shellcheck disable=SC2016
srun --kill-on-bad-exit=1 bash -c 'accelerate launch --config_file accelerate_configs/multi_node_zero3.yaml \
    --num_machines "$SLURM_NNODES" --machine_rank "$SLURM_NODEID" --num_processes "$1" \
    --main_process_ip "$2" --main_process_port "$3" -m ocr2_hf train "${@:4}"' \
    train "$processes" "${machines[0]}" "$port" "$@"
