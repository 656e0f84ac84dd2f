# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""
Sorts held-out clips into a folder a label, for `examples/few_shot_accuracy.py`.

    python examples/embedded_default/label_percussion.py --heldout_dir AUDIO/heldout --output_dir CLIPS

The kit GMRockKit is left out: its five loudnesses of one drum would make a query's examples its near copies.
"""

import argparse
import shutil
from pathlib import Path

# label -> patterns in sonic-pi-samples (CC0) and in the TR-808 kit of hydrogen-data
LABELS = {
    "kick": ["bd_*", "drum_bass_*", "drum_heavy_kick*", "elec_*_kick*", "*808_Kick*"],
    "snare": ["sn_*", "drum_snare_*", "elec_*snare*", "*808_Snare*"],
    "cymbal": ["drum_cymbal_*", "drum_splash_*", "elec_cymbal*", "*808_Cymbal*", "*808_Hat*"],
    "tom": ["drum_tom_*", "elec_fuzz_tom*", "*808_Tom*", "*808_Conga*"],
    "tabla": ["tabla_*"],
    "bass": ["bass_*"],
    "ambient": ["ambi_*"],
}


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--heldout_dir", type=Path, required=True)
    parser.add_argument("--output_dir", type=Path, required=True)
    args = parser.parse_args(argv)
    for label, patterns in LABELS.items():
        folder = args.output_dir / label
        folder.mkdir(parents=True, exist_ok=True)
        for source in ("sonic-pi-samples", "hydrogen-data"):
            for pattern in patterns:
                for path in sorted((args.heldout_dir / source).glob(pattern)):
                    shutil.copy(path, folder / path.name)


if __name__ == "__main__":
    main()
