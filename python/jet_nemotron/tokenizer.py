"""The tokenizer of a model folder: texts and conversations to ids, and back."""

from __future__ import annotations

import json
from collections import UserDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from . import _jet
from .arrays import as_tensors, to_numpy
from .options import OF_LOADING, accept


class BatchEncoding(UserDict):
    """What a tokenizer gives: `input_ids` and `attention_mask` (1: a token, 0: padding), [batch, tokens], also by
    attribute, and as `**inputs` for generate()."""

    def __getattr__(self, name: str) -> Any:
        if name == "data" or name not in self.data:
            raise AttributeError(f"there is no '{name}' in this encoding")
        return self.data[name]

    @property
    def shape(self) -> tuple[int, ...]:
        """That of the ids, so that `inputs.shape[-1]` is the prompt's length."""
        return tuple(np.shape(self.data["input_ids"]))

    def to(self, *device: Any, **options: Any) -> BatchEncoding:
        """Itself: there is one device, the CPU."""
        return self


class JetNemotronTokenizer:
    def __init__(self, folder: str) -> None:
        self.name_or_path = str(folder)
        self.backend = _jet.Tokenizer.load(self.name_or_path)
        self.chat = _jet.ChatTemplate.find(self.name_or_path)
        config = _read_json(Path(folder) / "tokenizer_config.json")
        self.padding_side: str = config.get("padding_side") or "left"  # on which side texts do not go on
        self.model_max_length: int = int(config.get("model_max_length") or 10**30)
        self.bos_token_id = _id_or_none(self.backend.bos_id())
        self.eos_token_id = _id_or_none(self.backend.eos_id())
        pad = config.get("pad_token")
        pad = pad.get("content") if isinstance(pad, dict) else pad
        self.pad_token_id = _id_or_none(self.backend.id_of(pad)) if pad else None

    @classmethod
    def from_pretrained(cls, path: str, **options: Any) -> JetNemotronTokenizer:
        """Of a folder with tokenizer.json or tokenizer.model, and its chat template where there is one.

        Options: padding_side "left" (so that texts can go on) or "right"; pad_token, a text that is one token."""
        taken = accept("JetNemotronTokenizer.from_pretrained", options, ["padding_side", "pad_token"], OF_LOADING)
        tokenizer = cls(folder_of(path))
        for name, value in taken.items():
            setattr(tokenizer, name, value)
        return tokenizer

    def __len__(self) -> int:
        """The highest id + 1, added tokens included."""
        return len(self.backend)

    vocab_size = property(__len__)

    def __call__(self, text: str | Sequence[str], padding: bool | str = False, truncation: bool = False,
                 max_length: int | None = None, return_tensors: str | None = None,
                 **options: Any) -> BatchEncoding:
        """A text, or a list of texts, as ids.

        padding: True or "longest" makes all as long as the longest, "max_length" as long as max_length.
        truncation: True cuts texts to max_length tokens (without it, to the model's).
        return_tensors: "pt" or "np" gives int64 [batch, tokens]; None gives lists, of one text without the batch.
        Further: add_special_tokens (True), padding_side."""
        taken = accept("tokenizer", options, ["add_special_tokens", "padding_side", "return_attention_mask"],
                         {"return_token_type_ids": "there is one sequence"})
        single = isinstance(text, str)
        texts = [text] if single else list(text)
        if not texts or not all(isinstance(t, str) for t in texts):
            raise TypeError("the tokenizer takes a text or a list of texts")
        rows = [self.encode(t, taken.get("add_special_tokens", True)) for t in texts]
        if truncation:
            rows = [r[:max_length or self.model_max_length] for r in rows]
        least = max_length if padding == "max_length" else None
        return self._encoding(rows, single, (bool(padding), least, taken.get("padding_side")), return_tensors)

    def _encoding(self, rows: list[list[int]], single: bool, padding: tuple[bool, int | None, str | None],
                  kind: str | None) -> BatchEncoding:
        pads, least, side = padding
        masks = [[1] * len(r) for r in rows]
        if pads:
            length = max(least or 0, *(len(r) for r in rows))
            fill = self.pad_token_id if self.pad_token_id is not None else self.eos_token_id or 0
            left = (side or self.padding_side) == "left"
            rows, masks = ([_padded(r, length, value, left) for r in group]
                           for group, value in ((rows, fill), (masks, 0)))
        if kind is None:
            return BatchEncoding({"input_ids": rows[0] if single else rows,
                                  "attention_mask": masks[0] if single else masks})
        if len({len(r) for r in rows}) > 1:
            raise ValueError("the texts have different numbers of tokens: give padding=True, or no return_tensors")
        return BatchEncoding({name: as_tensors(np.array(group, np.int64), kind)
                              for name, group in (("input_ids", rows), ("attention_mask", masks))})

    def encode(self, text: str, add_special_tokens: bool = True, return_tensors: str | None = None) -> Any:
        """The ids of one text: a list, or with return_tensors [1, tokens]."""
        ids = self.backend.encode(text.encode("utf-8", "surrogatepass"), add_special_tokens)
        return ids if return_tensors is None else as_tensors(np.array([ids], np.int64), return_tensors)

    def decode(self, token_ids: Any, skip_special_tokens: bool = False, **options: Any) -> str:
        """The text of ids: a number, a list, an array or tensor [tokens]."""
        accept("decode", options, ["clean_up_tokenization_spaces"], {})
        ids = to_numpy(token_ids)
        if ids.ndim > 1:
            raise ValueError(f"decode() takes the ids of one text, not {ids.shape}: batch_decode() takes several")
        return self.backend.decode(ids.reshape(-1).astype(np.int64).tolist(), skip_special_tokens)

    def batch_decode(self, sequences: Any, skip_special_tokens: bool = False, **options: Any) -> list[str]:
        """The texts of a batch of ids, [batch, tokens] or a list of lists."""
        return [self.decode(ids, skip_special_tokens, **options) for ids in sequences]

    def convert_tokens_to_ids(self, tokens: str | Sequence[str]) -> Any:
        """The id of a token's text ("<|im_end|>"), None where it is no single token; of a list, a list."""
        if isinstance(tokens, str):
            return _id_or_none(self.backend.id_of(tokens))
        return [self.convert_tokens_to_ids(t) for t in tokens]

    def apply_chat_template(self, conversation: Any, tools: list[dict] | None = None,
                            add_generation_prompt: bool = False, tokenize: bool = True,
                            return_tensors: str | None = None, **options: Any) -> Any:
        """A conversation, [{"role": ..., "content": ...}, ...], as the model's own template writes it; a list of
        conversations gives a batch.

        tokenize=False gives the text. Otherwise a BatchEncoding, or with return_dict=False its ids.
        Further: documents, padding, return_dict, and any variable of the template (enable_thinking=False)."""
        if self.chat is None:
            raise ValueError(f"{self.name_or_path} has no chat template: write the prompt yourself")
        options = dict(options)
        as_dict, padding = options.pop("return_dict", True), options.pop("padding", False)
        single = not conversation or not isinstance(conversation[0], (list, tuple))
        texts, rows = [], []
        for messages in [conversation] if single else conversation:
            asked = {"messages": messages, "tools": tools, "add_generation_prompt": add_generation_prompt, **options}
            text, ids = self.chat.render(self.backend, json.dumps(asked, default=_refuse))
            texts.append(text)
            rows.append(ids)
        if not tokenize:
            return texts[0] if single else texts
        encoding = self._encoding(rows, single, (bool(padding), None, None), return_tensors)
        return encoding if as_dict else encoding["input_ids"]

    def _token(self, id: int | None) -> str | None:
        return None if id is None else self.backend.token(id)

    def _set_pad_token(self, token: str) -> None:
        id = self.convert_tokens_to_ids(token)
        if id is None:
            raise ValueError(f"pad_token {token!r} is no token of this vocabulary")
        self.pad_token_id = id

    bos_token = property(lambda self: self._token(self.bos_token_id))
    eos_token = property(lambda self: self._token(self.eos_token_id))
    pad_token = property(lambda self: self._token(self.pad_token_id), _set_pad_token)


def folder_of(path: Any) -> str:
    """The folder of a model; an error says what to do about what is none."""
    folder = Path(path).expanduser()
    if folder.is_dir():
        return str(folder)
    if folder.suffix == ".gguf" and folder.is_file():
        raise ValueError(f"{path} is a GGUF file: `jet import {path} DIR` makes a model folder of it")
    raise FileNotFoundError(f"{path}: there is no such folder. Models are not downloaded by name: fetch the files "
                            "(hf download, or tools/fetch_model.sh of jet.cpp) and give their folder")


def _read_json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text("utf-8")) if path.is_file() else {}


def _id_or_none(id: int) -> int | None:
    return id if id >= 0 else None


def _padded(row: list[int], length: int, value: int, left: bool) -> list[int]:
    fill = [value] * (length - len(row))
    return fill + row if left else row + fill


def _refuse(value: Any) -> Any:
    raise TypeError(f"{value!r} is no JSON: messages and tools are texts, numbers, lists and objects "
                    "(tools as JSON schemas)")
