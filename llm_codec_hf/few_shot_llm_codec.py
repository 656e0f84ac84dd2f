# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Few-shot prompts as the processor writes them: token ids for a language model, messages for one that converses."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .code_ids_llm_codec import Layers, as_tensor
from .code_layout_llm_codec import DEFAULT_LAYOUT
from .conversation_llm_codec import Message, as_texts, few_shot_conversation
from .prompts_llm_codec import PROMPT_LAYERS, Content, FewShotTemplate
from .segments_llm_codec import interleave

Template = FewShotTemplate | dict | None


class FewShotPrompts:
    """The processor's methods that write few-shot prompts, upon its `template` and its `segments_to_ids`."""

    def few_shot_prompt(
        self,
        examples: Iterable[tuple[Content, Content]],
        query: Content,
        labels: Sequence[str] | None = None,
        instruction: bool | str = True,
        repeats: int = 1,
        layers: Layers = PROMPT_LAYERS,
        layout: str = DEFAULT_LAYOUT,
        template: Template = None,
    ) -> list[int]:
        """The ids of a few-shot prompt, to which the language model's continuation is the query's output.

        With the default template and LLaMA 2's tokenizer it is the original's prompt, id for id (arXiv 2406.10056). It
        is `few_shot_support` and `few_shot_query`, one after the other.

        Args:
            examples: The demonstrations in order, pairs of an input and an output. Both may be a clip's codes or a text
                (a label): understanding takes codes and labels, generation texts or codes and codes.
            query: The input to answer, codes or a text.
            labels: The options that the instruction names; by default the demonstrations' labels, each once, in order
                of appearance.
            instruction: Whether the template's instruction comes first; or another text to come first.
            repeats: How many times the whole list of demonstrations is written (the "repeats" of Frozen, Tsimpoukelli
                et al. 2021, which the paper takes over).
            layers: The clips' layers to write; None for all.
            layout: Their layout.
            template: A template or its fields, in place of the processor's.

        Returns:
            The ids, with the beginning-of-sequence token if the tokenizer puts one in front by itself.

        Raises:
            ValueError: If a demonstration is no pair, if the instruction has no labels to name, if `repeats` is below
                1, or for codes that `codes_to_ids` refuses.
        """
        support = self.few_shot_support(examples, labels, instruction, repeats, layers, layout, template)
        return support + self.few_shot_query(query, layers, layout, template)

    def few_shot_support(
        self,
        examples: Iterable[tuple[Content, Content]],
        labels: Sequence[str] | None = None,
        instruction: bool | str = True,
        repeats: int = 1,
        layers: Layers = PROMPT_LAYERS,
        layout: str = DEFAULT_LAYOUT,
        template: Template = None,
    ) -> list[int]:
        """What the prompts of one support set begin with: instruction and demonstrations.

        Args, Returns and Raises: as `few_shot_prompt`.
        """
        segments = self._template(template).support_segments(examples, labels, instruction, repeats)
        return self._segment_encoder.leading_ids() + self.segments_to_ids(segments, layers, layout)

    def few_shot_query(
        self,
        query: Content,
        layers: Layers = PROMPT_LAYERS,
        layout: str = DEFAULT_LAYOUT,
        template: Template = None,
    ) -> list[int]:
        """What follows `few_shot_support` in a prompt: the query, up to where its output begins.

        Args, Returns and Raises: as `few_shot_prompt`.
        """
        return self.segments_to_ids(self._template(template).query_segments(query), layers, layout)

    def label_ids(self, label: str, template: Template = None) -> list[int]:
        """The ids that a language model writes for a label after a few-shot prompt, with what ends it.

        Args:
            label: The label.
            template: As in `few_shot_prompt`.

        Returns:
            The ids of the label and of its end.

        Raises:
            ValueError: If the template leaves the end to the tokenizer's end-of-sequence token, and it has none.
        """
        if not isinstance(label, str):
            raise TypeError(f"`label` takes a text, got {label!r:.60}.")
        template = self._template(template)
        text = template.written(label)
        if template.label_end is not None:
            return self.segments_to_ids([text, template.label_end])
        if self.tokenizer.eos_token_id is None:
            raise ValueError("The tokenizer has no end-of-sequence token: give the template a `label_end`.")
        return self.segments_to_ids([text]) + [self.tokenizer.eos_token_id]

    def output_end_ids(self, template: Template = None) -> set[int]:
        """The ids with which a language model can end an output of open length.

        Args:
            template: As in `few_shot_prompt`.

        Returns:
            The first id of what follows an output in a prompt, and the tokenizer's end-of-sequence token, of those that
            exist.
        """
        before, _, after = self._template(template).around
        following = self.segments_to_ids([after, before])[:1]
        return {i for i in [*following, self.tokenizer.eos_token_id] if i is not None}

    def few_shot_messages(
        self,
        examples: Iterable[tuple[Content, Content]],
        query: Content,
        labels: Sequence[str] | None = None,
        instruction: bool | str = True,
        repeats: int = 1,
        template: Template = None,
    ) -> list[dict[str, Any]]:
        """A few-shot prompt as a conversation, for language models that were trained to converse: every input is a
        message of the user, every output one of the assistant, and the last message is the query.

        Clips are items `{"type": "audio", "audio_codes": codes}`: `apply_chat_template` writes them in the language
        model's ids, `messages_to_text` in words for a chat API.

        Args, Returns and Raises: as `few_shot_prompt`, but for messages in place of ids.
        """
        return few_shot_conversation(self._template(template), examples, query, labels, instruction, repeats)

    def messages_to_text(self, conversation: Iterable[Message], layers: Layers = PROMPT_LAYERS) -> list[dict[str, Any]]:
        """A conversation with words in place of clips, as chat APIs take it.

        Args:
            conversation: Messages with a `role` and a `content`: a text, or a list of items, each `{"type": "text",
                "text": …}` or `{"type": "audio", "audio_codes": …}`.
            layers: The clips' layers to write, one per line.

        Returns:
            The messages, the content of each a text.

        Raises:
            ValueError: For what is no message, and for codes that `codes_to_text` refuses.
        """
        return as_texts(conversation, lambda codes: self.codes_to_text(as_tensor(codes, ndim=2), layers))

    def apply_chat_template(
        self,
        conversation: Sequence,
        chat_template: str | None = None,
        add_generation_prompt: bool = False,
        tokenize: bool = False,
        return_dict: bool = False,
        return_tensors: str | None = None,
        layers: Layers = PROMPT_LAYERS,
        layout: str = DEFAULT_LAYOUT,
        padding: bool | str | None = None,
        padding_side: str = "left",
        **kwargs,
    ):
        """Writes conversations by the language model's chat template, with clips as `{"type": "audio", "audio_codes":
        codes}` among the items of a message's content.

        Args:
            conversation: A list of messages, or a list of such lists.
            chat_template: A Jinja template in place of the tokenizer's.
            add_generation_prompt: Whether the beginning of the assistant's answer comes last.
            tokenize: Whether ids are wanted; otherwise the text, with words in the clips' place.
            return_dict: Whether ids come as `input_ids` with an `attention_mask`.
            return_tensors: "pt" or "np" for tensors.
            layers: The clips' layers to write; None for all.
            layout: Their layout.
            padding: Whether several conversations are padded to the longest.
            padding_side: The side.
            kwargs: For the template, such as `tools` or `enable_thinking`.

        Returns:
            A text, or ids (a `BatchFeature` if `return_dict`); a list of these for several conversations.

        Raises:
            ValueError: For what is no message, for a text that holds the placeholder `<audio>`, and where there is no
                chat template.
        """
        batched = bool(conversation) and not isinstance(conversation[0], Mapping)
        clips: list[list] = []
        texts = []
        for messages in conversation if batched else [conversation]:
            clips.append([])
            if any(self.audio_token in message["content"] for message in as_texts(messages, lambda codes: "")):
                raise ValueError(f"A text of the conversation holds {self.audio_token!r}, which stands for clips.")
            plain = as_texts(messages, lambda codes: clips[-1].append(codes) or self.audio_token)
            text = self.tokenizer.apply_chat_template(
                plain,
                chat_template=chat_template or self.chat_template,
                add_generation_prompt=add_generation_prompt,
                tokenize=False,
                **kwargs,
            )
            texts.append(text)
        if not tokenize:
            shown = [self._shown_clips(text, some, layers) for text, some in zip(texts, clips)]
            return shown if batched else shown[0]
        written = {"layers": layers, "layout": layout, "padding": padding, "padding_side": padding_side}
        tensors = None if return_tensors in (None, "auto") else return_tensors
        batch = self(
            text=texts if batched or tensors else texts[0],
            audio_codes=clips if batched or tensors else clips[0],
            add_special_tokens=False,
            return_tensors=tensors,
            **written,
        )
        return batch if return_dict else batch["input_ids"]

    def _shown_clips(self, text: str, clips: Sequence, layers: Layers) -> str:
        segments = interleave(text, list(clips), self.audio_token)
        return "".join(s if isinstance(s, str) else self.codes_to_text(as_tensor(s, ndim=2), layers) for s in segments)

    def _template(self, template: Template) -> FewShotTemplate:
        return self.template if template is None else FewShotTemplate.make(template)


__all__ = ["FewShotPrompts"]
