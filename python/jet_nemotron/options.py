"""Options that users bring along from other libraries: what they mean here, or that they are misspelt."""

from __future__ import annotations

import difflib
import sys
import warnings
from collections.abc import Iterable, Mapping
from typing import Any

_KERNELS = "the engine has kernels of its own"
_LOCAL = "models are read from a folder, nothing is downloaded"
_STORED = "weights are used as the folder stores them; jet_nemotron.quantize writes another one"
_ONE_MACHINE = "the engine runs in this process, on the CPU"

# Options of other libraries, and what is done instead. None and False ask for nothing.
OF_LOADING = {
    "attention_implementation": _KERNELS, "attn_implementation": _KERNELS, "use_flash_attention_2": _KERNELS,
    "rnn_hidden_size": "sizes are those of the model's folder",
    "attention_sparse_ratio": "which layers have full attention is the model's; jet_nemotron.postnas searches them",
    "load_in_4bit": _STORED, "load_in_8bit": _STORED, "quantization_config": _STORED,
    "device_map": _ONE_MACHINE, "max_memory": _ONE_MACHINE, "offload_folder": _ONE_MACHINE,
    "low_cpu_mem_usage": "weights are mapped, not copied",
    "trust_remote_code": "no code of a model's is run", "use_safetensors": "safetensors are all that is read",
    "cache_dir": _LOCAL, "force_download": _LOCAL, "local_files_only": "", "revision": _LOCAL, "token": _LOCAL,
    "use_fast": "there is one tokenizer",
}
OF_GENERATING = {
    "attention_implementation": _KERNELS, "attn_implementation": _KERNELS,
    "cache_implementation": "every layer keeps the state of its kind",
    "position_ids": "positions are counted", "synced_gpus": _ONE_MACHINE,
    "output_attentions": "attention is not kept", "output_hidden_states": "hidden states are not kept",
}


def is_asked(value: Any) -> bool:
    return value is not None and value is not False


def accept(where: str, given: Mapping[str, Any], known: Iterable[str], foreign: Mapping[str, str]) -> dict[str, Any]:
    """The options of `given` that are known; one warning for those of other libraries."""
    taken, ignored = sort_out(where, given, known, foreign)
    warn_of(where, ignored)
    return taken


def sort_out(where: str, given: Mapping[str, Any], known: Iterable[str],
             foreign: Mapping[str, str]) -> tuple[dict[str, Any], list[str]]:
    """The options of `given` that are known, and what to say of those of other libraries. Others are a TypeError with
    the name that comes nearest."""
    known = list(known)
    ignored, taken = [], {}
    for name, value in given.items():
        if name in known:
            taken[name] = value
        elif name in foreign:
            if is_asked(value) and foreign[name]:
                ignored.append(f"{name}={value!r} ({foreign[name]})")
        else:
            nearest = difflib.get_close_matches(name, [*known, *foreign], 1)
            raise TypeError(f"{where}() has no option '{name}'" + (f"; did you mean '{nearest[0]}'?" if nearest else ""))
    return taken, ignored


def warn_of(where: str, ignored: list[str]) -> None:
    """One warning for all that changes nothing."""
    if ignored:
        warn(f"{where}(): without effect here: " + "; ".join(ignored))


def warn(text: str) -> None:
    """A warning at the user's line."""
    warnings.warn(text, stacklevel=_users_frame())


def _users_frame() -> int:
    """How far up the stack the code is that is not this package's."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__package__") == __package__:
        level, frame = level + 1, frame.f_back
    return level
