#!/usr/bin/env bash
# Packs what a GPU machine without network needs, under 64 MiB: pack.sh AUDIO DICTIONARY CARRY [llm-codec train options]
set -euo pipefail
audio=$1 dictionary=$2 carry=$3
shift 3
mkdir -p "$carry"
# about 6 MB an hour
python -m llm_codec_hf.training.shards --audio_dir "$audio" --output_dir "$carry/audio" --format opus --kilobits 12
cp "$(dirname "$0")/train.yaml" "$carry/train.yaml"
# the entries' embeddings in place of the language model (28 MB)
python -m llm_codec_hf.training.vocabulary --dictionary "$dictionary" --num_words 4096 --min_letters 4 \
    --tokens words --num_tokens 8192 --data "$carry/audio" --output_dir "$carry/vocabulary" "$@"
du -sh "$carry"
