"""What a client asks the gateway for, checked and put into one form: OpenAI's, then llama.cpp's.

Knows the bodies that huggingface_hub 2.4 sends, which differ from provider to provider, and what llama.cpp makes of
them. Every refusal is one sentence with the status that the client turns into its own exception. Knows nothing of HTTP.
"""

from __future__ import annotations

import json
from typing import Any

from labkit.world.services import providers
from labkit.world.services.refusals import Refused

_ROLES = ("system", "developer", "user", "assistant", "tool")
# What text-generation servers take and llama.cpp does not: asked for, it is refused rather than left out.
_NOT_HERE = ("adapter_id", "best_of", "decoder_input_details", "grammar", "top_n_tokens", "truncate", "watermark")
_CALL_ONE = 'To call one, write <tool_call>{"name": NAME, "arguments": {...}}</tool_call> and nothing else.'
_CALL_SEVERAL = 'To call them, write a JSON list of {"name": NAME, "arguments": {...}}, one for each call.'
_MOST_CALLS = 4  # else a small model writes calls until its tokens are used up
_SAMPLING = ("frequency_penalty", "seed", "stop", "temperature", "top_k", "top_p", "typical_p")


def require_course_model(name: Any) -> None:
    """Refuse every other model. In the router's form `MODEL:NAME` the name is that of a provider or of a policy."""
    ours = providers.course_model()
    model, colon, who = name.partition(":") if isinstance(name, str) else ("", "", "")
    if model.lower() == ours.lower() and colon and who not in (*providers.POLICIES, *providers.PROVIDERS):
        known = ", ".join((*providers.POLICIES, *providers.PROVIDERS))
        raise Refused(400, f"Nobody is called {who[:100]!r} here: behind the colon stands one of {known}.")
    if model.lower() != ours.lower():
        raise Refused(
            400,
            f"The course's gateway runs {ours} only, not {str(name)[:100]}: ask for that one, or start the lesson "
            'with mode="live" for models that need the providers\' machines.',
            code="model_not_found",
        )


def chat(body: dict[str, Any]) -> dict[str, Any]:
    """A chat request in OpenAI's form, whichever provider's form it came in. Refuses what could only mislead."""
    body = {name: value for name, value in body.items() if value is not None}
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise Refused(400, "A chat needs messages: a list with at least one message.")
    for message in messages:
        _require_message(message)
    if not isinstance(body.get("n", 1), int) or not 1 <= body.get("n", 1) <= 8:
        raise Refused(400, "n must be a whole number from 1 to 8.")
    if "response_format" in body:
        body["response_format"] = _response_format(body["response_format"])
    if "max_completion_tokens" in body:
        body.setdefault("max_tokens", body.pop("max_completion_tokens"))
    return body


def _require_message(message: Any) -> None:
    if not isinstance(message, dict) or message.get("role") not in _ROLES:
        raise Refused(400, f"Every message is a dictionary with a role ({', '.join(_ROLES)}) and a content.")
    content = message.get("content")
    if isinstance(content, list):
        for part in content:
            if not isinstance(part, dict) or part.get("type") != "text" or not isinstance(part.get("text"), str):
                raise Refused(400, "The course model reads text only: send no images, sounds or files.")
    elif not isinstance(content, str) and not (message["role"] == "assistant" and message.get("tool_calls")):
        raise Refused(400, f"The content of a {message['role']} message must be text.")


def _response_format(given: Any) -> dict[str, Any]:
    """OpenAI's form. hf-inference is sent `{type: json_object, value: SCHEMA}`, Together `{.., schema: SCHEMA}`."""
    kind = given.get("type") if isinstance(given, dict) else None
    if kind == "text":
        return {"type": "text"}
    if kind not in ("json_schema", "json_object", "json"):
        raise Refused(
            400, f"response_format cannot be {str(given)[:80]}: its type is text, json_object or json_schema."
        )
    inner = given.get("json_schema")
    schema = inner.get("schema") if isinstance(inner, dict) else given.get("schema", given.get("value"))
    if schema is None and kind == "json_object":
        schema = {"type": "object"}  # some versions of llama.cpp enforce nothing without a schema
    if not isinstance(schema, dict):
        raise Refused(400, "response_format needs a JSON schema: a dictionary.")
    name = inner.get("name", "answer") if isinstance(inner, dict) else "answer"
    return {"type": "json_schema", "json_schema": {"name": name, "schema": schema, "strict": True}}


# --- tools


def forced_tools(body: dict[str, Any]) -> list[dict[str, Any]]:
    """The tools of which one must be called: all (`required`), one by name, or none."""
    tools, choice = _tools(body), body.get("tool_choice", "auto")
    if choice in ("auto", "none"):
        return []
    if choice == "required":
        wanted = tools
    else:
        function = choice.get("function") if isinstance(choice, dict) else None
        name = function.get("name") if isinstance(function, dict) else None
        wanted = [tool for tool in tools if tool["function"]["name"] == name]
    if not wanted:
        raise Refused(400, f"tool_choice is {str(choice)[:80]}, and there is no such tool in tools.")
    return wanted


