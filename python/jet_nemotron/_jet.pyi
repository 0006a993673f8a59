"""The extension module: the engine for the Python beside it. Ids are int32 [tokens], numbers fp32."""

from typing import Any, Callable, Optional

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int32]
OnToken = Callable[[int, int], object]  # row, id

class JetError(ValueError): ...

class Settings:
    temperature: float
    top_k: int
    top_p: float
    min_p: float
    typical_p: float
    repetition_penalty: float
    presence_penalty: float
    frequency_penalty: float
    logit_bias: list[tuple[int, float]]
    seed: int
    max_new_tokens: int
    min_new_tokens: int
    no_repeat_ngram_size: int
    ends: list[int]
    stop_strings: list[str]
    lookup: int
    num_beams: int
    num_return_sequences: int
    length_penalty: float
    early_stopping: str
    def __init__(self) -> None: ...

class Text:
    @property
    def ids(self) -> list[int]: ...
    @property
    def finish(self) -> str: ...
    @property
    def score(self) -> float: ...

class Tokenizer:
    @staticmethod
    def load(folder: str) -> Tokenizer: ...
    def __len__(self) -> int: ...
    def encode(self, text: bytes, special: bool) -> list[int]: ...
    def decode(self, ids: list[int], skip_special: bool) -> str: ...
    def token(self, id: int) -> str: ...
    def id_of(self, token: str) -> int: ...
    def is_special(self, id: int) -> bool: ...
    def bos_id(self) -> int: ...
    def eos_id(self) -> int: ...

class ChatTemplate:
    @staticmethod
    def find(folder: str) -> Optional[ChatTemplate]: ...
    def render(self, tokenizer: Tokenizer, input: str) -> tuple[str, list[int]]: ...

class State:
    """What a text left behind in the model: keys, values, recurrent states, tails of convolutions."""

    def __len__(self) -> int:
        """Tokens it has seen."""
    @property
    def bytes(self) -> int:
        """Memory held."""
    def fork(self) -> State:
        """A copy that goes its own way."""
    def reset(self) -> None:
        """Back to no tokens."""
    def save(self, path: str) -> None:
        """Writes all of it as a safetensors file."""
    def load(self, path: str) -> None:
        """Takes what save() wrote, of the same model."""
    def tensors(self) -> dict[str, NDArray[np.float32]]:
        """Copies by name, "layers.0.keys": [tokens, heads, dim], recurrent [heads, dK, dV], conv [width, channels]."""
    def forward(self, ids: Ids, keep: int) -> NDArray[np.float32]:
        """Appends tokens; the logits of the last `keep`, [keep, vocab]."""
    def generate(self, prompt: Ids, settings: Settings, tokenizer: Optional[Tokenizer] = None,
                 on_token: Optional[OnToken] = None) -> Text: ...

class Model:
    @staticmethod
    def load(folder: str, threads: int = 0, kv: str = "bf16", state: str = "f32", exact: bool = False) -> Model: ...
    def spec(self) -> str: ...
    def eos_token_ids(self) -> list[int]: ...
    def notes(self) -> list[str]: ...
    def parameters(self) -> int: ...
    def weight_bytes(self) -> int: ...
    def state_bytes(self, n: int) -> int: ...
    def state(self) -> State: ...
    def generate(self, prompts: list[Ids], settings: Settings, tokenizer: Optional[Tokenizer] = None,
                 on_token: Optional[OnToken] = None) -> list[Text]: ...
    def score(self, pairs: list[tuple[Ids, Ids]]) -> list[tuple[float, bool]]: ...
