"""Conversations as one text for completion: chat templates, and servers without chat."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from test_chat import _quick  # noqa: F401
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from biomark.errors import UsageError
from biomark.prompted.chat import ASSISTANT, SYSTEM, USER, Message, Reply, Request
from biomark.prompted.chat.templates import PLAIN_STOPS, ChatTemplate, plain
from scripted import Says, ask, failure, scripted, stream
from scripted import client as server

TURNS = (Message(SYSTEM, "Be brief."), Message(USER, "A?"), Message(ASSISTANT, "a"), Message(USER, "B?"))
TEMPLATES = {
    "with a system": (
        "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] | trim }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nA?<|im_end|>\n<|im_start|>assistant\na<|im_end|>\n"
        "<|im_start|>user\nB?<|im_end|>\n<|im_start|>assistant\n",
        ("<|im_end|>", "</s>"),
    ),
    "that refuses a system": (
        "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'system' %}{{ raise_exception('no') }}{% endif %}"
        "{% if m['role'] == 'user' %}[INST] {{ m['content'] }} [/INST]{% else %} {{ m['content'] }}</s>{% endif %}"
        "{% endfor %}",
        "<s>[INST] Be brief.\n\nA? [/INST] a</s>[INST] B? [/INST]",
        ("</s>",),
    ),
    "that passes over a system": (
        "{% for m in messages %}{% if m['role'] != 'system' %}{{ m['role'] }}: {{ m['content'] }}<end>\n{% endif %}"
        "{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}",
        "user: Be brief.\n\nA?<end>\nassistant: a<end>\nuser: B?<end>\nassistant: ",
        ("<end>", "</s>"),
    ),
}


def tokenizer_with(template: str) -> PreTrainedTokenizerFast:
    words = Tokenizer(WordLevel({"<s>": 0, "</s>": 1, "<unk>": 2}, unk_token="<unk>"))
    words.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    found = PreTrainedTokenizerFast(tokenizer_object=words, bos_token="<s>", eos_token="</s>", unk_token="<unk>")
    found.chat_template = template
    return found


@pytest.mark.parametrize(("template", "text", "stops"), TEMPLATES.values(), ids=TEMPLATES)
def test_a_chat_template_makes_one_text_of_a_conversation(template: str, text: str, stops: tuple[str, ...]) -> None:
    found = ChatTemplate(tokenizer_with(template))
    assert found(TURNS).text == text
    assert found.stops == stops
    # The server's tokenizer begins each text with <s>
    assert found.completion(TURNS) == text.removeprefix("<s>")


def test_a_server_without_chat_gets_a_plain_text_and_stop_strings() -> None:
    def say(request: dict[str, Any], number: int) -> Says:
        said = f"\nre: {request['prompt'].split()[-3]}\n\n### Text\nMore"
        choices = [{"index": 0, "text": said, "finish_reason": "length"}]
        return stream(said, completions=True) if request.get("stream") else Says({"choices": choices})

    with scripted(say) as there:
        for streams in (False, True):
            model = server(there.url, completions=True, stream=streams, cache="none")
            assert ask(model, [Request(TURNS, 50)]) == [Reply(("re: B?",))]
        assert there.paths == ["/v1/completions"] * 2
        assert there.asked[0]["prompt"] == plain(TURNS).text
        assert plain(TURNS).text == "Be brief.\n\nA?\n\n### Answer\na\n\nB?\n\n### Answer\n"
        assert there.asked[0]["stop"] == list(PLAIN_STOPS)
        assert len(PLAIN_STOPS) <= 4  # OpenAI's servers take no more
        assert there.asked[0]["max_tokens"] == 50
        assert "messages" not in there.asked[0]


def test_a_server_without_chat_gets_the_models_template(tmp_path: Path) -> None:
    template, text, _ = TEMPLATES["that refuses a system"]
    tokenizer_with(template).save_pretrained(tmp_path / "tokenizer")

    def say(request: dict[str, Any], number: int) -> Says:
        if "stop" in request:
            return failure(400, "unknown field: stop")
        return Says({"choices": [{"index": 0, "text": " b</s> and on", "finish_reason": "length"}]})

    with scripted(say) as there:
        model = server(there.url, completions=True, template=str(tmp_path / "tokenizer"))
        asking = Request(TURNS, 50, schema={"type": "object"})
        assert ask(model, [asking]) == ask(model, [asking]) == [Reply((" b",))]
        assert [request["prompt"] for request in there.asked] == [text.removeprefix("<s>")] * 2
        # Another way to ask is another question
        ask(server(there.url, completions=True), [asking])
        assert len(there.asked) == 4
    assert model.refused == {"stop"}


def test_a_template_needs_completions_and_a_tokenizer_that_has_one(tmp_path: Path) -> None:
    bare = tokenizer_with("x")
    bare.chat_template = None
    bare.save_pretrained(tmp_path / "bare")
    for options, reason in (
        ({"template": "x"}, "`completions`"),
        ({"template": str(tmp_path / "nothing"), "completions": True}, "no tokenizer"),
        ({"template": str(tmp_path / "bare"), "completions": True}, "no chat template"),
    ):
        with pytest.raises(UsageError, match=reason):
            server("http://localhost/v1", **options)  # type: ignore[arg-type]