def _tools(body: dict[str, Any]) -> list[dict[str, Any]]:
    tools = body.get("tools", [])
    for tool in tools if isinstance(tools, list) else [None]:
        function = tool.get("function") if isinstance(tool, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise Refused(400, "Every tool is {'type': 'function', 'function': {'name': .., 'parameters': ..}}.")
        if not isinstance(function.get("parameters", {}), dict):
            raise Refused(400, f"The parameters of {function['name']} must be a JSON schema: a dictionary.")
    return tools


def with_tools(body: dict[str, Any]) -> dict[str, Any]:
    """The request as the course model can read it: its chat template has no place for tools, so a system message has.

    A forced call becomes a JSON schema, of which llama.cpp makes a grammar: the form is enforced, name and arguments
    are the model's own. (The grammar allows a Markdown fence around the JSON, which llama.cpp takes away again.) With
    `parallel_tool_calls` it may be several calls, in a list. With "auto" the model is told how to call, and may do so
    or not.
    """
    forced = forced_tools(body)
    told = forced or ([] if body.get("tool_choice") == "none" else _tools(body))
    plain = {key: value for key, value in body.items() if key not in ("tools", "tool_choice", "parallel_tool_calls")}
    plain["messages"] = [_plain_message(message) for message in body["messages"]]
    several = bool(forced) and body.get("parallel_tool_calls") is True
    if told:
        described = "\n".join(json.dumps(tool["function"]) for tool in told)
        how = _CALL_SEVERAL if several else _CALL_ONE
        text = f"You can call these functions:\n{described}\n{how}"
        first, rest = plain["messages"][0], plain["messages"][1:]
        if first["role"] == "system" and isinstance(first["content"], str):
            plain["messages"] = [{**first, "content": f"{first['content']}\n\n{text}"}, *rest]
        else:
            plain["messages"] = [{"role": "system", "content": text}, first, *rest]
    if forced:
        schema = _call_schema(forced, several=several)
        plain["response_format"] = {"type": "json_schema", "json_schema": {"name": "call", "schema": schema}}
    return plain


def _plain_message(message: dict[str, Any]) -> dict[str, Any]:
    """A call that the model made before, as text in its own words."""
    calls = message.get("tool_calls")
    if not calls:
        return message
    try:
        texts = [_call_text(call["function"]) for call in calls]
    except (TypeError, LookupError):
        raise Refused(400, "The tool_calls of a message are a list of {'function': {'name', 'arguments'}}.") from None
    return {"role": "assistant", "content": "\n".join(filter(None, [message.get("content"), *texts]))}


def _call_text(function: dict[str, Any]) -> str:
    arguments = function["arguments"]
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return f'<tool_call>{{"name": "{function["name"]}", "arguments": {text}}}</tool_call>'


def _call_schema(tools: list[dict[str, Any]], *, several: bool) -> dict[str, Any]:
    definitions: dict[str, Any] = {}
    calls = []
    for tool in tools:
        parameters = dict(tool["function"].get("parameters") or {"type": "object"})
        definitions |= parameters.pop("$defs", {})  # references count from the root
        properties = {"name": {"const": tool["function"]["name"]}, "arguments": parameters}
        calls.append({"type": "object", "properties": properties, "required": [*properties]})
    one = {"anyOf": calls} if len(calls) > 1 else calls[0]
    form = {"type": "array", "items": one, "minItems": 1, "maxItems": _MOST_CALLS} if several else one
    return {**form, "$defs": definitions}


# --- text in, text or vectors out


def completion(inputs: Any, parameters: Any, *, stream: bool) -> dict[str, Any]:
    """A text-generation request, in OpenAI's form of a completion. Greedy unless sampling is asked for; 100 tokens."""
    given = {name: value for name, value in (parameters or {}).items() if value not in (None, False)}
    if not isinstance(inputs, str) or not inputs:
        raise Refused(422, "inputs must be a text with at least one character.", error_type="validation")
    for name in _NOT_HERE:
        if name in given:
            raise Refused(422, f"The course's gateway cannot do {name}: leave it out.", error_type="validation")
    body = {name: given[name] for name in _SAMPLING if name in given}
    if not (given.get("do_sample") or {"temperature", "top_k", "top_p", "typical_p"} & set(given)):
        body["temperature"] = 0
    if "repetition_penalty" in given:
        body["repeat_penalty"] = given["repetition_penalty"]
    body |= {"prompt": inputs, "max_tokens": given.get("max_new_tokens", 100), "stream": stream}
    if stream or given.get("details"):
        body["logprobs"] = 1
    return body


def texts(given: Any, *, normalize: Any = None, **unknown: Any) -> list[str]:
    """What to embed, as a list of texts."""
    found = [given] if isinstance(given, str) else given
    if not isinstance(found, list) or not found or not all(isinstance(text, str) and text.strip() for text in found):
        raise Refused(422, "Give a text, or a list of texts, none of them empty.")
    if normalize is False:
        raise Refused(422, "The vectors of the course's gateway all have length 1: leave out normalize=False.")
    for name in ("prompt_name", "dimensions"):
        if unknown.get(name) is not None:
            raise Refused(422, f"The course model has no {name}: leave it out.")
    return found
