"""Makes golden.json: what transformers' generate() returns on models that it can open, fp32, CPU, from the root.

usage: python3 python/tests/make_golden.py > python/tests/golden.json      (torch 2.13.0, transformers 5.23.0)
"""
import json

import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer

TEXTS = ["One day the old", "Once", "7 + 1 = 8\n8 + 4 ="]
OPTIONS = [{"max_new_tokens": 24}, {"max_length": 30},
           {"max_new_tokens": 24, "num_beams": 4, "early_stopping": True},
           {"max_new_tokens": 16, "num_beams": 3, "num_return_sequences": 2, "length_penalty": 0.5},
           {"max_new_tokens": 24, "num_beams": 2, "no_repeat_ngram_size": 2},
           {"max_new_tokens": 24, "repetition_penalty": 1.3, "no_repeat_ngram_size": 3},
           {"max_new_tokens": 24, "min_new_tokens": 12}]


def inputs_of(folder):
    if folder == "models/base":
        tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
        batch = tokenizer(TEXTS, return_tensors="pt", padding=True)
        return batch.input_ids, batch.attention_mask
    ids = torch.randint(3, 500, (2, 12), generator=torch.Generator().manual_seed(1))
    return ids, torch.ones_like(ids)


def main():
    runs = []
    for folder in ("models/base", "tests/fixtures/qwen2"):
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
        model.generation_config.max_new_tokens = None  # which would stand above max_length
        ids, mask = inputs_of(folder)
        free = model.generate(ids, attention_mask=mask, max_new_tokens=24, do_sample=False)
        eos = [model.generation_config.eos_token_id, free[0, ids.shape[1] + 8].item()]  # one that comes
        for options in OPTIONS + [{**o, "eos_token_id": eos, "pad_token_id": 1} for o in OPTIONS]:
            made = model.generate(ids, attention_mask=mask, do_sample=False, **options)
            runs.append({"model": folder, "options": options, "input_ids": ids.tolist(),
                         "attention_mask": mask.tolist(), "sequences": made.tolist()})
    head = {"torch": torch.__version__, "transformers": transformers.__version__}
    print(json.dumps(head)[:-1] + ', "runs": [\n' + ",\n".join(json.dumps(r) for r in runs) + "\n]}")


if __name__ == "__main__":
    main()
