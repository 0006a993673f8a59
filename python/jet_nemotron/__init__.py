"""jet.cpp from Python: hybrid language models on a CPU, with the calls of transformers.

    from jet_nemotron import JetNemotronModel, JetNemotronTokenizer

    model = JetNemotronModel.from_pretrained("models/smollm2-135m")
    tokenizer = JetNemotronTokenizer.from_pretrained("models/smollm2-135m")
    inputs = tokenizer("One day", return_tensors="np")
    outputs = model.generate(**inputs, max_new_tokens=40)
    print(tokenizer.decode(outputs[0], skip_special_tokens=True))

Arrays are NumPy's; torch tensors are taken and, where `return_tensors="pt"` or an input asks for it, returned. torch is
imported only then. Whatever a user can do wrong raises JetError (a ValueError) or TypeError.
"""

from ._jet import JetError, State
from .model import CausalLMOutput, JetNemotronModel
from .generation import GenerateOutput
from .program import distill, evaluate, jet_program, postnas, quantize
from .streamers import TextIteratorStreamer, TextStreamer
from .tokenizer import BatchEncoding, JetNemotronTokenizer

__version__ = "0.1.0"
__all__ = [
    "BatchEncoding", "CausalLMOutput", "GenerateOutput", "JetError", "JetNemotronModel", "JetNemotronTokenizer",
    "State", "TextIteratorStreamer", "TextStreamer", "distill", "evaluate", "jet_program", "postnas", "quantize",
]
