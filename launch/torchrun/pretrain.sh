#!/usr/bin/env bash
# Pre-training under torchrun: 2 nodes, 8 processes a node.
# Made by `rnfm launch torchrun`; make it again rather than edit it.
#
# Start it on every node, each with its own NODE_RANK, all with the address of node 0:
#   MASTER_ADDR=10.0.0.1 NODE_RANK=0 ./pretrain.sh     # on 10.0.0.1
#   MASTER_ADDR=10.0.0.1 NODE_RANK=1 ./pretrain.sh     # on the next, and so on
# The ranks speak to one another unencrypted and unauthenticated: use a private network.
# If a rank fails, all end; start again and training goes on from the newest verified checkpoint (resume: auto).
set -euo pipefail
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"

# `--` ends torchrun's own options: without it, it takes some of ours for short forms of its own.
exec torchrun \
  --nnodes=2 --node-rank="${NODE_RANK:?give this node a number from 0 to 1}" \
  --rdzv-backend=static --rdzv-endpoint="${MASTER_ADDR:?give the address of node 0}:${MASTER_PORT:-29500}" \
  --nproc-per-node=8 --max-restarts=0 \
  --module -- rnfm pretrain --config pretrain.yaml
