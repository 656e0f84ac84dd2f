# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Conversations in which clips stand beside texts, as messages of Transformers' chat templates and of chat APIs."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from .code_ids_llm_codec import AudioCodes
from .prompts_llm_codec import Content, FewShotTemplate

Message = Mapping[str, Any]
ITEMS = '{"type": "text", "text": …} or {"type": "audio", "audio_codes": …}'


def few_shot_conversation(
    template: FewShotTemplate,
    examples: Iterable[tuple[Content, Content]],
    query: Content,
    labels: Sequence[str] | None,
    instruction: bool | str,
    repeats: int,
) -> list[dict[str, Any]]:
    """A few-shot prompt as turns: an input is the user's, an output the assistant's. Errors as `support_segments`."""
    segments = template.support_segments(examples, labels, instruction, repeats)
    first = [_item(segments.pop(0).strip() + "\n")] if len(segments) % 5 else []  # five segments make a demonstration
    messages: list[dict[str, Any]] = []
    for start in range(0, len(segments), 5):
        _, source, _, output, _ = segments[start : start + 5]
        messages += [
            {"role": "user", "content": [*first, _item(source)]},
            {"role": "assistant", "content": [_item(output)]},
        ]
        first = []
    return [*messages, {"role": "user", "content": [*first, _item(query)]}]


def _item(content: Content) -> dict[str, Any]:
    if isinstance(content, str):
        return {"type": "text", "text": content.lstrip()}
    return {"type": "audio", "audio_codes": content}


def as_texts(conversation: Iterable[Message], write: Callable[[AudioCodes], str]) -> list[dict[str, Any]]:
    """
    A conversation whose contents are texts.

    Args:
        conversation (`Iterable[Mapping]`): Messages with a `role` and a `content`: a text, or a list of items, each
            `{"type": "text", "text": …}` or `{"type": "audio", "audio_codes": …}`.
        write (`Callable`): The text that stands for a clip's codes.

    Raises:
        ValueError: for what is no message, and for an item of another type.
    """
    if isinstance(conversation, (str, bytes, Mapping)) or not isinstance(conversation, Iterable):
        raise ValueError(f"A conversation is a list of messages, got {type(conversation).__name__}.")
    texts = []
    for number, message in enumerate(conversation):
        if not isinstance(message, Mapping) or "role" not in message or "content" not in message:
            raise ValueError(f"Message {number} has a `role` and a `content`, got {message!r:.80}.")
        content = message["content"]
        if not isinstance(content, str):
            if not isinstance(content, Sequence):
                raise ValueError(f"The content of message {number} is a text or a list of items, got {content!r:.80}.")
            content = "".join(_text(item, write, number) for item in content)
        texts.append({**message, "content": content})
    return texts


def _text(item: Any, write: Callable[[AudioCodes], str], number: int) -> str:
    if isinstance(item, Mapping):
        if item.get("type") == "text" and isinstance(item.get("text"), str):
            return item["text"]
        if item.get("type") == "audio" and item.get("audio_codes") is not None:
            return write(item["audio_codes"])
    shown = {key: item[key] for key in list(item)[:4]} if isinstance(item, Mapping) else item
    raise ValueError(
        f"Message {number} has items {ITEMS}; got {shown!r:.120}. Audio goes through the codec's `encode` first."
    )


__all__ = ["as_texts", "few_shot_conversation"]
