# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""A served language model as a backend: against llama.cpp's server, and a stand-in that speaks and fails as told."""

import contextlib
import importlib.util
import json
import select
import subprocess
import sys
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from conftest import tiny_tokenizer
from transformers import AutoModelForCausalLM, AutoProcessor, AutoTokenizer

from llm_codec_hf import embedded
from llm_codec_hf.requests_llm_codec import GenerateRequest, LanguageModelError, ScoreRequest

pytest.importorskip("openai", reason="needs the extra `server`")

from llm_codec_hf.backends.completions_server import CompletionsServer  # noqa: E402

# Opens a port of its own, prints the address and lives until its standard input closes, so that it ends with the test
# whatever becomes of that.
LLAMA_CPP = """
import sys, xllamacpp
params = xllamacpp.CommonParams()
params.model.path, params.hostnames, params.port = sys.argv[1], ["127.0.0.1"], 0
params.n_ctx, params.n_parallel, params.warmup = 2048, 2, False
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
server = xllamacpp.Server(params)
print(server.listening_address, flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


# --- llama.cpp's server -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def llama_cpp(tmp_path_factory):
    """The address of llama.cpp's server of SmolLM2-135M-Instruct."""
    for name in ("xllamacpp", embedded.PACKAGE):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"needs the package {name}")
    gguf = Path(importlib.util.find_spec(embedded.PACKAGE).submodule_search_locations[0], embedded.GGUF_FILE)
    log = tmp_path_factory.mktemp("llama_cpp") / "log"
    with open(log, "w") as errors:
        process = subprocess.Popen(
            [sys.executable, "-c", LLAMA_CPP, str(gguf)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    try:
        started, _, _ = select.select([process.stdout], [], [], 60)
        address = process.stdout.readline().strip() if started else ""
        assert address.startswith("http"), f"llama.cpp's server did not start: {log.read_text()[-2000:]}"
        yield address
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(embedded.default_language_model())


@pytest.fixture(scope="module")
def language_model():
    return AutoModelForCausalLM.from_pretrained(embedded.default_language_model(), dtype=torch.float32).eval()


TEXTS = (
    "Input: bark bark. Output: dog\nInput: meow meow. Output: cat\nInput: bark meow bark. Output:",
    "<|im_start|>user\nSay hi<|im_end|>\n<|im_start|>assistant\nHello!",
    "Some emoji: 😀 😁 😂 🤣 😃 😄 😅",
)


@torch.no_grad()
def in_process_logprobs(model, ids):
    """Log-probabilities of what comes after each beginning of the ids, `(len(ids), vocabulary)`."""
    return model(torch.tensor([ids])).logits[0].log_softmax(dim=-1)


def ask(url, **body):
    request = urllib.request.Request(url, json.dumps(body).encode(), method="POST")
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.load(response)


@pytest.mark.e2e
def test_llama_cpp_generates_the_ids_that_it_gives_natively(llama_cpp, tokenizer):
    prompts = [tokenizer(text)["input_ids"] for text in TEXTS]
    server = CompletionsServer(llama_cpp + "/v1", max_concurrency=1)
    answers = server.generate([GenerateRequest(prompt, 12) for prompt in prompts])
    for prompt, answer in zip(prompts, answers):
        native = ask(llama_cpp + "/completion", prompt=prompt, n_predict=12, temperature=0, return_tokens=True)
        assert answer == native["tokens"] and len(answer) == 12
        api = ask(llama_cpp + "/v1/completions", prompt=prompt, max_tokens=12, temperature=0, logprobs=1)
        content = [token["id"] for token in api["choices"][0]["logprobs"]["content"]]
        if "emoji" in tokenizer.decode(prompt):  # the reason for the other route: ids that end inside a character
            assert len(content) < len(answer)
        else:
            assert content == answer
    stop = answers[0][4]
    (cut,) = server.generate([GenerateRequest(prompts[0], 12, stop_ids=(stop,))])
    assert cut == answers[0][: answers[0].index(stop)]


@pytest.mark.e2e
def test_llama_cpp_generates_what_the_model_in_this_process_finds_most_probable(llama_cpp, tokenizer, language_model):
    prompts = [tokenizer(text)["input_ids"] for text in TEXTS]
    answers = CompletionsServer(llama_cpp + "/v1").generate([GenerateRequest(prompt, 12) for prompt in prompts])
    for prompt, answer in zip(prompts, answers):
        log_probs = in_process_logprobs(language_model, prompt + answer)[len(prompt) - 1 : -1]
        chosen = log_probs.gather(1, torch.tensor(answer)[:, None])[:, 0]
        # llama.cpp rounds activations to 8 bits: near ties may fall the other way
        assert (log_probs.max(dim=-1).values - chosen).max() < 0.5


@pytest.mark.e2e
def test_llama_cpp_draws_by_the_seed(llama_cpp, tokenizer):
    prompt = tokenizer("Once upon a time")["input_ids"]
    server = CompletionsServer(llama_cpp + "/v1", max_concurrency=1)
    requests = [GenerateRequest(prompt, 16, temperature=1.0, seed=seed) for seed in (1, 1, 2)]
    first, again, other = server.generate(requests)
    assert first == again != other


@pytest.mark.e2e
def test_llama_cpp_scores_as_the_model_in_this_process(llama_cpp, tokenizer, language_model):
    end = [tokenizer.eos_token_id]
    labels = [tokenizer(label)["input_ids"] + end for label in (" dog", " cat", " dog food", " zygomorphic")]
    plain, chat, emoji = (tokenizer(text)["input_ids"] for text in TEXTS)
    # after the emoji the most probable id ends inside a character
    requests = [ScoreRequest(plain, labels), ScoreRequest(chat, labels[:2]), ScoreRequest(emoji, labels[:1])]
    heard = []
    scores = CompletionsServer(llama_cpp + "/v1").score(requests, heard.append)
    assert sum(heard) == len(requests)
    for request, got in zip(requests, scores):
        assert got.dtype == torch.float32 and got.shape == (len(request.continuations),)
        for label, score in zip(request.continuations, got):
            log_probs = in_process_logprobs(language_model, request.prompt + label)
            targets = torch.tensor(label)[:, None]
            expected = log_probs[len(request.prompt) - 1 : -1].gather(1, targets).sum()
            assert abs(score - expected) < 0.15 * len(label) + 0.03 * abs(expected)


@pytest.mark.e2e
def test_llama_cpp_scores_as_when_it_has_to_write_the_continuation(llama_cpp, tokenizer):
    prompt = tokenizer(TEXTS[0])["input_ids"]
    continuations = [tokenizer(text)["input_ids"] for text in (" dog food", " cat", " zygomorphic")]
    (scores,) = CompletionsServer(llama_cpp + "/v1").score([ScoreRequest(prompt, continuations)])
    for continuation, score in zip(continuations, scores.tolist()):
        grammar = "root ::= " + " ".join(f"<[{id_}]>" for id_ in continuation)
        fields = {"max_tokens": len(continuation), "temperature": 0, "logprobs": 1, "grammar": grammar}
        forced = ask(llama_cpp + "/v1/completions", prompt=prompt, **fields)["choices"][0]["logprobs"]["content"]
        assert [token["id"] for token in forced] == continuation
        # the same numbers, but for sums in other batches
        assert score == pytest.approx(sum(token["logprob"] for token in forced), abs=0.05)


@pytest.mark.e2e
def test_llama_cpp_converses_as_the_model_in_this_process(llama_cpp, tokenizer, language_model):
    """What it answers to a conversation of a codec's words is what the model finds most probable after the template."""
    processor = AutoProcessor.from_pretrained(embedded.default_codec())
    bark, meow = (torch.full((processor.codes_per_group, 4), code) for code in (5, 9))
    messages = processor.few_shot_messages([(bark, "dog"), (meow, "cat"), (bark, "dog")], meow, labels=["dog", "cat"])
    conversation = processor.messages_to_text(messages)
    ids = tokenizer.apply_chat_template(conversation, add_generation_prompt=True, return_dict=False)
    heard = []
    (answer,) = CompletionsServer(llama_cpp + "/v1").chat([conversation], 8, heard.append)
    assert heard == [1]
    for token_id in tokenizer(answer, add_special_tokens=False)["input_ids"]:
        log_probs = in_process_logprobs(language_model, ids)[-1]
        assert log_probs[token_id] > log_probs.max() - 1  # llama.cpp rounds activations to 8 bits
        ids = [*ids, token_id]


def test_llama_cpps_refusals_are_in_the_error(llama_cpp):
    server = CompletionsServer(llama_cpp + "/v1", max_retries=0)
    with pytest.raises(RuntimeError, match="answered 400: .*invalid tokens"):
        server.generate([GenerateRequest([10**7], 1)])
    with pytest.raises(RuntimeError, match="answered 400: .*available context size"):
        server.score([ScoreRequest([5] * 3000, [[5]])])
    with pytest.raises(RuntimeError, match="without `choices`.*ends in /v1"):  # its native route has the same name
        CompletionsServer(llama_cpp).generate([GenerateRequest([5], 1)])


# --- a stand-in -------------------------------------------------------------------------------------------------------


class StandIn:
    """
    A server in a thread that answers `/v1/completions`, that for chat, and llama.cpp's `/completion`, by a function of
    the request's body, which returns a dict, or a status, a dict or text, and headers. What a client asks first, which
    tells servers apart, is answered as vLLM does. It keeps the bodies of the other requests, and counts the most that
    it had at once.
    """

    def __init__(self, answer, models=("stand-in",), first=None):
        self.answer, self.models, self.first = answer, models, first or choice(logprobs={"tokens": ["x"]})
        self.bodies, self.now, self.peak = [], 0, 0
        self.lock = threading.Lock()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"stand_in": self}))
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/v1"

    def __enter__(self) -> "StandIn":
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_) -> None:
        self.server.shutdown()
        self.server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    stand_in: StandIn

    def do_GET(self):
        assert self.path == "/v1/models"
        self.reply(200, {"object": "list", "data": [{"id": name, "object": "model"} for name in self.stand_in.models]})

    def do_POST(self):
        stand_in = self.stand_in
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        chat = "/v1/chat/completions" if "messages" in body else "/v1/completions"
        assert self.path == ("/completion" if "return_tokens" in body else chat)
        if body.get("prompt") == [0]:
            return self.reply(200, stand_in.first)
        with stand_in.lock:
            stand_in.bodies.append(body)
            stand_in.now += 1
            stand_in.peak = max(stand_in.peak, stand_in.now)
        try:
            answer = stand_in.answer(body)
        finally:
            with stand_in.lock:
                stand_in.now -= 1
        self.reply(*(answer if isinstance(answer, tuple) else (200, answer)))

    def reply(self, status, answer, headers=()):
        data = (answer if isinstance(answer, str) else json.dumps(answer)).encode()
        with contextlib.suppress(ConnectionError):  # of a client that no longer waits
            self.send_response(status)
            self.send_header("Content-Type", "text/html" if isinstance(answer, str) else "application/json")
            self.send_header("Content-Length", str(len(data)))
            for header in dict(headers).items():
                self.send_header(*header)
            self.end_headers()
            self.wfile.write(data)

    def log_message(self, *_):
        pass


