# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""`llm-codec convert`; in a clone also `python -m conversion.convert_original_checkpoint`."""

from argparse import ArgumentParser, Namespace

TITLE = "Converts a checkpoint of the original implementation."
DETAILS = "Writes a folder that `from_pretrained` loads, and checks it against the original's tensors."
EXAMPLES = (
    "convert --checkpoint_path X.pth --config_path X.yaml --words_path X.npy --tokenizer X.model --output_dir OUT",
)
REQUIRED = {
    "checkpoint_path": "the original's .pth",
    "config_path": "its options, .yaml or .json",
    "tokenizer": "tokenizer of its language model: a SentencePiece .model, or a folder or id for AutoTokenizer",
    "output_dir": "folder to write; it must not exist, or be empty",
}
OPTIONAL = ("words_path", "keep_embeddings", "push_to_hub")


def add_arguments(parser: ArgumentParser) -> None:
    """Adds the command's options."""
    required = parser.add_argument_group("required")
    for name, text in REQUIRED.items():
        required.add_argument(f"--{name}", required=True, help=text)
    parser.add_argument("--words_path", help="the .npy word list of layer 0; needless only if that has every token")
    parser.add_argument(
        "--keep_embeddings", action="store_true", help="write codebook_embeddings.safetensors too, for training"
    )
    parser.add_argument("--push_to_hub", metavar="REPO", help="Hub repository to upload the folder to, as user/name")


def run(args: Namespace) -> int:
    """Runs the command."""
    import logging

    from llm_codec_hf.conversion.convert import convert, logger

    logging.basicConfig(format="%(message)s")
    logger.setLevel(logging.INFO)
    try:
        convert(**{name: getattr(args, name) for name in (*REQUIRED, *OPTIONAL)})
    except RuntimeError as error:  # the result failed its check
        raise ValueError(str(error)) from error
    return 0
