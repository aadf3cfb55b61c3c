"""Conversations with tools and thoughts, rendered by transformers, for tests/text/thinking.test.ts.

Run after tokenizer_kinds.py: python tests/golden/chat_templates.py

Versions used: tokenizers 0.23.3, transformers 5.17.0, jinja2 3.1.6. Writes tests/golden/text/chat-templates.json: for the published
templates of Qwen 3 and Gemma 3 (in the folders that tokenizer_kinds.py wrote) and for one with generation tags, written here in the
manner of SmolLM3: texts, ids, prompts, and the masks of the tags.
"""

import json
import os

from transformers import AutoTokenizer

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "text")

TAGGED = """{%- set thinks = enable_thinking is not defined or enable_thinking -%}
{%- if tools %}{{ "<|im_start|>system\\n# Tools\\n" }}{%- for tool in tools %}{{ tool | tojson }}{{ "\\n" }}{%- endfor %}{{ "<|im_end|>\\n" }}{%- endif %}
{%- for message in messages %}
{%- if message.role == "assistant" %}
{%- generation %}{{ "<|im_start|>assistant\\n" }}
{%- if message.reasoning_content is defined and thinks %}{{ "<think>\\n" + message.reasoning_content + "\\n</think>\\n" }}{%- endif %}
{{- message.content }}
{%- for call in message.tool_calls or [] %}{{ "<tool_call>" + (call.function | tojson) + "</tool_call>" }}{%- endfor %}{{ "<|im_end|>\\n" }}{%- endgeneration %}
{%- else %}{{ "<|im_start|>" + message.role + "\\n" + message.content + "<|im_end|>\\n" }}{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{ "<|im_start|>assistant\\n" + ("" if thinks else "<think>\\n\\n</think>\\n") }}{%- endif %}"""

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city, \"now\" <or> 'tomorrow' & so on: 雨?",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer", "default": 1}}, "required": ["city"]},
    },
}


def call(**arguments):
    return {"type": "function", "function": {"name": "get_weather", "arguments": arguments}}


def user(content):
    return {"role": "user", "content": content}


def assistant(content, **rest):
    return {"role": "assistant", "content": content, **rest}


TALKS = {
    "plain": {"messages": [user("Hello"), assistant("Hi there!"), user("More"), assistant("  No. \n")]},
    "system": {"messages": [{"role": "system", "content": "Be brief."}, user("Hello"), assistant("Hi.")]},
    "thoughts": {"messages": [user("1+1?"), assistant("2", reasoning_content="Add them."), user("2+2?"), assistant("4", reasoning_content="Twice two.")]},
    "thoughts in the content": {"messages": [user("1+1?"), assistant("<think>\nAdd them.\n</think>\n\n2")]},
    "no thinking": {"messages": [user("1+1?"), assistant("2")], "variables": {"enable_thinking": False}},
    "calls": {
        "tools": [WEATHER],
        "messages": [
            user("Rain in Bergen or Köln?"),
            assistant("", tool_calls=[call(city="Bergen", days=2), call(city="Köln")]),
            {"role": "tool", "content": "{\"rain\": true}"},
            {"role": "tool", "content": "no"},
            assistant("In Bergen, yes."),
        ],
    },
    "thoughts and calls": {
        "tools": [WEATHER],
        "messages": [
            user("Rain in Oslo?"),
            assistant("I look.", reasoning_content="A tool knows.", tool_calls=[call(city="Oslo")]),
            {"role": "tool", "content": "yes"},
            assistant("Yes.", reasoning_content="It said yes."),
            user("Thanks"),
            assistant("Welcome."),
        ],
    },
}
GEMMA = ["plain", "system"]


def cases():
    for template, folder, names in [("qwen3", "qwen3", list(TALKS)), ("tagged", "qwen3", list(TALKS)), ("gemma3", "gemma3", GEMMA)]:
        tokenizer = AutoTokenizer.from_pretrained(os.path.join(OUT, "tokenizers", folder))
        for name in names:
            talk = TALKS[name]
            options = {"tools": talk.get("tools"), **talk.get("variables", {})}
            if template == "tagged":
                options["chat_template"] = TAGGED
            render = lambda messages, **more: tokenizer.apply_chat_template(messages, tokenize=False, **options, **more)
            case = {"template": template, "talk": name, "text": render(talk["messages"]), "prompt": render(talk["messages"][:-1], add_generation_prompt=True)}
            got = tokenizer.apply_chat_template(talk["messages"], return_dict=True, return_assistant_tokens_mask=template == "tagged", **options)
            case["ids"] = got["input_ids"]
            if template == "tagged":
                case["mask"] = got["assistant_masks"]
            yield case


if __name__ == "__main__":
    with open(os.path.join(OUT, "chat-templates.json"), "w", encoding="utf-8") as file:
        json.dump({"tagged": TAGGED, "talks": TALKS, "cases": list(cases())}, file, ensure_ascii=True, separators=(",", ":"))
        file.write("\n")
