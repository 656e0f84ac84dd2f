# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Which words and tokens of a language model a codec speaks, and their frozen embeddings."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoTokenizer, HfArgumentParser, PreTrainedTokenizerBase

from ..configuration_llm_codec import LLMCodecConfig
from ..embedded import default_language_model
from ..feature_extraction_llm_codec import LLMCodecFeatureExtractor
from ..processing_llm_codec import LLMCodecProcessor
from .configuration import TrainingConfig

# How vocabularies write a word's beginning: a space, as BPE of bytes ("Ġ") and SentencePiece ("▁") have it.
WORD = re.compile(r"[Ġ▁][a-z]+")
VOCABULARY_NAME = "vocabulary.safetensors"
BYTE = re.compile(r"<0x[0-9A-F]{2}>")


@dataclass
class Vocabulary:
    """
    The entries of a codec, and their frozen embeddings.

    Args:
        tokenizer: The language model's.
        words: Layer 0's, as the processor takes them.
        word_ids: Token ids of each.
        token_ids: Token id of every entry of the last layer.
        word_table: `(words, dim)`. A word's row is the mean of its tokens' rows (arXiv 2406.10056).
        token_table: `(tokens, dim)`.
        coarse_tokens: How many of these tokens the layers between the first and the last have; all by default.
    """

    tokenizer: PreTrainedTokenizerBase
    words: list[str]
    word_ids: list[list[int]]
    token_ids: list[int]
    word_table: torch.Tensor
    token_table: torch.Tensor
    coarse_tokens: int | None = None

    def tables(self, num_layers: int) -> list[torch.Tensor]:
        """The table of every layer."""
        return self._per_layer(self.word_table, self.token_table, num_layers)

    def _per_layer(self, words, tokens, num_layers: int) -> list:
        return [words, *[tokens[: self.coarse_tokens]] * (num_layers - 2), tokens][:num_layers]

    def processor(self, config: LLMCodecConfig, template=None) -> LLMCodecProcessor:
        """The processor of a codec with these entries."""
        return LLMCodecProcessor(
            LLMCodecFeatureExtractor(sampling_rate=config.sampling_rate),
            self.tokenizer,
            words=self.words,
            token_ids=self._per_layer(self.word_ids, self.token_ids, config.num_codebooks),
            vq_strides=config.vq_strides,
            template=template,
        )

    def save(self, folder: str | Path) -> None:
        """Writes all that training needs of the language model, for where the model itself would be too large: a folder
        that stands for it as `language_model`."""
        self.tokenizer.save_pretrained(folder)
        lists = {name: getattr(self, name) for name in ("words", "word_ids", "token_ids", "coarse_tokens")}
        tables = {"words": self.word_table.contiguous(), "tokens": self.token_table.contiguous()}
        save_file(tables, Path(folder) / VOCABULARY_NAME, metadata={name: json.dumps(x) for name, x in lists.items()})

    @classmethod
    def load(cls, folder: str | Path) -> "Vocabulary":
        """Reads what `save` wrote."""
        with safe_open(Path(folder) / VOCABULARY_NAME, framework="pt") as file:
            lists = {name: json.loads(text) for name, text in file.metadata().items()}
            tables = {"word_table": file.get_tensor("words"), "token_table": file.get_tensor("tokens")}
        return cls(AutoTokenizer.from_pretrained(folder), **lists, **tables)


def open_vocabulary(config: TrainingConfig) -> Vocabulary:
    """The entries that a run asks for, of its language model or of a folder that `Vocabulary.save` wrote."""
    folder = config.language_model or default_language_model()
    if (Path(folder) / VOCABULARY_NAME).is_file():
        return Vocabulary.load(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype="auto")
    embeddings = model.get_input_embeddings().weight.detach()
    return make_vocabulary(AutoTokenizer.from_pretrained(folder), embeddings, config)


def single_token_words(tokenizer: PreTrainedTokenizerBase) -> dict[str, int]:
    """The tokens that are a whole lower-case word after a space: word → id, by id, which is about by frequency."""
    special = set(tokenizer.all_special_ids)
    vocabulary = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    return {token[1:]: id for token, id in vocabulary if WORD.fullmatch(token) and id not in special}


def plain_tokens(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """The ids of all tokens that are neither special nor a single byte, by id."""
    special = set(tokenizer.all_special_ids) | set(tokenizer.added_tokens_decoder)
    vocabulary = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    # BPE of bytes writes a byte as a letter
    single_letters = any(token.startswith("Ġ") for token, _ in vocabulary)
    is_byte = lambda token: BYTE.fullmatch(token) or single_letters and len(token) == 1  # noqa: E731
    return [id for token, id in vocabulary if id not in special and not is_byte(token)]


def make_vocabulary(tokenizer: PreTrainedTokenizerBase, embeddings: torch.Tensor, config: TrainingConfig) -> Vocabulary:
    """
    Chooses the entries that a run asks for.

    Args:
        tokenizer: The language model's.
        embeddings: Its input embeddings, `(vocabulary, dim)`.
        config: The run.

    Raises:
        ValueError: If a list has too few words, a word twice, or one that the tokenizer cannot write.
    """
    single = single_token_words(tokenizer)
    listed = read_words(config.words) if config.words else list(single)
    if config.dictionary:
        dictionary = set(read_words(config.dictionary))
        listed = [word for word in listed if word in dictionary]
    listed = [word for word in dict.fromkeys(listed) if len(word) >= config.min_letters][: config.num_words]
    space = leading_space(tokenizer, single)
    words = [space + word for word in listed]
    word_ids = [
        [single[word]] if word in single else tokenizer.encode(text, add_special_tokens=False)
        for word, text in zip(listed, words)
    ]
    if empty := [word for word, ids in zip(listed, word_ids) if not ids]:
        raise ValueError(f"The tokenizer writes these words with no token: {empty[:5]}; take them from the list.")
    if len(words) < 2:
        raise ValueError(
            f"Layer 0 needs at least two words, found {len(words)} of {config.min_letters} letters or more"
            f" in {config.words or config.dictionary or 'the tokenizer'}; name a file of words (`words`)."
        )
    tokens = list(single.values()) if config.tokens == "words" else plain_tokens(tokenizer)
    tokens = tokens[: config.finest_tokens or config.num_tokens]
    word_table = torch.stack([embeddings[ids].float().mean(dim=0) for ids in word_ids])
    coarse = config.num_tokens if config.finest_tokens else None
    return Vocabulary(tokenizer, words, word_ids, tokens, word_table, embeddings[tokens].float(), coarse)


def leading_space(tokenizer: PreTrainedTokenizerBase, words: dict[str, int]) -> str:
    """What stands before a word so that it is encoded as inside a sentence: a space, unless the tokenizer adds it."""
    for word, id in words.items():
        for space in ("", " "):
            if tokenizer.encode(space + word, add_special_tokens=False) == [id]:
                return space
    return " "


def read_words(path: str | Path) -> list[str]:
    """The words of a file, one per line."""
    return [line.strip() for line in Path(path).read_text(encoding="utf-8").splitlines() if line.strip()]


def main() -> None:
    """`python -m llm_codec_hf.training.vocabulary`, with options of a run: writes its vocabulary to `--output_dir`."""
    (config,) = HfArgumentParser(TrainingConfig).parse_args_into_dataclasses()
    open_vocabulary(config).save(config.output_dir)


if __name__ == "__main__":
    main()
