#!/usr/bin/env bash
# Packs what a GPU machine without network needs: pack.sh AUDIO/train DICTIONARY CARRY
# The folders of CARRY can travel one after another, where a trip takes little.
set -euo pipefail
audio=$1 dictionary=$2 carry=$3
here=$(dirname "$0")
mkdir -p "$carry/audio"
# audio as FLAC in a few files, then as Opus (7 MB per hour), which ffmpeg writes much faster than libsndfile
flac=$(mktemp -d)/flac
python -m llm_codec_hf.training.shards --audio_dir "$audio" --output_dir "$flac" --format flac --max_megabytes 40
for shard in "$flac"/*.flac; do
    ffmpeg -nostdin -v error -y -i "$shard" -c:a libopus -b:a 16k -compression_level 3 \
        "$carry/audio/$(basename "$shard" .flac).opus"
done
sed 's/\.flac"/.opus"/g' "$flac/index.json" >"$carry/audio/index.json"
# the entries' embeddings in place of the language model, and Whisper's first layers, in half precision
python "$here/pack_models.py" "$here/../train_gpu.yaml" "$dictionary" "$audio" "$carry"
cp -r "$here/../warm_start" "$here/../train_gpu.yaml" "$carry/"
du -sh "$carry"/*