def choice(**fields):
    return {"object": "text_completion", "choices": [{"index": 0, "text": "text", "finish_reason": "length", **fields}]}


def successors(body):
    """Generates the ids that come after the prompt's last, as vLLM answers."""
    last = body["prompt"][-1]
    return choice(token_ids=list(range(last + 1, last + 1 + body["max_tokens"])))


def failing(*answers):
    """Each of these once, then answers."""
    left = list(answers)
    return lambda body: left.pop(0) if left else successors(body)


def test_generates_in_the_order_of_the_requests():
    def later_first(body):
        time.sleep(0.05 * (4 - body["prompt"][0]))
        return successors(body)

    heard = []
    with StandIn(later_first) as stand_in:
        server = CompletionsServer(stand_in.url, api_key="secret")
        answers = server.generate([GenerateRequest([1 + i], 3) for i in range(4)], heard.append)
        assert server.generate([]) == [] and server.score([]) == []
    assert answers == [[i + 2, i + 3, i + 4] for i in range(4)]
    assert heard == [1, 1, 1, 1]


def test_says_what_a_request_says_and_nothing_of_the_servers_own():
    request = GenerateRequest([7, 8], 5, stop_ids=(11, 10), temperature=0.5, top_p=0.9, seed=3)
    with StandIn(successors) as stand_in:
        assert CompletionsServer(stand_in.url).generate([request]) == [[9]]  # 10 stops
    (body,) = stand_in.bodies
    said = {"model": "stand-in", "prompt": [7, 8], "max_tokens": 5, "temperature": 0.5, "top_p": 0.9, "seed": 3}
    assert said.items() <= body.items() and body["stop_token_ids"] == [11, 10]
    assert body["top_k"] == -1 and body["min_p"] == 0 and body["repetition_penalty"] == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"token_ids": [4, 5]},  # vLLM
        {"logprobs": {"tokens": ["token_id:4", "token_id:5"], "token_logprobs": [-1.0, -1.0]}},  # vLLM before 0.10.2
    ],
)
def test_reads_ids_where_servers_put_them(fields):
    with StandIn(lambda body: choice(**fields)) as stand_in:
        assert CompletionsServer(stand_in.url).generate([GenerateRequest([1], 2)]) == [[4, 5]]


