"""Chats of one question and its answer, as trainers of chat models write them."""

from typing import Any

from data_scripts.formats.json_text import are_all, string
from ocr2_hf.document.records import RecordError, shown

_ASKERS, _ANSWERERS = ("user", "human"), ("assistant", "gpt")
_IMAGE = "<image>"
_UNFILLED = ("<bbox>", "<ref-object>", "<video>", "<audio>")


def messages_of(row: dict[str, Any]) -> list[dict[str, Any]] | None:
    """The chat of a row as a list of messages; None where it has none."""
    if "query" in row or "response" in row:
        if row.get("history"):
            raise RecordError("row has a history: one question and its answer are needed")
        roles = {"system": row.get("system") or "", "user": row.get("query"), "assistant": row.get("response")}
        return [{"role": role, "content": content} for role, content in roles.items()]
    messages = row.get("messages", row.get("conversations"))
    if messages is None:
        return None
    if not are_all(dict, messages):
        raise RecordError(f"messages is {shown(messages)}, not a list of objects")
    return messages


def question(messages: list[dict[str, Any]]) -> tuple[str, str]:
    """(prompt, answer) of a chat of one round."""
    roles = [message.get("role", message.get("from")) for message in messages]
    texts = [_content(message) for message in messages]
    first = next((i for i, role in enumerate(roles) if role != "system"), len(roles))
    if len(roles) != first + 2 or roles[first] not in _ASKERS or roles[first + 1] not in _ANSWERERS:
        raise RecordError(f"messages are of {shown(roles)}: one question and its answer are needed")
    for mark in _UNFILLED:
        if any(mark in text for text in texts):
            raise RecordError(f"messages hold {mark}: fill such placeholders in, coordinates as 0..999 of the page")
    *before, answer = texts
    if sum(text.count(_IMAGE) for text in before) > 1 or _IMAGE in answer:
        raise RecordError(f"messages hold {_IMAGE} in the answer, or more than once: one question about one image")
    prompt = "\n".join(text for text in (text.replace(_IMAGE, "").strip() for text in before) if text)
    return prompt, answer


def _content(message: dict[str, Any]) -> str:
    content = message.get("content", message.get("value"))
    parts = [part.get("text") for part in parts_of(message) if part.get("type") == "text"]
    if isinstance(content, list):
        return "\n".join(string(part, "text in messages") for part in parts)
    return string(content, "content of a message")


def parts_of(message: dict[str, Any]) -> list[dict[str, Any]]:
    """The text and image parts of a message's content; none where it is a plain string."""
    content = message.get("content", message.get("value"))
    parts = content if isinstance(content, list) else []
    for part in parts:
        if not isinstance(part, dict) or part.get("type") not in ("text", "image", "image_url"):
            raise RecordError(f"messages have the part {shown(part)}, neither text nor image")
    return parts
