"""Text as it is made: transformers' protocol, put(ids) for the prompt and each token, then end()."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from typing import Any

from .arrays import to_numpy


class TextStreamer:
    """Prints text as it is made. Streamers of transformers do as well: generate(..., streamer=)."""

    def __init__(self, tokenizer: Any, skip_prompt: bool = False, **decode_options: Any) -> None:
        self.tokenizer, self.skip_prompt, self.decode_options = tokenizer, skip_prompt, decode_options
        self._ids: list[int] = []
        self._shown = 0
        self._is_prompt = True

    def put(self, value: Any) -> None:
        ids = to_numpy(value)
        if ids.ndim > 1 and ids.shape[0] > 1:
            raise ValueError("a streamer takes one text at a time")
        is_prompt, self._is_prompt = self._is_prompt, False
        if is_prompt and self.skip_prompt:
            return
        self._ids += ids.reshape(-1).tolist()
        text = self.tokenizer.decode(self._ids, **self.decode_options)
        if not text.endswith("\ufffd"):  # a character may still be made whole
            self.on_finalized_text(text[self._shown:])
            self._shown = len(text)

    def end(self) -> None:
        text = self.tokenizer.decode(self._ids, **self.decode_options)[self._shown:] if self._ids else ""
        self._ids, self._shown, self._is_prompt = [], 0, True
        self.on_finalized_text(text, stream_end=True)

    def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
        print(text, end="\n" if stream_end else "", flush=True)


class TextIteratorStreamer(TextStreamer):
    """Yields text as it is made, where generate() runs in another thread."""

    def __init__(self, tokenizer: Any, skip_prompt: bool = False, timeout: float | None = None,
                 **decode_options: Any) -> None:
        super().__init__(tokenizer, skip_prompt, **decode_options)
        self.timeout = timeout
        self._queue: queue.Queue[str | None] = queue.Queue()

    def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
        if text:
            self._queue.put(text)
        if stream_end:
            self._queue.put(None)

    def __iter__(self) -> Iterator[str]:
        while (text := self._queue.get(timeout=self.timeout)) is not None:
            yield text