def test_text_without_ids_needs_a_tokenizer():
    tokenizer = tiny_tokenizer()
    answer = choice(text=" ab cd", logprobs={"tokens": [" ab", " cd"], "token_logprobs": [-1.0, -1.0]})
    with StandIn(lambda body: answer) as stand_in:
        with pytest.raises(RuntimeError, match="without its token ids: .* ab cd.*tokenizer="):
            CompletionsServer(stand_in.url).generate([GenerateRequest([1], 2)])
        server = CompletionsServer(stand_in.url, tokenizer=tokenizer)
        assert server.generate([GenerateRequest([1], 2)]) == [tokenizer.convert_tokens_to_ids(["Ġab", "Ġcd"])]


def test_a_constraint_is_refused_before_anything_is_sent():
    class Any:
        def allowed(self, generated):
            return torch.arange(3)

    with StandIn(successors) as stand_in, pytest.raises(ValueError, match="constraint: generate with a model in this"):
        CompletionsServer(stand_in.url).generate([GenerateRequest([1], 2), GenerateRequest([1], 2, constraint=Any())])
    assert not stand_in.bodies


def test_retries_what_may_pass():
    broken = (500, {"error": "broken"})
    with StandIn(failing(broken, broken)) as stand_in:
        assert CompletionsServer(stand_in.url, max_retries=2).generate([GenerateRequest([1], 1)]) == [[2]]
        assert len(stand_in.bodies) == 3
    with StandIn(failing(broken, (503, "<p>out of memory</p>"))) as stand_in:
        with pytest.raises(RuntimeError, match=r"/v1 answered 503: <p>out of memory</p>"):
            CompletionsServer(stand_in.url, max_retries=1).generate([GenerateRequest([1], 1)])
        assert len(stand_in.bodies) == 2


