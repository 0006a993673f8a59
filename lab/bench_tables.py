#!/usr/bin/env python3
"""Markdown tables out of `jet bench --json` files (docs/performance.md says which command makes which file).

    bench_tables.py depths A.json B.json    decode by depth with cache bytes, B beside A, and the ratio of their speeds
    bench_tables.py decode FILE...          decode of one sequence, a row a file and depth
    bench_tables.py prefill FILE... [--torch GEMM.json...]   prompts; with the share of torch's GEMM rate
    bench_tables.py batch FILE...           decode by batch, and tokens/s against a batch of one
    bench_tables.py kinds FILE...           share of the time by kind of op, a table a stage

Shares of read bandwidth and of products are those of the file: of what the machine gave beside each repeat; "of best"
divides by the best probe of the whole run instead.
"""

import argparse
import json
import os
import sys


def read(path):
    with open(path) as f:
        report = json.load(f)
    if report.get("format") not in ("jet bench 1", "gemm torch 1"):
        sys.exit(f"bench_tables.py: {path} is neither of `jet bench --json` nor of gemm_torch.py")
    return report


def table(head, rows):
    lines = ["| " + " | ".join(row) + " |" for row in [head, *rows]]
    lines.insert(1, "|" + "---|" * len(head))
    return "\n".join(lines)


def name(r):
    return f"{r['model']} {r['type']}"


def depth(n):
    return f"{n // 1024}K" if n and n % 1024 == 0 else str(n)


def megabytes(n):
    return f"{n * 1e-6:.1f}"


def percent(x):
    return f"{100 * x:.0f} %"


def speed(s):
    digits = 2 if s["tps"] < 10 else 1
    return f"{s['tps']:.{digits}f} ({s['tps_low']:.{digits}f}-{s['tps_high']:.{digits}f})"


def stages(r, kind):
    return [s for s in r["stages"] if s["kind"] == kind]


def gigabytes_per_second(s):
    return s["bytes"] * s["tps"] / (s["tokens"] * s["batch"]) * 1e-9


def of_best(r, s):
    return percent(gigabytes_per_second(s) * 1e9 / r["peak"]["read"])


def gigaflops(s):
    return s["flops"] * s["tps"] / (s["tokens"] * s["batch"]) * 1e-9


def machine(reports):
    lines = []
    for r in reports:
        p = r["peak"]
        lines.append(f"{name(r)}: {r['machine']}, kernels {r['isa']}, {r['threads']} threads, KV {r['kv']}, state "
                     f"{r['state']}; read {p['read'] * 1e-9:.1f} GB/s ({p['read_low'] * 1e-9:.1f} at the lowest probe), "
                     f"fp32 FMA {p['fma'] * 1e-9:.0f}, {r['type']} products {p['gemm'] * 1e-9:.0f} GFLOP/s.")
        lines += [f"Left out of {name(r)}: {line}." for line in r["left_out"]]
    return "  \n".join(lines)


def depths(reports):
    if len(reports) != 2:
        sys.exit("bench_tables.py: depths compares two files")
    by_depth = [{s["depth"]: s for s in stages(r, "decode") if s["batch"] == 1} for r in reports]
    head = ["depth"]
    for r in reports:
        head += [f"{name(r)} tok/s", "read", "of best", "cache MB"]
    rows = []
    for d in sorted(set(by_depth[0]) | set(by_depth[1])):
        row, found = [depth(d)], [b.get(d) for b in by_depth]
        for r, s in zip(reports, found):
            row += [speed(s), percent(s["read_share"]), of_best(r, s), megabytes(s["cache_bytes"])] if s else ["-"] * 4
        rows.append(row + [f"{found[0]['tps'] / found[1]['tps']:.2f}" if all(found) else "-"])
    return table([*head, "ratio"], rows)


def decode(reports):
    rows = [[name(r), depth(s["depth"]), speed(s), f"{gigabytes_per_second(s):.1f}", percent(s["read_share"]),
             of_best(r, s), megabytes(s["cache_bytes"])]
            for r in reports for s in stages(r, "decode") if s["batch"] == 1]
    return table(["model", "depth", "tok/s", "GB/s", "read", "of best", "cache MB"], rows)


def prefill(reports, gemms):
    def torch_rate(r, s):
        kind = r["type"] if r["type"] in ("f32", "bf16") else "int8"
        for g in gemms:
            if os.path.basename(g["config"]) != os.path.basename(r["model"]) + ".json" or g["threads"] != r["threads"]:
                continue
            for m in g["measured"]:
                if m["type"] == kind and m["tokens"] == s["tokens"]:
                    return m["total_flops"]
        return None

    rows = []
    for r in reports:
        for s in stages(r, "prefill"):
            row = [name(r), str(s["tokens"]), depth(s["depth"]), speed(s), f"{gigaflops(s):.0f}",
                   percent(s["gemm_share"])]
            if gemms:
                rate = torch_rate(r, s)
                row += [f"{rate * 1e-9:.0f}", percent(gigaflops(s) * 1e9 / rate)] if rate else ["-", "-"]
            rows.append(row)
    head = ["model", "tokens", "depth", "tok/s", "GFLOP/s", "products"]
    return table(head + (["torch GFLOP/s", "of torch"] if gemms else []), rows)


def batch(reports):
    rows = []
    for r in reports:
        single = {s["depth"]: s["tps"] for s in stages(r, "decode") if s["batch"] == 1}
        for s in stages(r, "decode"):
            one = single.get(s["depth"])
            rows.append([name(r), depth(s["depth"]), str(s["batch"]), speed(s),
                         f"{s['tps'] / one:.2f}" if one else "-", percent(s["read_share"]), percent(s["gemm_share"])])
    return table(["model", "depth", "batch", "tok/s", "of batch 1", "read", "products"], rows)


def kinds(reports):
    parts = []
    for r in reports:
        for s in r["stages"]:
            rows = [[k["kind"], f"{k['calls']:.0f}", percent(k["share"]), f"{k['seconds'] * 1e3:.2f}",
                     percent(k["read_share"]), percent(k["gemm_share"])] for k in s["kinds"]]
            if rows:
                head = ["kind", "calls", "time", "ms", "read", "products"]
                parts.append(f"{name(r)}, {s['stage']}\n\n" + table(head, rows))
    return "\n\n".join(parts)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", choices=["depths", "decode", "prefill", "batch", "kinds"])
    parser.add_argument("files", nargs="+")
    parser.add_argument("--torch", nargs="*", default=[], help="files of gemm_torch.py, for prefill")
    a = parser.parse_args()
    reports = [read(path) for path in a.files]
    if a.table == "prefill":
        text = prefill(reports, [read(path) for path in a.torch])
    else:
        text = {"depths": depths, "decode": decode, "batch": batch, "kinds": kinds}[a.table](reports)
    print(f"{text}\n\n{machine(reports)}")


if __name__ == "__main__":
    main()
