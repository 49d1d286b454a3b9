#!/bin/bash
# Training on the GPUs of several nodes:  sbatch deploy/slurm-train.sh DATA RUN
# A job that SLURM queues again goes on from the last checkpoint. DATA and RUN lie on a disk that all nodes share.
# Without SLURM, the same line on every node, where HOST is one of them:
#   torchrun --nnodes 2 --nproc-per-node 4 --rdzv-backend c10d --rdzv-id RUN --rdzv-endpoint HOST:29500 \
#     -m twostream train DATA --out RUN --nodes 2 --devices 4
#SBATCH --job-name=twostream-train
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=4
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=8
#SBATCH --mem=64G
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --output=%x-%j.log
set -euo pipefail

data=${1:?usage: sbatch slurm-train.sh DATA RUN}
run=${2:?usage: sbatch slurm-train.sh DATA RUN}

# a process a GPU; when one fails, all end at once
srun --kill-on-bad-exit twostream train "$data" --out "$run" \
  --nodes "$SLURM_NNODES" --devices "$SLURM_NTASKS_PER_NODE" --accelerator gpu