def test_waits_as_long_as_the_server_says():
    with StandIn(failing((429, {"error": "slow down"}, {"Retry-After": "1"}))) as stand_in:
        begun = time.monotonic()
        assert CompletionsServer(stand_in.url, max_retries=1).generate([GenerateRequest([1], 1)]) == [[2]]
        assert time.monotonic() - begun >= 1
        assert len(stand_in.bodies) == 2


def test_a_slow_server_meets_the_time_limit():
    done = threading.Event()

    def slow(body):
        done.wait(10)
        return successors(body)

    with StandIn(slow) as stand_in:
        try:
            with pytest.raises(TimeoutError, match=r"did not answer within 0\.2 s, 1 times: raise `timeout_s`"):
                CompletionsServer(stand_in.url, timeout_s=0.2, max_retries=0).generate([GenerateRequest([1], 1)])
        finally:
            done.set()


def test_a_refusal_is_quoted_once_and_without_secrets():
    refusal = {"error": {"message": "max_tokens is too large; your key is hunter2", "code": 400}}
    with StandIn(lambda body: (400, refusal)) as stand_in:
        url = stand_in.url.replace("http://", "http://user:password@")
        server = CompletionsServer(url, model="m", api_key="hunter2")
        with pytest.raises(RuntimeError, match="answered 400: .*max_tokens is too large") as caught:
            server.generate([GenerateRequest([1], 1)])
        assert stand_in.url in str(caught.value)
        assert not any(secret in str(caught.value) for secret in ("password", "hunter2"))
    with pytest.raises(ValueError, match="pass a key as `api_key`") as caught:
        CompletionsServer("http://127.0.0.1:8000/v1?key=hunter3")
    assert "hunter3" not in str(caught.value)


def test_no_server():
    with StandIn(successors) as stand_in:
        url = stand_in.url
    with pytest.raises(ConnectionError, match=f"No server answers at {url} .*tried 1 times.*start one"):
        CompletionsServer(url, max_retries=0).generate([GenerateRequest([1], 1)])


def test_bounded_concurrency():
    def busy(body):
        time.sleep(0.05)
        return successors(body)

    with StandIn(busy) as stand_in:
        CompletionsServer(stand_in.url, max_concurrency=3).generate([GenerateRequest([1 + i], 1) for i in range(12)])
        assert stand_in.peak == 3 and len(stand_in.bodies) == 12


