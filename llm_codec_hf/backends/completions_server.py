# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""
A served language model as a backend: the codec's words are ordinary token ids, so any server of the OpenAI-compatible
completions API that takes prompts as id lists answers our requests (vLLM, llama.cpp's server and others).
"""

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import cached_property
from typing import Any, TypeVar
from urllib.parse import urlsplit

import torch
from transformers import PreTrainedTokenizerBase

from ..requests_llm_codec import GenerateRequest, LanguageModelError, ScoreRequest

Request = TypeVar("Request", ScoreRequest, GenerateRequest)
Answer = TypeVar("Answer")

# Servers fill in what a request leaves out from their own settings or from the model's generation config. These are
# the neutral values, so that a request alone says what is drawn from; `repeat_penalty` is llama.cpp's name.
NEUTRAL = {
    "top_k": -1,
    "min_p": 0.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "repetition_penalty": 1.0,
    "repeat_penalty": 1.0,
}

# How we ask for ids: vLLM 0.10.2 and later, vLLM before it (in its log-probabilities).
WITH_IDS = {"return_token_ids": True, "return_tokens_as_token_ids": True, "logprobs": 1}

# llama.cpp's server is silent about the log-probabilities of an id that ends inside a character. This makes it write a
# whole one; the log-probabilities are still those before the grammar. Servers that do not know grammars pass over it.
WHOLE_CHARACTER = {"grammar": 'root ::= "a"'}

# Of the most probable next ids, how many to ask for until all that are wanted are among them; the last is more than a
# vocabulary has.
TOP = (64, 1024, 16384, 1 << 20)

MAX_QUOTE = 500  # characters of a server's answer in an error


class CompletionsServer:
    """
    Answers requests by a server of the OpenAI-compatible completions API; a [`~requests_llm_codec.Backend`]. Of models
    that are served for chat alone, `chat` asks conversations.

    Ids go to the server as ids, one request a prompt, and come back as ids. A few requests run at once; one that fails
    for a reason that may pass (no connection, a time limit, 408, 409, 429, 5xx) is sent again, after the seconds that
    the server names in `Retry-After` or a pause that doubles. The first request that fails for good ends the call.

    Args:
        base_url (`str`): Where the API is, such as `http://127.0.0.1:8000/v1`.
        model (`str`, *optional*): The server's name of the model; the one that it serves by default.
        api_key (`str`, *optional*): Sent to the server and never shown; no key is read from the environment.
        tokenizer (`PreTrainedTokenizerBase`, *optional*): Encodes the text of servers that return no ids. The ids are
            then those of the text, which the language model may have written with others.
        timeout_s (`float`, defaults to 120): Seconds of silence after which a request counts as failed.
        max_retries (`int`, defaults to 4): How often a request is sent again.
        max_concurrency (`int`, defaults to 16): Requests at once.

    Raises:
        ImportError: where the `openai` package is not installed.
        ValueError: for an address that is no `http` or `https` URL or has a query, and for numbers that mean nothing.
    """

    def __init__(
        self,
        base_url: str,
        model: str | None = None,
        api_key: str | None = None,
        tokenizer: PreTrainedTokenizerBase | None = None,
        timeout_s: float = 120.0,
        max_retries: int = 4,
        max_concurrency: int = 16,
    ):
        try:
            import openai
        except ImportError as error:
            raise ImportError(
                "A server's answers come through the `openai` package: run `pip install 'llm-codec-hf[server]'`."
            ) from error
        address = urlsplit(base_url)
        # a user's name and password, or a key in the query, are not for an error message
        self.url = f"{address.scheme}://{address.netloc.rpartition('@')[2]}{address.path}".rstrip("/")
        if address.scheme not in ("http", "https") or not address.hostname or address.query:
            raise ValueError(
                f"`base_url` is a URL without a query, such as 'http://127.0.0.1:8000/v1'; got {self.url!r}"
                f"{' and a query: pass a key as `api_key`' if address.query else ''}."
            )
        if timeout_s <= 0 or max_retries < 0 or max_concurrency < 1:
            raise ValueError(
                f"`timeout_s` is above 0, `max_retries` 0 or more, `max_concurrency` 1 or more; got {timeout_s}, "
                f"{max_retries}, {max_concurrency}."
            )
        self.model, self.tokenizer, self.max_concurrency = model, tokenizer, max_concurrency
        self._api_key = api_key
        # llama.cpp's own route, which stands beside the API's
        self._native_url = address._replace(path=address.path.rstrip("/").removesuffix("/v1") + "/completion").geturl()
        self._client = openai.OpenAI(
            base_url=base_url, api_key=api_key or "none", timeout=timeout_s, max_retries=max_retries
        )

    def read(self, prefix: list[int]) -> None:
        """Does nothing: servers keep what prompts share by themselves."""

    def generate(
        self, requests: Sequence[GenerateRequest], progress: Callable[[int], object] | None = None
    ) -> list[list[int]]:
        """
        The ids generated for each request, without the stop id.

        A server also ends an answer at its model's own end-of-sequence ids, and may write them: name them in
        `stop_ids`. llama.cpp's server knows no other stop ids; there an answer is cut after it came. Whether the same
        seed draws the same answer is the server's affair.

        Args:
            requests (`Sequence[GenerateRequest]`): Without constraints.
            progress (`Callable`, *optional*): Called with 1 for each request answered, in this thread.

        Raises:
            ValueError: for a request with a constraint, before anything is sent.
            ConnectionError: where no server answers.
            TimeoutError: where the time limit passed.
            RuntimeError: where the server refuses, or its answer holds no ids and no `tokenizer` was given.
        """
        if any(request.constraint is not None for request in requests):
            raise ValueError(
                "A server cannot hold a request's constraint: generate with a model in this process, or leave the "
                "constraint out and read what comes."
            )
        if not requests:
            return []
        generate = self._generate_by_llama_cpp if self._is_llama_cpp else self._generate
        return self._answer_all(generate, requests, progress)

    def score(
        self, requests: Sequence[ScoreRequest], progress: Callable[[int], object] | None = None
    ) -> list[torch.FloatTensor]:
        """
        Summed log-probabilities, `(continuations,)` a request, float32, on the CPU.

        They come from the log-probabilities of the prompt (vLLM's `prompt_logprobs`, the API's `echo`), one request a
        continuation. llama.cpp's server has only those of the next ids: there it is one request for each different
        beginning of a continuation, and again for more of the most probable ids until all that are wanted are among
        them. Both are exact; servers that return neither are refused.

        Args:
            requests (`Sequence[ScoreRequest]`): What to score.
            progress (`Callable`, *optional*): Called with 1 for each request answered, in this thread.

        Raises:
            ConnectionError: where no server answers.
            TimeoutError: where the time limit passed.
            RuntimeError: where the server refuses, and where its answer holds no log-probabilities that we can use.
            LanguageModelError: where these are NaN or infinite.
        """
        if not requests:
            return []
        return self._answer_all(self._scores, requests, progress)

    def chat(
        self,
        conversations: Sequence[Sequence[Mapping[str, str]]],
        max_new_tokens: int,
        progress: Callable[[int], object] | None = None,
    ) -> list[str]:
        """
        The most probable answers to conversations, by the API's route for chat, where a server has no other.

        Clips go as words: `processor.messages_to_text(processor.few_shot_messages(…))` writes such a conversation for
        any language model. The server puts its own chat template around them.

        Args:
            conversations (`Sequence`): Messages of each, with a `role` and a `content` that is a text.
            max_new_tokens (`int`): Tokens that an answer has at most.
            progress (`Callable`, *optional*): Called with 1 for each conversation answered, in this thread.

        Raises:
            ConnectionError: where no server answers.
            TimeoutError: where the time limit passed.
            RuntimeError: where the server refuses, or its answer holds no message.
        """
        return self._answer_all(lambda messages: self._converse(messages, max_new_tokens), conversations, progress)

    def _converse(self, messages: Sequence[Mapping[str, str]], max_new_tokens: int) -> str:
        fields = {"max_tokens": max_new_tokens, "temperature": 0}  # what else is neutral, not every chat API takes
        body = {"model": self._model, "messages": [dict(message) for message in messages], **fields}
        answer = self._post("/chat/completions", body)
        choices = answer.get("choices") if isinstance(answer, dict) else None
        message = choices[0].get("message") if choices and isinstance(choices[0], dict) else None
        if not isinstance(message, dict):
            raise RuntimeError(
                f"The server at {self.url} answered a conversation without a message: {self._quote(answer)}. Does it "
                "serve chat?"
            )
        return message.get("content") or ""

    def _scores(self, request: ScoreRequest) -> torch.FloatTensor:
        score = self._score_next_ids if self._is_llama_cpp else self._score_in_prompt
        scores = torch.tensor(score(request.prompt, request.continuations))
        if not torch.isfinite(scores).all():
            raise LanguageModelError(
                f"The language model {self._model} of the server at {self.url} gives NaN or infinite scores: try "
                "another dtype there, and look whether its weights are whole."
            )
        return scores

    def _answer_all(
        self, answer: Callable[[Request], Answer], requests: Sequence[Request], progress: Callable[[int], object] | None
    ) -> list[Answer]:
        with ThreadPoolExecutor(self.max_concurrency) as pool:
            futures = [pool.submit(answer, request) for request in requests]
            try:
                for future in as_completed(futures):
                    future.result()
                    if progress is not None:
                        progress(1)
            except BaseException:  # an interrupt likewise: what has not begun is not sent
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return [future.result() for future in futures]

    def _generate(self, request: GenerateRequest) -> list[int]:
        choice = self._complete(request.prompt, **_fields(request), **WITH_IDS)
        ids = _ids(choice)
        if ids is None and self.tokenizer is None:
            raise RuntimeError(
                f"The server at {self.url} returned text without its token ids: {self._quote(choice)}. Use one that "
                "returns ids (vLLM from 0.10.2, llama.cpp's), or pass `tokenizer=` to encode the text."
            )
        if ids is None:
            ids = self.tokenizer(choice.get("text") or "", add_special_tokens=False)["input_ids"]
        return _cut(ids, request)

    def _generate_by_llama_cpp(self, request: GenerateRequest) -> list[int]:
        # the API's route has ids only in the log-probabilities, and not those that end inside a character
        body = {"prompt": request.prompt, "return_tokens": True, **NEUTRAL, **_fields(request)}
        answer = self._post(self._native_url, body)
        ids = answer.get("tokens") if isinstance(answer, dict) else None
        if ids is None or len(ids) != answer.get("tokens_predicted"):
            raise RuntimeError(
                f"llama.cpp's server at {self.url} did not return the ids that it wrote: {self._quote(answer)}. Use a "
                "version that knows `return_tokens` (from 2025)."
            )
        self._check_prompt(request.prompt, answer.get("tokens_evaluated"))
        return _cut(ids, request)

    def _score_in_prompt(self, prompt: list[int], continuations: list[list[int]]) -> list[float]:
        scores = []
        for continuation in continuations:
            ids = prompt + continuation
            # not every server takes `max_tokens=0`, and `prompt_logprobs=0` reads like none
            choice = self._complete(
                ids,
                max_tokens=1,
                temperature=0,
                echo=True,
                logprobs=1,
                prompt_logprobs=1,
                return_tokens_as_token_ids=True,
            )
            log_probs = _prompt_logprobs(choice, ids)
            if log_probs is None or None in log_probs[len(prompt) :]:
                raise self._no_logprobs(choice)
            scores.append(sum(log_probs[len(prompt) :]))
        return scores

    def _score_next_ids(self, prompt: list[int], continuations: list[list[int]]) -> list[float]:
        followers = {}  # what comes after each beginning of a continuation
        for continuation in continuations:
            for i, following in enumerate(continuation):
                followers.setdefault(tuple(continuation[:i]), set()).add(following)
        log_probs = {
            beginning: self._next_logprobs(prompt + list(beginning), wanted) for beginning, wanted in followers.items()
        }
        return [
            sum(log_probs[tuple(continuation[:i])][following] for i, following in enumerate(continuation))
            for continuation in continuations
        ]

    def _next_logprobs(self, prompt: list[int], wanted: set[int]) -> dict[int, float]:
        for top in TOP:
            choice = self._complete(prompt, max_tokens=1, temperature=0, logprobs=top, **WHOLE_CHARACTER)
            log_probs = _top_logprobs(choice)
            if log_probs is None:
                raise self._no_logprobs(choice)
            if wanted <= log_probs.keys():
                return log_probs
            if len(log_probs) < top:
                break
        raise RuntimeError(
            f"The server at {self.url} gave the {len(log_probs)} most probable of {top} next ids that were asked for, "
            f"and ids {sorted(wanted - log_probs.keys())} are not among them: it cannot score them."
        )

    def _no_logprobs(self, choice: dict[str, Any]) -> RuntimeError:
        return RuntimeError(
            f"The server at {self.url} returned no log-probabilities that could be used: {self._quote(choice)}. Score "
            "with a server that returns those of prompts (vLLM), with llama.cpp's or with a model in this process."
        )

    @cached_property
    def _is_llama_cpp(self) -> bool:
        """Whether the server names ids in its log-probabilities, as llama.cpp's does; others are asked as vLLM is."""
        choice = self._complete([0], max_tokens=1, temperature=0, logprobs=1, **WHOLE_CHARACTER)
        return _top_logprobs(choice) is not None

    @cached_property
    def _model(self) -> str:
        if self.model is not None:
            return self.model
        models = [model.id for model in self._send(lambda: self._client.models.list().data or [])]
        if len(models) != 1:
            raise RuntimeError(f"The server at {self.url} serves the models {models}: pass one of them as `model=`.")
        return models[0]

    def _complete(self, prompt: list[int], **fields) -> dict[str, Any]:
        """The API's one answer to one prompt."""
        answer = self._post("/completions", {"model": self._model, "prompt": prompt, **NEUTRAL, **fields})
        choices = answer.get("choices") if isinstance(answer, dict) else None
        if not choices or not isinstance(choices[0], dict):
            raise RuntimeError(
                f"The server at {self.url} answered without `choices`: {self._quote(answer)}. Is `base_url` that of "
                "its OpenAI-compatible API? It mostly ends in /v1."
            )
        self._check_prompt(prompt, (answer.get("usage") or {}).get("prompt_tokens"))
        return choices[0]

    def _check_prompt(self, prompt: list[int], read: int | None) -> None:
        if read is not None and read != len(prompt):
            raise RuntimeError(
                f"The server at {self.url} read {read} tokens of a prompt of {len(prompt)}: it cuts prompts or adds to "
                "them, so that its answers are not those to what was asked."
            )

    def _post(self, route: str, body: dict[str, Any]) -> Any:
        return self._send(lambda: self._client.post(route, cast_to=object, body=body))

    def _send(self, call: Callable[[], Answer]) -> Answer:
        import openai

        tries = self._client.max_retries + 1
        try:
            return call()
        except openai.APITimeoutError as error:
            raise TimeoutError(
                f"The server at {self.url} did not answer within {self._client.timeout:g} s, {tries} times: raise "
                "`timeout_s`, or lower `max_concurrency`."
            ) from error
        except openai.APIConnectionError as error:
            raise ConnectionError(
                f"No server answers at {self.url} ({error.__cause__ or error}; tried {tries} times): start one, such "
                "as `vllm serve MODEL` or `llama-server -m MODEL`, or correct `base_url`."
            ) from error
        except openai.APIStatusError as error:
            raise RuntimeError(
                f"The server at {self.url} answered {error.status_code}: {self._quote(error.response.text)}"
            ) from error

    def _quote(self, answer: Any) -> str:
        """What a server answered, for an error: short, and without the key, which some servers repeat."""
        text = answer if isinstance(answer, str) else json.dumps(answer)
        text = text.replace(self._api_key, "***") if self._api_key else text
        return text if len(text) <= MAX_QUOTE else text[:MAX_QUOTE] + " …"


def _fields(request: GenerateRequest) -> dict[str, Any]:
    return {
        "max_tokens": request.max_new_tokens,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "seed": request.seed,
        "stop_token_ids": list(request.stop_ids),
    }


def _cut(ids: list[int], request: GenerateRequest) -> list[int]:
    stops = [ids.index(stop) for stop in request.stop_ids if stop in ids]
    return ids[: min(stops, default=request.max_new_tokens)]


def _ids(choice: dict[str, Any]) -> list[int] | None:
    """The ids of an answer; `None` where the server does not say."""
    if isinstance(choice.get("token_ids"), list):
        return choice["token_ids"]
    tokens = (choice.get("logprobs") or {}).get("tokens")
    if isinstance(tokens, list) and all(str(token).startswith("token_id:") for token in tokens):
        return [int(token.removeprefix("token_id:")) for token in tokens]
    return None


def _prompt_logprobs(choice: dict[str, Any], ids: list[int]) -> list[float | None] | None:
    """Log-probabilities of a prompt's ids, the first mostly none; `None` where the server does not return them."""
    by_id = choice.get("prompt_logprobs")  # vLLM: a dict a position, of the prompt's id and of the most probable ones
    if isinstance(by_id, list) and len(by_id) == len(ids):
        entries = [(position or {}).get(str(id_)) for position, id_ in zip(by_id, ids)]
        return [None if entry is None else entry["logprob"] for entry in entries]
    log_probs = choice.get("logprobs") or {}
    echoed, tokens = log_probs.get("token_logprobs"), log_probs.get("tokens")
    # `echo`: the prompt's, and those of the id generated, if the server wrote one
    if not isinstance(echoed, list) or len(echoed) not in (len(ids), len(ids) + 1):
        return None
    named = [token for token in tokens or [] if str(token).startswith("token_id:")][: len(ids)]
    return None if named and named != [f"token_id:{id_}" for id_ in ids] else echoed[: len(ids)]


def _top_logprobs(choice: dict[str, Any]) -> dict[int, float] | None:
    """
    Log-probabilities of the most probable ids for the first place of an answer, as llama.cpp's server writes them: over
    the whole vocabulary and before sampling; `None` where they are not there.
    """
    content = (choice.get("logprobs") or {}).get("content")
    top = content[0].get("top_logprobs") if content else None
    if not top or not all("id" in token and token.get("logprob") is not None for token in top):
        return None
    return {token["id"]: token["logprob"] for token in top}
