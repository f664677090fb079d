"""Chats of one question about one image, as other trainers have them.

`{"messages": [{role, content}], "images": [path]}` of ms-swift, or its older `{query, response, images}`; contents that
are lists of parts `{type, text}` and `{type, image}`, as OpenAI and Unsloth have them; messages with `images` of their
own and the roles `<|User|>` and `<|Assistant|>`, as DeepSeek has them; `{"conversations": [{from, value}], "image"}` of
LLaVA. `<image>` is left out of the question, the text of a system message, or of a `system` beside the messages, stands
before it.
"""

from collections.abc import Iterator
from typing import Any

from data_scripts.formats.json_files import are_all, string
from ocr2_hf.document.model_tokens import IMAGE
from ocr2_hf.document.records import RecordError, shown

CHAT_KEYS = ("messages", "conversations", "query", "response")

_SYSTEM, _ASKERS, _ANSWERERS = ("system", "developer"), ("user", "human"), ("assistant", "gpt")
_MARKS = "<|｜> "  # of a role that is written as the token it becomes
_TEXT_PARTS = ("text", "input_text", "output_text")
_IMAGE_PARTS = ("image", "image_url", "input_image")
_IMAGE_KEYS = ("image", "image_url", "url", "path")  # of a part
_PLACEHOLDER = "<image_placeholder>"  # what Janus and DeepSeek-VL write for `<image>`
_UNFILLED = ("<bbox>", "<ref-object>", "<video>", "<audio>")

Message = dict[str, Any]


def messages_of(row: dict[str, Any]) -> list[Message] | None:
    """The chat of a row as a list of messages; None where it has none."""
    if row.get("query") is not None or row.get("response") is not None:
        if row.get("history"):
            raise RecordError("row has a history: one question and its answer are needed")
        roles = {"system": row.get("system") or "", "user": row.get("query"), "assistant": row.get("response")}
        return [{"role": role, "content": content} for role, content in roles.items()]
    messages = next((row[key] for key in ("messages", "conversations") if row.get(key) is not None), None)
    if messages is None:
        return None
    if not are_all(dict, messages):
        raise RecordError(f"messages is {shown(messages)}, not a list of objects")
    # LLaMA-Factory's chats have it beside them.
    return [{"role": "system", "content": row["system"]}, *messages] if row.get("system") else messages


def question(messages: list[Message]) -> tuple[str, str]:
    """(prompt, answer) of a chat of one round."""
    roles = [_role(message) for message in messages]
    texts = [_content(message).replace(_PLACEHOLDER, IMAGE) for message in messages]
    first = next((i for i, role in enumerate(roles) if role not in _SYSTEM), len(roles))
    if len(roles) != first + 2 or roles[first] not in _ASKERS or roles[first + 1] not in _ANSWERERS:
        raise RecordError(f"messages are of {shown(roles)}: one question and its answer are needed")
    for mark in _UNFILLED:
        if any(mark in text for text in texts):
            raise RecordError(f"messages hold {mark}: fill such placeholders in, coordinates as 0..999 of the page")
    *before, answer = texts
    if sum(text.count(IMAGE) for text in before) > 1 or IMAGE in answer:
        raise RecordError(f"messages hold {IMAGE} in the answer, or more than once: one question about one image")
    prompt = "\n".join(text for text in (text.replace(IMAGE, "").strip() for text in before) if text)
    return prompt, answer


def images_in(messages: list[Message]) -> Iterator[Any]:
    """The images that the messages name, each as it is written there."""
    for message in messages:
        yield from listed(message.get("images"))
        for part in _parts_of(message):
            if part["type"] in _IMAGE_PARTS:
                yield next((part[key] for key in _IMAGE_KEYS if part.get(key) is not None), None)


def listed(images: Any) -> list[Any]:
    """The images that a row or a message has under a key: a list, or a single one."""
    return images if isinstance(images, list) else [images]


def _role(message: Message) -> Any:
    role = message.get("role", message.get("from"))
    return role.strip(_MARKS).lower() if isinstance(role, str) else role


def _content(message: Message) -> str:
    content = message.get("content", message.get("value"))
    if isinstance(content, list):
        parts = [part.get("text") for part in _parts_of(message) if part["type"] in _TEXT_PARTS]
        return "\n".join(string(part, "text in messages") for part in parts)
    return string(content, "content of a message")


def _parts_of(message: Message) -> list[dict[str, Any]]:
    """The text and image parts of a message's content; none where it is a plain string."""
    content = message.get("content", message.get("value"))
    parts = content if isinstance(content, list) else []
    for part in parts:
        if not isinstance(part, dict) or part.get("type") not in _TEXT_PARTS + _IMAGE_PARTS:
            raise RecordError(f"messages have the part {shown(part)}, neither text nor image")
    return parts
