"""What generate() is asked for, as the engine's settings, and what it gives back."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypedDict

import numpy as np

from . import _jet
from .arrays import Batch
from .options import OF_GENERATING, sort_out, warn, warn_of

_DEFAULT_NEW_TOKENS = 20  # transformers'
_DRAWS = ("temperature", "top_k", "top_p", "min_p", "typical_p")
_PENALTIES = ("repetition_penalty", "presence_penalty", "frequency_penalty")


class GenerationOptions(TypedDict, total=False):
    """Options of generate(), named as transformers names them. What is left open is the model's own
    (generation_config.json), then neutral: no top_k of 50."""

    max_new_tokens: int           # new ones; without it and max_length 20
    max_length: int               # with the prompt (padded, as it is given)
    min_new_tokens: int           # no end before
    min_length: int               # the same with the prompt
    do_sample: bool               # draw; False: the likeliest
    temperature: float
    top_k: int                    # 0: all
    top_p: float
    min_p: float
    typical_p: float
    repetition_penalty: float
    presence_penalty: float       # OpenAI's
    frequency_penalty: float
    no_repeat_ngram_size: int
    logit_bias: Mapping[int, float]  # added to logits; -inf: never
    num_beams: int                # of a beam search; 1: none
    early_stopping: bool | str    # True, False, "never"
    length_penalty: float
    num_return_sequences: int     # texts a prompt
    eos_token_id: int | Sequence[int]  # ends of a text; []: none
    pad_token_id: int
    stop_strings: str | Sequence[str]  # a text that ends it; the tokens that wrote it stay
    tokenizer: Any                # for stop_strings; that of the model's folder without it
    prompt_lookup_num_tokens: int  # drafts from the text itself, checked in one pass: the same text, often sooner
    seed: int                     # of the draws; row i draws with seed + i. Without it Python's random module
    return_dict_in_generate: bool
    use_cache: bool               # True


@dataclass
class GenerateOutput:
    """With return_dict_in_generate=True. `sequences` [texts, tokens]; finish_reasons: eos, stop_string, length,
    context; sequences_scores [texts]: of a beam search, log p / length^length_penalty."""

    sequences: Any
    finish_reasons: list[str] = field(default_factory=list)
    sequences_scores: Any = None


class Asked:
    """Options put together: those given over those of a generation_config over the model's."""

    def __init__(self, model: Mapping[str, Any], config: Any, given: Mapping[str, Any]) -> None:
        names = GenerationOptions.__annotations__
        if config is not None and not isinstance(config, Mapping):
            config = config.to_diff_dict()  # transformers' GenerationConfig
            config = {k: v for k, v in config.items() if k in names or k in OF_GENERATING}
        self.own, ignored = sort_out("generate", {**(config or {}), **given}, names, OF_GENERATING)
        self.own = {k: v for k, v in self.own.items() if v is not None}
        self.all = {**{k: v for k, v in model.items() if k in names and v is not None}, **self.own}
        if "max_length" in self.own or "max_new_tokens" in self.own:  # then the model's word on length is none
            self.all = {k: v for k, v in self.all.items() if k not in ("max_length", "max_new_tokens") or k in self.own}
        self.warn(ignored)

    def get(self, name: str, otherwise: Any = None) -> Any:
        return self.all.get(name, otherwise)

    def warn(self, ignored: list[str]) -> None:
        if self.get("use_cache") is False:
            ignored.append("use_cache=False (states are always kept)")
        if not self.get("do_sample"):
            ignored += [f"{n}={self.own[n]!r} (for do_sample=True)" for n in _DRAWS if n in self.own]
        warn_of("generate", ignored)
        if not {"max_length", "max_new_tokens"} & self.all.keys():
            warn(f"generate(): {_DEFAULT_NEW_TOKENS} new tokens, since neither max_new_tokens nor max_length is given")

    @property
    def num_beams(self) -> int:
        return self.get("num_beams", 1)

    @property
    def samples(self) -> bool:
        return bool(self.get("do_sample", False)) and self.num_beams == 1

    def check(self, batch: int, alone: bool) -> None:
        """`alone`: there is a streamer or a state, which take one text."""
        beams, texts = self.num_beams, self.get("num_return_sequences", 1)
        if beams > 1 and self.own.get("do_sample"):
            raise ValueError("num_beams searches and do_sample draws: give one of them")
        if beams > 1 and (alone or self.get("stop_strings") or self.get("prompt_lookup_num_tokens")):
            raise ValueError("num_beams does not go with a streamer, a state, stop_strings or prompt_lookup_num_tokens")
        if not 1 <= texts <= (beams if beams > 1 else 1 if not self.samples else texts):
            raise ValueError(f"num_return_sequences={texts}: a beam search gives up to num_beams, drawing any number, "
                             "and greedy decoding one")
        if batch * texts > 1 and (alone or self.get("prompt_lookup_num_tokens")):
            raise ValueError("streamer, state and prompt_lookup_num_tokens are for one text at a time")

    def new_tokens(self, read: int, room: int) -> int:
        """After `read` tokens, with `room` in the context."""
        new = self.get("max_new_tokens")
        if new is None:
            total = self.get("max_length")
            new = _DEFAULT_NEW_TOKENS if total is None else total - read
            if new <= 0:
                raise ValueError(f"max_length={total} counts the prompt, which has {read} tokens: raise it, or give "
                                 "max_new_tokens")
        return max(0, min(new, room))

    def settings(self, ends: list[int], read: int, room: int) -> _jet.Settings:
        s = _jet.Settings()
        if self.samples:
            s.temperature = self.get("temperature", 1.0)
            for name in _DRAWS[1:]:
                _set(s, name, self.get(name))
        for name in (*_PENALTIES, "no_repeat_ngram_size", "num_beams", "num_return_sequences", "length_penalty"):
            _set(s, name, self.get(name))
        if self.num_beams == 1:
            s.num_return_sequences = 1  # rows of their own
        s.logit_bias = [(int(i), float(b)) for i, b in dict(self.get("logit_bias") or {}).items()]
        s.early_stopping = str(self.get("early_stopping", False)).lower()
        s.max_new_tokens = self.new_tokens(read, room)
        s.min_new_tokens = max(self.get("min_new_tokens", 0), self.get("min_length", 0) - read)
        s.ends = ends
        stops = self.get("stop_strings") or []
        s.stop_strings = [stops] if isinstance(stops, str) else list(stops)
        s.lookup = self.get("prompt_lookup_num_tokens", 0)
        seed = self.get("seed")
        s.seed = random.getrandbits(62) if seed is None else seed
        return s


def _set(settings: _jet.Settings, name: str, value: Any) -> None:
    if value is not None:
        setattr(settings, name, value)


def id_list(ids: int | Sequence[int] | None) -> list[int]:
    if ids is None:
        return []
    return [int(ids)] if not isinstance(ids, (list, tuple, np.ndarray)) else [int(i) for i in ids]


def sequences_of(batch: Batch, texts: list[_jet.Text], pad: int) -> np.ndarray:
    """Prompts as they were given, each with its new tokens, and padding to the longest: [texts, tokens], int64."""
    each, length = len(texts) // len(batch), batch.padded.shape[1]
    made = np.full((len(texts), length + max(len(t.ids) for t in texts)), pad, np.int64)
    for i, text in enumerate(texts):
        made[i, :length] = batch.padded[i // each]
        made[i, length:length + len(text.ids)] = text.ids
    return made
