"""Seconds of forward + backward of transformers' torch_chunk_gated_delta_rule, the reference that `jet bench train` is
compared with:  pip install torch==2.13.0 transformers==5.23.0;  python lab/recurrence_torch.py [threads]
"""
import sys
import time

import torch
from transformers.models.qwen3_next.modeling_qwen3_next import torch_chunk_gated_delta_rule

B, T, H, K, V, REPEATS = 8, 1024, 4, 64, 64, 7


def main():
    torch.set_num_threads(int(sys.argv[1]) if len(sys.argv) > 1 else 2)
    torch.manual_seed(1)
    q, k, v = (torch.randn(B, T, H, d, requires_grad=True) for d in (K, K, V))
    g = (-0.1 * torch.rand(B, T, H)).requires_grad_()
    beta = torch.rand(B, T, H).requires_grad_()
    weights = torch.randn(B, T, H, V)
    forward, both = [], []
    for _ in range(REPEATS + 1):
        start = time.perf_counter()
        o, _ = torch_chunk_gated_delta_rule(q, k, v, g, beta, use_qk_l2norm_in_kernel=True)
        middle = time.perf_counter()
        torch.autograd.grad((o * weights).sum(), (q, k, v, g, beta))
        forward.append(middle - start)
        both.append(time.perf_counter() - start)
    for name, times in (("forward", forward), ("forward + backward", both)):
        times = sorted(times[1:])
        print(f"{name:<20} median {times[len(times) // 2]:.4f} s   min {times[0]:.4f}   max {times[-1]:.4f}")


main()
