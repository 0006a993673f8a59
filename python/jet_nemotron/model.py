"""A model folder as transformers' users know a model: generate(), and logits by calling it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _jet
from .arrays import Batch, like, to_numpy
from .generation import Asked, GenerateOutput, id_list, sequences_of
from .options import OF_LOADING, accept, sort_out, warn_of
from .tokenizer import _read_json, folder_of

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .generation import GenerationOptions


@dataclass
class CausalLMOutput:
    """`logits` [batch, tokens, vocab], fp32; zeros where there was padding. `loss`: with labels, the mean of
    -log p(labels[t + 1]) in nats, -100 left out. `state`: the one that was given."""

    logits: Any
    loss: Any = None
    state: _jet.State | None = None


class JetNemotronModel:
    """Make one with from_pretrained(). Any number of threads may use it; its work is done one call at a time, without
    Python's lock."""

    device = "cpu"

    def __init__(self, engine: _jet.Model, folder: str, context_length: int, dtype: str) -> None:
        self.engine, self.name_or_path, self.context_length, self.dtype = engine, folder, context_length, dtype
        self.config = SimpleNamespace(**json.loads(engine.spec()))
        self.generation_config: dict[str, Any] = _read_json(Path(folder) / "generation_config.json")
        self.generation_config["eos_token_id"] = engine.eos_token_ids()
        self._tokenizer: Any = None

    @classmethod
    def from_pretrained(cls, path: str, context_length: int | None = None, dtype: Any = None, device: Any = None,
                        threads: int = 0, **options: Any) -> JetNemotronModel:
        """The model of a folder: its own layout, Jet-Nemotron's or that of any family docs/models.md lists.

        context_length: texts end there; at most the model's, which it is without it.
        dtype: of the arithmetic beside stored weights: bfloat16 (also without it) or float32, which rounds nothing
            and keeps keys and values in fp32: for comparisons.
        threads: 0 takes all cores.
        Further: kv "bf16", "f32" or "i8" (keys and values), state "f32" or "bf16" (recurrent states), exact."""
        where = "JetNemotronModel.from_pretrained"
        torch_dtype = options.pop("torch_dtype", None)
        taken, ignored = sort_out(where, options, ["kv", "state", "exact"], OF_LOADING)
        name, engine_options = _engine_options(torch_dtype if dtype is None else dtype, ignored)
        folder = folder_of(path)
        engine = _jet.Model.load(folder, threads=threads, **{**engine_options, **taken})
        most = json.loads(engine.spec())["max_position_embeddings"]
        if context_length is not None and context_length < 1:
            raise ValueError(f"context_length is {context_length}, expected 1 or more")
        if context_length is not None and context_length > most:
            ignored.append(f"context_length={context_length} (the model has {most} positions)")
        if str(device or "cpu").split(":")[0] not in ("cpu", "auto"):
            ignored.append(f"device={str(device)!r} (the engine runs on the CPU)")
        warn_of(where, ignored + [f"in {folder}: {note}" for note in engine.notes()])
        return cls(engine, folder, min(context_length or most, most), name)

    def generate(self, input_ids: Any, attention_mask: Any = None, generation_config: Any = None,
                 state: _jet.State | None = None, streamer: Any = None,
                 **options: Unpack[GenerationOptions]) -> Any:
        """Goes on from prompts: GenerationOptions lists the options.

        input_ids: [batch, tokens] or [tokens], an encoding, or a list of lists of any lengths; what attention_mask
            (1: token, 0: padding) hides is not read. Prompts run together, none waits for another.
        generation_config: a dict, or transformers' object; options stand above it.
        state: the prompt is appended to what it holds; afterwards it holds the text that was made, too.
        streamer: put(ids) is called with the prompt and each token, end() at the end.
        Returns [texts, tokens], int64: prompts as given, new tokens, padding; with
        return_dict_in_generate a GenerateOutput. Ctrl-C ends it between two tokens."""
        asked = Asked(self.generation_config, generation_config, options)
        ends = id_list(asked.get("eos_token_id"))
        pad = asked.get("pad_token_id")
        batch = Batch(input_ids, attention_mask, pad, ends)
        asked.check(len(batch), streamer is not None or state is not None)
        before = 0 if state is None else len(state)
        longest = before + max(len(r) for r in batch.rows)
        if longest > self.context_length:
            raise ValueError(f"a prompt of {longest} tokens does not fit the context of {self.context_length}")
        room = self.context_length - longest + (self.context_length == self.config.max_position_embeddings)
        settings = asked.settings(ends, before + batch.padded.shape[1], room)
        each = asked.get("num_return_sequences", 1) if asked.samples else 1
        rows = [row for row in batch.rows for _ in range(each)]
        if settings.lookup and state is None:
            state = self.state()
        tell = None
        if streamer is not None:
            streamer.put(like(batch.padded, batch.torch))
            tell = lambda row, id: streamer.put(like(np.array([id]), batch.torch))  # noqa: E731
        tokenizer = self._tokenizer_for(asked) if settings.stop_strings else None
        if state is not None:
            texts = [state.generate(rows[0], settings, tokenizer, tell)]
        else:
            texts = self.engine.generate(rows, settings, tokenizer, tell)
        if streamer is not None:
            streamer.end()
        made = like(sequences_of(batch, texts, pad if pad is not None else ends[0] if ends else 0), batch.torch)
        if not asked.get("return_dict_in_generate"):
            return made
        scores = np.array([t.score for t in texts], np.float32) if asked.num_beams > 1 else None
        return GenerateOutput(made, [t.finish for t in texts], None if scores is None else like(scores, batch.torch))

    def __call__(self, input_ids: Any, attention_mask: Any = None, state: _jet.State | None = None,
                 labels: Any = None, logits_to_keep: int = 0, **options: Any) -> CausalLMOutput:
        """The logits after each token.

        input_ids: as in generate(). state: the tokens are appended to it.
        logits_to_keep: of the last so many tokens only (0: of all); of a long prompt all would be
        tokens * vocab * 4 bytes."""
        accept("model", options, ["use_cache", "return_dict"], {"output_attentions": "attention is not kept",
               "output_hidden_states": "hidden states are not kept", "position_ids": "positions are counted"})
        batch = Batch(input_ids, attention_mask)
        if state is not None and len(batch) > 1:
            raise ValueError("a state takes one text at a time")
        length = batch.padded.shape[1]
        keep = min(logits_to_keep or length, length)
        parts = []
        for row in batch.rows:
            parts.append((self.state() if state is None else state).forward(row, keep))
        if len(parts) == 1 and len(parts[0]) == keep:
            logits = parts[0][None]
        else:
            logits = np.zeros((len(parts), keep, self.config.vocab_size), np.float32)
            for i, part in enumerate(parts):
                logits[i][batch.shown[i][length - keep:]] = part[-int(batch.shown[i][length - keep:].sum()):]
        loss = None if labels is None else _loss(logits, to_numpy(labels))
        return CausalLMOutput(like(logits, batch.torch),
                              like(loss, batch.torch) if loss is not None else None, state)

    forward = __call__

    def state(self) -> _jet.State:
        """A state that holds no tokens yet: len(), fork(), save(path), load(path), reset(), bytes, tensors()."""
        return self.engine.state()

    def num_parameters(self) -> int:
        return self.engine.parameters()

    def get_memory_footprint(self) -> int:
        """Bytes of the weights."""
        return self.engine.weight_bytes()

    def state_bytes(self, tokens: int) -> int:
        """Bytes of keys, values and states of one text of so many tokens."""
        return self.engine.state_bytes(tokens)

    def to(self, *places: Any, **options: Any) -> JetNemotronModel:
        """Itself: there is one device, the CPU."""
        warn_of("to", [f"{p!r} (the engine runs on the CPU)" for p in (*places, *options.values())
                       if str(p).split(":")[0] in ("cuda", "mps", "xpu")])
        return self

    def eval(self) -> JetNemotronModel:
        """Itself: nothing here is in training."""
        return self

    def _tokenizer_for(self, asked: Asked) -> _jet.Tokenizer:
        given = asked.get("tokenizer")
        if isinstance(getattr(given, "backend", None), _jet.Tokenizer):
            return given.backend
        if self._tokenizer is None:
            self._tokenizer = _jet.Tokenizer.load(self.name_or_path)
        return self._tokenizer


