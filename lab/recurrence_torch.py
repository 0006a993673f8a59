"""Forward and backward of the gated delta rule, ours (`jet bench train`) and transformers' torch_chunk_gated_delta_rule,
by turns on the same threads or the same GPU, with 4 heads of 64 x 64, 8 rows of 1,024 tokens.

    pip install torch==2.13.0 transformers==5.23.0;  python lab/recurrence_torch.py build/jet models/base [threads [cuda]]
"""
import json
import statistics
import subprocess
import sys
import time

import torch
from transformers.models.qwen3_next.modeling_qwen3_next import torch_chunk_gated_delta_rule

B, T, H, K, V, REPEATS, ROUNDS = 8, 1024, 4, 64, 64, 5, 7


def theirs():
    q, k, v = (torch.randn(B, T, H, d, requires_grad=True) for d in (K, K, V))
    g = (-0.1 * torch.rand(B, T, H)).requires_grad_()
    beta = torch.rand(B, T, H).requires_grad_()
    weights = torch.randn(B, T, H, V)
    times = []
    for _ in range(REPEATS + 1):
        start = time.perf_counter()
        o, _ = torch_chunk_gated_delta_rule(q, k, v, g, beta)
        torch.autograd.grad((o * weights).sum(), (q, k, v, g, beta))[-1].flatten()[0].item()  # a GPU is waited for
        times.append(time.perf_counter() - start)
    return sum(times[1:]) / REPEATS


def ours(jet, model, threads, device):
    command = [jet, "bench", "train", model, "--block", "gated_delta_net", "--lines", "recurrence", "--rows", str(B),
               "--length", str(T), "--steps", str(REPEATS), "--threads", str(threads), "--device", device,
               "--json", "-"]
    report = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return report["lines"][0]["seconds"] / REPEATS


def main():
    jet, model, threads = sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 2
    device = sys.argv[4] if len(sys.argv) > 4 else "cpu"
    torch.set_num_threads(threads)
    torch.manual_seed(1)
    torch.set_default_device(device)
    pairs = [(theirs(), ours(jet, model, threads, device)) for _ in range(ROUNDS)]
    for name, times in (("transformers", [a for a, _ in pairs]), ("jet", [b for _, b in pairs])):
        print(f"{name:<14} median {statistics.median(times):.4f} s   min {min(times):.4f}   max {max(times):.4f}")
    ratios = sorted(a / b for a, b in pairs)
    print(f"{'ratio':<14} median {statistics.median(ratios):.2f}     min {ratios[0]:.2f}     max {ratios[-1]:.2f}")


main()
