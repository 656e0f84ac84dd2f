# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""How few-shot prompts are written: the text around clips and labels."""

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from .arguments_llm_codec import whole_number
from .code_ids_llm_codec import AudioCodes
from .fields_llm_codec import from_fields
from .segments_llm_codec import texts

Content = str | AudioCodes  # an input or an output: a text, or a clip's codes
MAX_REPEATS = 1000  # of the demonstrations
PROMPT_LAYERS = (0,)  # the layers that clips in a prompt are written with by default: the words


@dataclass(frozen=True)
class FewShotTemplate:
    r"""
    The text around the clips of a few-shot prompt. The defaults are the original's, for LLaMA 2 (arXiv 2406.10056,
    section on in-context learning). Every stretch of text between two fields is encoded by itself.

    For a byte-level BPE model, whose words begin with their space, a natural one is
    `FewShotTemplate(pair="Input:{input}\nOutput:{output}\n", text=" {text}", label_end="\n")`.

    Args:
        instruction: What comes first, with `{labels}` for the options.
        option: One option in it, with `{label}`.
        separator: What stands between two options.
        pair: A demonstration, with `{input}` before `{output}`; the query is what comes before `{output}`.
        text: How a label, or a text in place of a clip, is written, with `{text}`.
        label_end: What ends a label: a text, or None for the tokenizer's end-of-sequence token.

    Raises:
        ValueError: If a field is missing or occurs twice.
    """

    instruction: str = "For each of the following input output pairs, output is one of [{labels}]\n"
    option: str = "'{label}'"
    separator: str = " or "
    pair: str = "###\nInput: < {input} >\nOutput: {output}"
    text: str = "{text}"
    label_end: str | None = None

    def __post_init__(self):
        for name, fields in {"option": ["{label}"], "pair": ["{input}", "{output}"], "text": ["{text}"]}.items():
            value = getattr(self, name)
            if any(value.count(field) != 1 for field in fields) or sorted(fields, key=value.find) != fields:
                raise ValueError(f"A template's `{name}` has {' then '.join(fields)} once, got {value!r}.")

    @classmethod
    def make(cls, template: "FewShotTemplate | dict | None") -> "FewShotTemplate":
        """
        A template from a template, from its fields as JSON holds them, or the default from None.

        Raises:
            ValueError: For a field that a template does not have, or of another type.
        """
        if dataclasses.is_dataclass(template):  # may be of this class as remote code
            template = dataclasses.asdict(template)
        return from_fields(cls, {} if template is None else template, "A few-shot template")

    @property
    def around(self) -> tuple[str, str, str]:
        """What stands before a demonstration's input, between input and output, and after its output."""
        before, _, rest = self.pair.partition("{input}")
        between, _, after = rest.partition("{output}")
        return before, between, after

    def written(self, content: Content) -> Content:
        """An input or an output as a segment: codes as they are, a text as the template writes it."""
        return self.text.replace("{text}", content) if isinstance(content, str) else content

    def support_segments(
        self,
        examples: Iterable[tuple[Content, Content]],
        labels: Sequence[str] | None = None,
        instruction: bool | str = True,
        repeats: int = 1,
    ) -> list[Content]:
        """
        The texts and clips with which all prompts of one support set begin.

        Args:
            examples: The demonstrations in order, pairs of an input and an output.
            labels: The options that the instruction names; by default the demonstrations' labels, each once, in order
                of appearance.
            instruction: Whether the template's instruction comes first; or another text to come first.
            repeats: How many times the whole list of demonstrations is written.

        Raises:
            ValueError: If a demonstration is no pair, if the instruction has no labels to name, or if `repeats` is
                below 1.
        """
        if isinstance(examples, (str, bytes)) or not isinstance(examples, Iterable):
            raise TypeError(f"`examples` takes (input, output) pairs, got {type(examples).__name__}.")
        examples = [_pair(example, number) for number, example in enumerate(examples)]
        whole_number("repeats", repeats, 1, MAX_REPEATS)
        if not isinstance(instruction, (bool, str)):
            raise ValueError(f"`instruction` is True, False or a text; got {instruction!r:.60}.")
        labels = None if labels is None else texts("labels", labels)
        segments = []
        if instruction is True:
            labels = labels or list(dict.fromkeys(output for _, output in examples if isinstance(output, str)))
            if not labels:
                raise ValueError(
                    "The instruction names the labels, but there are none: give `labels`, or, where the outputs are "
                    "audio, `instruction=False` or an instruction of your own."
                )
            options = self.separator.join(self.option.replace("{label}", label) for label in labels)
            segments.append(self.instruction.replace("{labels}", options))
        elif instruction:
            segments.append(instruction)
        before, between, after = self.around
        for source, output in examples * repeats:
            segments += [before, self.written(source), between, self.written(output), after]
        return segments

    def query_segments(self, query: Content) -> list[Content]:
        """The texts and the clip of a query, up to where its output begins."""
        before, between, _ = self.around
        return [before, self.written(query), between]


def _pair(example: Any, number: int) -> tuple[Content, Content]:
    if not isinstance(example, (list, tuple)) or len(example) != 2:
        raise ValueError(
            f"Demonstration {number} is an (input, output) pair, each a clip's codes or a text; got "
            f"{type(example).__name__}{f' of {len(example)}' if isinstance(example, (list, tuple)) else ''}."
        )
    return tuple(example)


__all__ = ["FewShotTemplate"]
