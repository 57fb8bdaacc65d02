"""All that is changed in the answers to one request: what hygiene takes out, and the handles bound to it. Pure."""

from __future__ import annotations

from typing import Any

from spiritsafe.guard.handles import Handles
from spiritsafe.guard.hygiene import Editor

Json = dict[str, Any]


class Edits:
    """An editor and the handles' binding, one after the other; `edits_for` makes one where there is something to do."""

    def __init__(self, editor: Editor | None, handles: Handles | None) -> None:
        self._editor = editor
        self._handles = handles

    def concerns(self, data: bytes) -> bool:
        """Whether an event or a body in these bytes has to be looked at."""
        return (self._editor is not None and self._editor.concerns(data)) or (
            self._handles is not None and self._handles.concerns(data)
        )

    def edit(self, body: Json) -> bool:
        """Edit a whole answer in place; whether it was changed."""
        changed = self._editor is not None and self._editor.edit(body)
        return (self._handles is not None and self._handles.wrap_in(body)) or changed

    def edit_event(self, event: Json) -> bool:
        """Edit one event of a stream in place; whether it was changed. All of a stream's events must come, in order."""
        changed = self._editor is not None and self._editor.edit_event(event)
        return (self._handles is not None and self._handles.wrap_event(event)) or changed

    def take_ahead(self) -> list[Json]:
        """Events to be sent before the event edited last."""
        return [] if self._editor is None else self._editor.take_ahead()


def edits_for(editor: Editor | None, handles: Handles | None) -> Edits | None:
    """The two together; None where an answer may pass untouched."""
    return None if editor is None and handles is None else Edits(editor, handles)
