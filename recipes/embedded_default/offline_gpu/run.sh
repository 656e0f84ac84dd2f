#!/usr/bin/env bash
# One run on the machine, from the repository's root: run.sh CARRY RUN OUT MINUTES [llm-codec train options]
# It goes on with RUN if the machine still has it, else from CARRY/warm_start.
set -euo pipefail
carry=$1 run=$2 out=$3 minutes=$4
shift 4
if [ -d "$carry/wheels" ]; then # what Python lacks there
    site=$(mktemp -d)
    python3 -m pip install -q --no-index --no-deps --no-compile --target "$site" "$carry"/wheels/*.whl
    export PYTHONPATH="$site:$PWD"
fi
mkdir -p "$run" "$out"
OMP_NUM_THREADS=1 python3 recipes/embedded_default/offline_gpu/train_alone.py "$carry/train_gpu.yaml" \
    --data "$carry/audio" --language_model "$carry/vocabulary" --feature_encoder "$carry/whisper" \
    --init_from "$carry/warm_start" --output_dir "$run" --max_minutes "$minutes" "$@"
cp "$run/log.jsonl" "$out/"
# the averaged weights in half precision, in parts of 15 MiB
python3 -m llm_codec_hf.training.warm_start "$run" "$run/warm_start"
split -b 15M "$run/warm_start/averages.safetensors" "$out/averages.part."