def _engine_options(dtype: Any, ignored: list[str]) -> tuple[str, dict[str, Any]]:
    """The dtype's name and the engine's options; what is done differently joins `ignored`."""
    name = getattr(dtype, "__name__", str(dtype)).split(".")[-1]
    if name in ("float32", "float", "f32", "fp32"):
        return "float32", {"exact": True, "kv": "f32"}
    if name in ("float16", "half", "f16", "fp16"):
        ignored.append(f"dtype={name} (weights are used as they are stored, the rest is bfloat16 and fp32)")
        return "bfloat16", {}
    if name in ("None", "auto", "bfloat16", "bf16"):
        return "bfloat16", {}
    raise TypeError(f"dtype is {dtype!r}, expected bfloat16 or float32; for int8 and int4 weights, "
                    "jet_nemotron.quantize writes a folder of them")


def _loss(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Mean cross-entropy of the next tokens, as transformers shifts them."""
    labels = labels.reshape(logits.shape[0], -1)
    if labels.shape[1] != logits.shape[1]:
        raise ValueError(f"labels are {labels.shape}, logits {logits.shape}: labels want logits of all tokens")
    target = labels[:, 1:]
    total, count = 0.0, 0
    for row, ids in zip(logits, target):
        kept = ids != -100
        x = row[:-1][kept].astype(np.float64)
        x -= x.max(-1, keepdims=True)
        total -= float((x[np.arange(len(x)), ids[kept]] - np.log(np.exp(x).sum(-1))).sum())
        count += int(kept.sum())
    return np.array(total / count if count else np.nan, np.float32)
