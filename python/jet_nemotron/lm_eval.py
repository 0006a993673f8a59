"""The model "jet" of lm-evaluation-harness:

    python -m jet_nemotron.lm_eval --model jet --model_args pretrained=DIR --tasks hellaswag

is lm_eval's own command line with the model known to it. A program registers it by importing this module.
model_args: pretrained, dtype (float32: nothing is rounded), context_length, threads, max_gen_toks."""

from __future__ import annotations

from typing import Any

import numpy as np
from lm_eval import utils
from lm_eval.api.model import TemplateLM
from lm_eval.api.registry import register_model
from lm_eval.models.utils import handle_stop_sequences, normalize_gen_kwargs, postprocess_generated_text
from tqdm import tqdm

from .model import JetNemotronModel
from .tokenizer import JetNemotronTokenizer

_PAIRS = 64  # scored between two steps of the progress bar


def _row(ids: list[int]) -> np.ndarray:
    return np.array(ids, np.int32)


@register_model("jet")
class JetLM(TemplateLM):
    """Scores and texts as the harness's "hf" model has them: contexts are cut at their left end, the prefix of an
    empty one is the bos or eos."""

    def __init__(self, pretrained: str, dtype: str | None = None, max_gen_toks: int = 256, batch_size: Any = None,
                 max_batch_size: Any = None, device: Any = None, **options: Any) -> None:
        super().__init__()
        self.model = JetNemotronModel.from_pretrained(pretrained, dtype=dtype, **options)
        self.tokenizer = JetNemotronTokenizer.from_pretrained(pretrained)
        self.max_gen_toks = max_gen_toks

    @property
    def eot_token_id(self) -> int:
        return self.tokenizer.eos_token_id

    @property
    def prefix_token_id(self) -> int:
        bos = self.tokenizer.bos_token_id
        return bos if bos is not None else self.eot_token_id

    @property
    def max_length(self) -> int:
        return self.model.context_length

    @property
    def tokenizer_name(self) -> str:
        return self.tokenizer.name_or_path.replace("/", "__")

    def chat_template(self, chat_template: bool | str = False) -> str:
        return self.tokenizer_name if chat_template else ""

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        return self.tokenizer.apply_chat_template(chat_history, tokenize=False,
                                                  add_generation_prompt=add_generation_prompt)

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **kwargs: Any) -> list[int]:
        if add_special_tokens is None:
            begins = string.startswith(self.tokenizer.decode([self.prefix_token_id]))
            add_special_tokens = not begins
        return self.tokenizer.encode(string, add_special_tokens)

    def _loglikelihood_tokens(self, requests: list, disable_tqdm: bool = False, **kwargs: Any) -> list:
        pairs = []
        for _, context, text in requests:
            over = max(0, len(context) + len(text) - self.max_length - 1)
            pairs.append((_row(context[over:]), _row(text)))
        # Contexts that begin alike are read together.
        order = sorted(range(len(pairs)), key=lambda i: pairs[i][0].tolist())
        scores: list = [None] * len(pairs)
        with tqdm(total=len(pairs), disable=disable_tqdm, desc="Running loglikelihood requests") as bar:
            for at in range(0, len(order), _PAIRS):
                part = order[at:at + _PAIRS]
                for i, score in zip(part, self.model.engine.score([pairs[i] for i in part])):
                    scores[i] = score
                    if requests[i][0] is not None:
                        self.cache_hook.add_partial("loglikelihood", requests[i][0], score)
                bar.update(len(part))
        return scores

    def loglikelihood_rolling(self, requests: list, disable_tqdm: bool = False) -> list[float]:
        windows, owners = [], []
        for i, (string,) in enumerate(request.args for request in requests):
            for window in utils.get_rolling_token_windows(
                    token_list=self.tok_encode(string), prefix_token=self.prefix_token_id,
                    max_seq_len=self.max_length, context_len=1):
                windows.append((None, *utils.make_disjoint_window(window)))
                owners.append(i)
        totals = [0.0] * len(requests)
        for i, (logprob, _) in zip(owners, self._loglikelihood_tokens(windows, disable_tqdm)):
            totals[i] += logprob
        for request, total in zip(requests, totals):
            self.cache_hook.add_partial("loglikelihood_rolling", request.args, total)
        return totals

    def generate_until(self, requests: list, disable_tqdm: bool = False) -> list[str]:
        groups: dict[str, list[int]] = {}
        for i, request in enumerate(requests):
            groups.setdefault(repr(request.args[1]), []).append(i)
        texts: list[str] = [""] * len(requests)
        with tqdm(total=len(requests), disable=disable_tqdm, desc="Running generate_until requests") as bar:
            for members in groups.values():
                for at in range(0, len(members), _PAIRS):
                    part = members[at:at + _PAIRS]
                    contexts = [requests[i].args[0] for i in part]
                    for i, text in zip(part, self._texts(contexts, requests[part[0]].args[1])):
                        texts[i] = text
                        self.cache_hook.add_partial("generate_until", requests[i].args, text)
                    bar.update(len(part))
        return texts

    def _texts(self, contexts: list[str], asked: dict[str, Any]) -> list[str]:
        options = dict(normalize_gen_kwargs(asked, self.max_gen_toks))
        until = handle_stop_sequences(options.pop("until", None), eos=self.tokenizer.decode([self.eot_token_id]))
        new = options.pop("max_gen_toks")
        if not options.get("do_sample"):
            options = {k: v for k, v in options.items() if k not in ("temperature", "top_p", "top_k", "min_p")}
        room = self.max_length - new
        if room <= 0:
            raise ValueError(f"max_gen_toks={new} leaves no room for a context in {self.max_length} tokens")
        rows = [self.tok_encode(c)[-room:] for c in contexts]
        stops = {} if options.get("num_beams", 1) > 1 else {"stop_strings": [s for s in until if s]}
        made = self.model.generate(rows, max_new_tokens=new, tokenizer=self.tokenizer, **stops, **options)
        length = max(len(r) for r in rows)
        return [postprocess_generated_text(self.tokenizer.decode(ids[length:], skip_special_tokens=True), until, None)
                for ids in made]


def main() -> None:
    from lm_eval.__main__ import cli_evaluate
    cli_evaluate()


if __name__ == "__main__":
    main()
