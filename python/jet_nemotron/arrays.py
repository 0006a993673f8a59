"""Token ids as users hold them (lists, NumPy arrays, torch tensors, encodings) and as the engine takes them: a row of
int32 for each text, without padding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def is_torch(value: Any) -> bool:
    return type(value).__module__.split(".")[0] == "torch"


def to_numpy(value: Any) -> np.ndarray:
    if is_torch(value):
        return value.detach().cpu().numpy()
    return np.asarray(value)


def like(array: np.ndarray, torch_too: bool) -> Any:
    """The array, or a torch tensor of its memory."""
    if not torch_too:
        return array
    import torch
    return torch.from_numpy(array)


def as_tensors(array: np.ndarray, kind: str | None) -> Any:
    """`kind` as return_tensors names it: "np", "pt", or None: lists."""
    if kind is None:
        return array.tolist()
    if kind not in ("np", "pt"):
        raise ValueError(f"return_tensors is {kind!r}, expected 'pt', 'np' or None")
    return like(array, kind == "pt")


def checked_row(ids: Any) -> np.ndarray:
    row = to_numpy(ids)
    if row.ndim != 1 or row.size and row.dtype.kind not in "iu":
        raise TypeError(f"token ids are whole numbers, [tokens] or [batch, tokens]; these are {row.dtype} {row.shape}")
    if row.size and (row.min() < 0 or row.max() > np.iinfo(np.int32).max):
        raise ValueError(f"token ids from {row.min()} to {row.max()} are outside of any vocabulary")
    return np.ascontiguousarray(row, np.int32)


class Batch:
    """Prompts: `rows` without padding, and `padded` [batch, tokens], int64, as they were given."""

    def __init__(self, ids: Any, mask: Any = None, pad: int | None = None, eos: Sequence[int] = ()) -> None:
        if isinstance(ids, Mapping):
            ids, mask = ids["input_ids"], ids.get("attention_mask") if mask is None else mask
        self.torch = is_torch(ids) or isinstance(ids, (list, tuple)) and len(ids) > 0 and is_torch(ids[0])
        given = _rows(ids)
        if not given:
            raise ValueError("there are no input_ids")
        length = max(len(r) for r in given)
        fill = pad if pad is not None else eos[0] if eos else 0
        self.padded = np.full((len(given), length), fill, np.int64)
        shown = np.zeros((len(given), length), bool)  # of a ragged list, what is not to its left
        for i, row in enumerate(given):
            self.padded[i, length - len(row):] = row
            shown[i, length - len(row):] = True
        if mask is not None:
            mask = to_numpy(mask)
            if mask.ndim == 1:
                mask = mask[None]
            if mask.shape != self.padded.shape:
                raise ValueError(f"attention_mask is {mask.shape}, input_ids are {self.padded.shape}")
            shown &= mask.astype(bool)
        elif pad is not None and pad not in eos:  # as transformers infers it
            shown &= self.padded != pad
        self.shown = shown
        self.rows = [np.ascontiguousarray(ids[m], np.int32) for ids, m in zip(self.padded, shown)]
        for i, row in enumerate(self.rows):
            if not len(row):
                raise ValueError(f"prompt {i} has no tokens" + (" that its attention_mask shows" if length else ""))

    def __len__(self) -> int:
        return len(self.rows)


def _rows(ids: Any) -> list[np.ndarray]:
    if isinstance(ids, (list, tuple)):
        if len(ids) and (isinstance(ids[0], (list, tuple)) or getattr(ids[0], "ndim", 0) == 1):
            return [checked_row(row) for row in ids]
        return [checked_row(ids)]
    array = to_numpy(ids)
    if array.ndim == 2:
        return [checked_row(row) for row in array]
    return [checked_row(array)]
