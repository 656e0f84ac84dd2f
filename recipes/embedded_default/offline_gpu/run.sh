#!/usr/bin/env bash
# One run on the machine, from the repository's root: run.sh CARRY RUN OUT MINUTES [llm-codec train options]
# It goes on with RUN if the machine still has it, else with the parts of a checkpoint in CARRY/checkpoint.
set -euo pipefail
carry=$1 run=$2 out=$3 minutes=$4
shift 4
if [ -d "$carry/wheels" ]; then # what Python lacks there
    site=$(mktemp -d)
    python3 -m pip install -q --no-index --no-deps --no-compile --target "$site" "$carry"/wheels/*.whl
    export PYTHONPATH="$site:$PWD"
fi
mkdir -p "$run" "$out"
if [ ! -f "$run/checkpoint.safetensors" ] && ls "$carry"/checkpoint/part.* >/dev/null 2>&1; then
    cat "$carry"/checkpoint/part.* >"$run/checkpoint.safetensors"
fi
python3 -m llm_codec_cli train "$carry/train.yaml" --data "$carry/audio" --language_model "$carry/vocabulary" \
    --output_dir "$run" --stop_minutes "$minutes" "$@"
cp "$run/log.jsonl" "$out/" || true # none yet after a very short turn
# the codec once it is there, else the checkpoint: in parts of 15 MiB
if [ -d "$run/codec" ]; then
    tar -C "$run" -c codec | split -b 15M - "$out/codec.tar."
else
    split -b 15M "$run/checkpoint.safetensors" "$out/part."
fi