def test_a_failure_ends_the_call():
    with StandIn(lambda body: (400, {"error": "no"})) as stand_in, pytest.raises(RuntimeError, match="answered 400"):
        CompletionsServer(stand_in.url, max_concurrency=1).generate([GenerateRequest([1 + i], 1) for i in range(50)])
    assert len(stand_in.bodies) < 10


# A model of 3000 ids in which the next id depends on the last alone.
VOCABULARY = 3000
TABLE = torch.randn(7, VOCABULARY, generator=torch.manual_seed(0)).mul(3).log_softmax(dim=-1)


def after(last):
    return TABLE[last % len(TABLE)].tolist()


def expected_score(prompt, continuation):
    ids = prompt + continuation
    return sum(after(ids[i - 1])[ids[i]] for i in range(len(prompt), len(ids)))


def as_vllm(body):
    """`prompt_logprobs`: by position and id, with the most probable one beside the prompt's."""
    ids = body["prompt"]
    positions = [None]
    for last, id_ in zip(ids, ids[1:]):
        log_probs = after(last)
        best = max(range(VOCABULARY), key=log_probs.__getitem__)
        entry = {i: {"logprob": log_probs[i], "rank": 1, "decoded_token": "x"} for i in (best, id_)}
        positions.append({str(i): value for i, value in entry.items()})
    return {**choice(prompt_logprobs=positions), "usage": {"prompt_tokens": len(ids)}}


def as_legacy(body):
    """`echo`: of the prompt and what was generated, in one list."""
    assert body["echo"] and body["logprobs"]
    ids = body["prompt"]
    log_probs = [None] + [after(last)[id_] for last, id_ in zip(ids, ids[1:])] + [-0.5] * body["max_tokens"]
    return choice(logprobs={"tokens": ["x"] * len(log_probs), "token_logprobs": log_probs})


def as_llama_cpp(body):
    """The most probable next ids alone, by id."""
    log_probs = after(body["prompt"][-1])
    best = sorted(range(VOCABULARY), key=lambda id_: -log_probs[id_])[: body["logprobs"]]
    top = [{"id": id_, "token": "x", "logprob": log_probs[id_]} for id_ in best]
    return choice(logprobs={"content": [{**top[0], "top_logprobs": top}]})


LLAMA_CPPS_FIRST = as_llama_cpp({"prompt": [0], "logprobs": 1})


@pytest.mark.parametrize("answer", [as_vllm, as_legacy, as_llama_cpp])
def test_scores_are_exact(answer):
    # improbable ids too, so that more of the most probable have to be asked for; ids that share a beginning
    worst = min(range(VOCABULARY), key=after(3).__getitem__)
    requests = [
        ScoreRequest([1, 2, 3], [[10], [11, 12], [11, 13, 14], [worst]]),
        ScoreRequest([4], [[2999, 0]]),
    ]
    with StandIn(answer, first=LLAMA_CPPS_FIRST if answer is as_llama_cpp else None) as stand_in:
        scores = CompletionsServer(stand_in.url).score(requests)
    for request, got in zip(requests, scores):
        expected = [expected_score(request.prompt, continuation) for continuation in request.continuations]
        assert got.tolist() == torch.tensor(expected).tolist()


def test_scoring_reads_shared_beginnings_once():
    with StandIn(as_llama_cpp, first=LLAMA_CPPS_FIRST) as stand_in:
        best, second = torch.tensor(after(3)).topk(2).indices.tolist()
        third = max(range(VOCABULARY), key=after(best).__getitem__)
        CompletionsServer(stand_in.url).score([ScoreRequest([3], [[best], [best, third], [second]])])
    assert [body["prompt"] for body in stand_in.bodies] == [[3], [3, best]]


@pytest.mark.parametrize(
    "answer",
    [
        lambda body: choice(text="nothing of it"),
        lambda body: choice(text="nothing of it", logprobs={"tokens": ["x"], "token_logprobs": [-1.0]}),
        lambda body: choice(  # of other ids than the prompt's
            text="nothing of it", logprobs={"tokens": ["token_id:8"] * 3, "token_logprobs": [None, -1.0, -1.0]}
        ),
        lambda body: choice(  # with a hole
            text="nothing of it", logprobs={"tokens": ["x"] * 3, "token_logprobs": [None, None, -1.0]}
        ),
    ],
)
def test_a_server_without_log_probabilities_is_refused(answer):
    with StandIn(answer) as stand_in, pytest.raises(RuntimeError, match="no log-probabilities .*nothing of it.*vLLM"):
        CompletionsServer(stand_in.url).score([ScoreRequest([1], [[2]])])
    silent = choice(text="nothing of it", logprobs=None)
    with StandIn(lambda body: silent, first=LLAMA_CPPS_FIRST) as stand_in:
        with pytest.raises(RuntimeError, match="no log-probabilities .*nothing of it"):
            CompletionsServer(stand_in.url).score([ScoreRequest([1], [[2]])])


