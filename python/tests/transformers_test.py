"""The package beside transformers itself: ids of tokenizers, greedy decoding and beam search on models/base and, where
it was fetched, on SmolLM2."""

import sys
import unittest
from pathlib import Path

try:
    import torch
    import transformers
except ImportError as error:
    print(f"skipped: {error.name} is missing")
    sys.exit()

from jet_nemotron import JetNemotronModel, JetNemotronTokenizer

TEXTS = ["One day the old", "The capital of France is", "7 + 1 = 8\n8 + 4 =", "def f(x):\n    return"]
OPTIONS = [{"max_new_tokens": 32}, {"max_length": 60, "num_beams": 4, "early_stopping": True},
           {"max_new_tokens": 32, "num_beams": 3, "num_return_sequences": 2, "no_repeat_ngram_size": 2},
           {"max_new_tokens": 32, "repetition_penalty": 1.2}, {"max_new_tokens": 32, "stop_strings": ["the", ","]}]


class Pair:
    def __init__(self, folder):
        self.theirs = transformers.AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32, attn_implementation="eager").eval()
        self.their_tokenizer = transformers.AutoTokenizer.from_pretrained(folder, padding_side="left")
        if self.their_tokenizer.pad_token is None:
            self.their_tokenizer.pad_token = self.their_tokenizer.eos_token
        self.ours = JetNemotronModel.from_pretrained(folder, dtype="float32")
        self.tokenizer = JetNemotronTokenizer.from_pretrained(folder)


FOLDERS = [f for f in ("models/base", "models/smollm2-135m") if Path(f, "model.safetensors").exists()]
PAIRS = [Pair(f) for f in FOLDERS]


class BesideTransformers(unittest.TestCase):
    def test_tokenizers(self):
        for pair in PAIRS:
            ours = pair.tokenizer(TEXTS, return_tensors="pt", padding=True)
            theirs = pair.their_tokenizer(TEXTS, return_tensors="pt", padding=True)
            for name in ("input_ids", "attention_mask"):
                self.assertEqual(ours[name].tolist(), theirs[name].tolist())
            self.assertEqual(len(pair.tokenizer), len(pair.their_tokenizer))
            self.assertEqual(pair.tokenizer.batch_decode(ours.input_ids, skip_special_tokens=True),
                             pair.their_tokenizer.batch_decode(theirs.input_ids, skip_special_tokens=True))

    def test_generate(self):
        for pair in PAIRS:
            batch = pair.tokenizer(TEXTS, return_tensors="pt", padding=True)
            for options in OPTIONS:
                with self.subTest(model=pair.ours.name_or_path, options=options):
                    pad = pair.tokenizer.pad_token_id
                    stops = {"tokenizer": pair.their_tokenizer} if "stop_strings" in options else {}
                    theirs = pair.theirs.generate(**batch, do_sample=False, pad_token_id=pad, **options, **stops)
                    ours = pair.ours.generate(**batch, pad_token_id=pad, **options)
                    self.assertEqual(ours.tolist(), theirs.tolist())

    def test_logits(self):
        for pair in PAIRS:
            ids = pair.tokenizer(TEXTS[1], return_tensors="pt").input_ids
            with torch.no_grad():
                theirs = pair.theirs(ids, labels=ids)
            ours = pair.ours(ids, labels=ids)
            torch.testing.assert_close(ours.logits, theirs.logits, atol=2e-3, rtol=1e-4)
            self.assertAlmostEqual(ours.loss.item(), theirs.loss.item(), 4)

    def test_its_streamer_and_its_config_do(self):
        pair, shown = PAIRS[0], []

        class Streamer(transformers.TextStreamer):
            def on_finalized_text(self, text, stream_end=False):
                shown.append(text)
        inputs = pair.tokenizer(TEXTS[0], return_tensors="pt")
        config = transformers.GenerationConfig(max_new_tokens=12, do_sample=False)
        made = pair.ours.generate(**inputs, generation_config=config, streamer=Streamer(pair.their_tokenizer))
        self.assertEqual(made.shape[1], inputs.shape[1] + 12)
        self.assertEqual("".join(shown), pair.tokenizer.decode(made[0]))


if __name__ == "__main__":
    unittest.main()
