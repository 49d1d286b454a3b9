#!/bin/bash
# Frames and flow of many videos, each part a job of its own:  sbatch deploy/slurm-extract.sh DATA STORE
# The same line goes on where jobs were stopped. DATA and STORE lie on a disk that all nodes share; the array has to be
# whole, from 1.
#SBATCH --job-name=twostream-extract
#SBATCH --array=1-8
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=8
#SBATCH --mem=8G
#SBATCH --time=12:00:00
#SBATCH --requeue
#SBATCH --output=%x-%A-%a.log
set -euo pipefail

data=${1:?usage: sbatch slurm-extract.sh DATA STORE}
store=${2:?usage: sbatch slurm-extract.sh DATA STORE}

# srun hands SIGTERM on, by which twostream ends in order; shards count from 1, as the array does
srun twostream extract "$data" --store "$store" \
  --shard "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT" --workers "$SLURM_CPUS_PER_TASK"