def test_a_server_of_nan_is_named():
    answer = choice(text="x", logprobs={"tokens": ["x"] * 3, "token_logprobs": [None, -1.0, float("nan")]})
    with StandIn(lambda body: answer) as stand_in:
        with pytest.raises(LanguageModelError, match="language model .* of the server at .* gives NaN or infinite"):
            CompletionsServer(stand_in.url).score([ScoreRequest([1], [[2, 3]])])


def test_a_llama_cpp_that_returns_no_ids_is_refused():
    silent = {"content": "so much", "tokens": [], "tokens_predicted": 3}
    with StandIn(lambda body: silent, first=LLAMA_CPPS_FIRST) as stand_in:
        with pytest.raises(RuntimeError, match="did not return the ids that it wrote: .*so much.*return_tokens"):
            CompletionsServer(stand_in.url).generate([GenerateRequest([1], 3)])


def test_a_server_that_gives_too_few_of_the_next_ids_is_refused():
    with StandIn(lambda body: as_llama_cpp({**body, "logprobs": 20}), first=LLAMA_CPPS_FIRST) as stand_in:
        worst = min(range(VOCABULARY), key=after(3).__getitem__)
        with pytest.raises(RuntimeError, match=rf"20 most probable of 64 .*ids \[{worst}\] are not among them"):
            CompletionsServer(stand_in.url).score([ScoreRequest([3], [[worst]])])


def test_a_server_that_reads_another_prompt_is_refused():
    with StandIn(lambda body: {**successors(body), "usage": {"prompt_tokens": len(body["prompt"]) + 1}}) as stand_in:
        with pytest.raises(RuntimeError, match="read 3 tokens of a prompt of 2"):
            CompletionsServer(stand_in.url).generate([GenerateRequest([1, 2], 1)])


def test_several_models_need_a_name():
    with StandIn(successors, models=("a", "b")) as stand_in:
        with pytest.raises(RuntimeError, match=r"serves the models \['a', 'b'\]: pass one"):
            CompletionsServer(stand_in.url).generate([GenerateRequest([1], 1)])
        assert CompletionsServer(stand_in.url, model="b").generate([GenerateRequest([1], 1)]) == [[2]]
    assert [body["model"] for body in stand_in.bodies] == ["b"]


def test_an_answer_of_another_kind_is_quoted():
    with StandIn(lambda body: (200, "<h1>Welcome</h1>")) as stand_in:
        with pytest.raises(RuntimeError, match="without `choices`: <h1>Welcome</h1>. Is `base_url`"):
            CompletionsServer(stand_in.url).generate([GenerateRequest([1], 1)])


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"base_url": "127.0.0.1:8000/v1"}, "`base_url` is a URL without a query, such as"),
        ({"timeout_s": 0}, "`timeout_s` is above 0"),
        ({"max_retries": -1}, "got 120.0, -1, 16"),
        ({"max_concurrency": 0}, "`max_concurrency` 1 or more"),
    ],
)
def test_arguments_that_mean_nothing(arguments, message):
    with pytest.raises(ValueError, match=message):
        CompletionsServer(**{"base_url": "http://127.0.0.1:8000/v1", **arguments})


def test_without_the_package_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(ImportError, match=r"pip install 'llm-codec-hf\[server\]'"):
        CompletionsServer("http://127.0.0.1:8000/v1")


def test_a_conversation_goes_to_the_chat_route():
    conversations = [[{"role": "user", "content": f"word {i}"}] for i in range(3)]

    def answer(body):
        return {"choices": [{"message": {"role": "assistant", "content": body["messages"][0]["content"] + "!"}}]}

    with StandIn(answer) as stand_in:
        server = CompletionsServer(stand_in.url)
        assert server.chat(conversations, 5) == ["word 0!", "word 1!", "word 2!"]
        assert all(body["max_tokens"] == 5 and body["temperature"] == 0 for body in stand_in.bodies)
    with StandIn(lambda body: choice()) as stand_in:
        with pytest.raises(RuntimeError, match="answered a conversation without a message: .*Does it serve chat"):
            CompletionsServer(stand_in.url, max_retries=0).chat(conversations[:1], 5)
