#!/usr/bin/env bash
# Pre-training under the deepspeed launcher, which starts 8 processes on each host of `hostfile` over ssh.
# Made by `rnfm launch deepspeed`; make it again rather than edit it.
#
# Needs: pdsh here; ssh without a password to every host; the same folder and Python environment at the same path there.
# hostfile: one line a host, `name slots=N` (hostfile.example). Variables for the other hosts: KEY=VALUE lines in
# ./.deepspeed_env. The ranks speak to one another unencrypted and unauthenticated: use a private network.
# If a rank fails, all end; start again and training goes on from the newest verified checkpoint (resume: auto).
set -euo pipefail
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"

# Without a hostfile the launcher would train on this host alone and only warn.
hostfile="${HOSTFILE:-hostfile}"
[ -r "$hostfile" ] || { echo "no hostfile at $hostfile: write one, or set HOSTFILE" >&2; exit 2; }

# --no_local_rank: the rank comes from the environment, as under torchrun.
exec deepspeed --hostfile "$hostfile" --master_port "${MASTER_PORT:-29500}" \
  --no_local_rank --module rnfm pretrain --config pretrain.yaml
