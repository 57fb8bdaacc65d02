"""Reasoning written into the answer itself: `<think>…</think>` before the answer proper.

Open-weights servers without a reasoning parser leave it there. Three forms occur: both tags; only the closing tag,
because the chat template already wrote the opening one into the prompt; and only the opening tag, because the answer
was cut off while the model was still thinking.
"""

from __future__ import annotations

OPEN = "<think>"
CLOSE = "</think>"


def split_think(text: str) -> tuple[str, str | None]:
    """(answer, reasoning) of `text`; reasoning is None where there is none or it is blank.

    Tags count only before the answer: a `<think>` after other text is part of the answer. Unterminated thinking is all
    reasoning and leaves an empty answer.
    """
    if "think>" not in text:
        return text, None
    body = text.lstrip()
    if not body.startswith(OPEN) and CLOSE not in body.partition(OPEN)[0]:
        return text, None
    inner, closed, answer = body.removeprefix(OPEN).partition(CLOSE)
    reasoning = inner.strip() or None
    if closed:
        return answer.lstrip(), reasoning
    return "", reasoning
