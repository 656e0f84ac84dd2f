# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""Word error rate."""

from llm_codec_hf.metrics.audio_metric import TEXT, AudioMetric
from llm_codec_hf.metrics.recognition import Recognizer, normalize_text


class Wer(AudioMetric):
    """
    Word error rate (0 and up; less is better): a recogniser hears the clip, and `jiwer` counts the words substituted,
    deleted and inserted against the reference text, both normalised as Whisper's authors do (`normalize_text`).

    `details` has what was `heard`, as the recogniser wrote it, the numbers of `errors` and reference `words`, and the
    same by letters, `letter_errors` and `letters`; `corpus` is all errors over all words of the items scored. Fails
    where a reference has no words.

    `compute` also takes `language` (`str`, *optional*), a code such as `"en"`: the recogniser guesses it otherwise; and
    `recognizer` ([`Recognizer`], *optional*), Whisper base by default.
    """

    source = "Radford et al., Robust speech recognition via large-scale weak supervision, arXiv 2212.04356, appendix C"
    references = TEXT
    packages = ("jiwer",)

    def _compute(self, *, predictions, references, sampling_rate, recognizer=None, language=None):
        recognizer = recognizer or Recognizer()
        result = super()._compute(
            predictions=predictions,
            references=references,
            sampling_rate=sampling_rate,
            recognizer=recognizer,
            language=language,
        )
        scored = [known for known in result.get("details", []) if known]
        words = sum(known["words"] for known in scored)
        return result | {"corpus": sum(known["errors"] for known in scored) / words if words else None}

    def score_item(self, prediction, reference, sampling_rate, recognizer, language):
        import jiwer

        words = normalize_text(reference, language)
        if not words:
            raise ValueError(f"the reference {reference!r} has no words")
        heard = recognizer.transcribe(prediction, sampling_rate, language)
        found = normalize_text(heard, language)
        by_words, by_letters = jiwer.process_words(words, found), jiwer.process_characters(words, found)
        errors, letter_errors = (n.substitutions + n.deletions + n.insertions for n in (by_words, by_letters))
        counts = {"errors": errors, "words": len(words.split()), "letter_errors": letter_errors, "letters": len(words)}
        return {"score": by_words.wer, "heard": heard, **counts}
