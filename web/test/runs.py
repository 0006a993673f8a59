"""Runs of the search for the mock server: made-up numbers in the shape of a run's report.json. `demo` goes on while the
server runs, `standard` and `even` are finished."""
import math
import random

STAGES = ["base", "supernet", "heat_map", "placement", "validation", "blocks", "dimensions", "distill", "final"]
STAGE_SECONDS = 8.0
TASKS = ["math", "mcq", "recall"]
LAYERS = 8


def curve(rng, start, end, tokens, n=60):
    step = tokens // n
    return [[(i + 1) * step, end + (start - end) * math.exp(-4 * i / n) + rng.gauss(0, .03)] for i in range(n)]


def accuracy(rng, math_, mcq, recall):
    near = lambda x: round(min(1, max(0, x + rng.gauss(0, .02))), 3)
    return {"math": near(math_), "mcq": near(mcq), "recall": near(recall)}


def base(_):
    tasks = {"math": (1.0, .0), "mcq": (.78, .041), "recall": (1.0, .0)}
    return {"parameters": 6955264, "loss": 2.841, "losses": {"skills": .766, "gsm8k": 3.136, "tales": 2.41},
            "tasks": {n: {"name": n, "accuracy": a, "stderr": e, "correct": int(100 * a), "total": 100} for n, (a, e) in tasks.items()}}


def heat_map(rng, part=1.0):
    value, loss = [], []
    for t in range(3):
        peak = [0, 5, 1][t]
        row = [round(max(.02, .9 * math.exp(-.5 * abs(i - peak)) + rng.gauss(0, .05)), 2) for i in range(LAYERS)]
        value.append(row)
        loss.append([round(4.4 - 3 * x + rng.random() * .2, 3) for x in row])
    measured = round(part * LAYERS)
    for rows in (value, loss):
        for row in rows:
            row[measured:] = [None] * (LAYERS - measured)
    return {"tasks": TASKS, "layers": LAYERS, "value": value, "loss": loss,
            "all_linear": {"math": .07, "mcq": .27, "recall": .01}, "base": {"math": 1.0, "mcq": .78, "recall": 1.0}}


def placement(rng, full):
    def candidate(layers, kept):
        s = round(rng.random() * .5 + (.45 if kept else 0), 3)
        return {"layers": layers, "score": s, "loss": round(4 - 2 * s, 3), "kept": kept}
    beam = [{"depth": 1, "candidates": [candidate([i], i in full) for i in range(LAYERS)]},
            {"depth": 2, "candidates": [candidate(sorted({full[0], i}), i == full[1]) for i in range(LAYERS) if i != full[0]]}]
    names = [("beam", full, .94), ("greedy", full, .94), ("gradient", [1, 4], .71), ("uniform", [2, 5], .46), ("first", [0, 1], .31), ("random", [3, 6], .22)]
    return {"k": 2, "objective": "recall", "selector": "beam", "full": full, "beam": beam,
            "selectors": [{"name": n, "layers": l, "score": s, "loss": 4 - 2 * s, "note": "",
                           "spent": {"evaluations": 21, "forward_tokens": 166320, "train_tokens": 0}} for n, l, s in names],
            "swa": {"layers": [3], "window": 512, "trace": []}}


def validation(rng):
    point = lambda k, m, sd: {"layers": list(range(1, 1 + k)), "loss": {"mean": 3.6 - .7 * m, "sd": .02}, "tasks": {"recall": {"mean": m, "sd": sd}}}
    searched = [.005, .583, .802, .948, .993, .993, 1.0]
    uniform = [.005, .443, .755, .905, .752, .852, .995]
    return {"seeds": 3, "objective": "recall", "spearman": .71, "spearman_loss": .86,
            "rows": [{"layers": sorted(rng.sample(range(LAYERS), 2)), "chosen_by": [["beam"], ["uniform"], []][i % 3], "supernet": round(rng.random(), 3),
                      "accuracy": round(rng.random(), 3), "accuracy_sd": .03, "loss": 3.5, "loss_sd": .02} for i in range(6)],
            "curve": [{"k": k + 1, "searched": point(k + 1, searched[k], .02), "uniform": point(k + 1, uniform[k], .05)} for k in range(7)]}


def blocks(rng):
    kinds = [("gated_delta_net", .76), ("jet", .79), ("gla", .61), ("delta_net", .66), ("mamba2", .58), ("retnet", .44)]
    return {"chosen": "jet", "candidates": [
        {"kind": kind, "name": kind, "lr": lr, "accuracy": accuracy(rng, s, .5, .9), "loss": round(3.9 - s / 2, 3), "train_tps": 5200 - 900 * s,
         "speedup": round(1.5 - .2 * s, 2), "cache_bytes": 4312064, "score": round(s - (.1 if lr > 1e-3 else 0), 3)} for kind, s in kinds for lr in (1e-3, 2e-3)]}


def dimensions(rng):
    rows = [{"heads": h, "dk": d, "dv": d, "accuracy": accuracy(rng, a, .49, .95), "loss": 3.551, "speedup": s, "predicted_speedup": s + .05, "cache_bytes": 4313088}
            for h, d, a, s in [(4, 64, .79, 1.4), (8, 32, .7, 1.31), (2, 128, .73, 1.22)]]
    return {"candidates": rows, "pruned": [], "context": 3840, "chosen": rows[0]}


def distill(rng, shift=0.0):
    return {"stage1": {"curve": curve(rng, 3.9 + shift, 3.46 + shift, 400_000), "tokens": 400_000, "lr": 5e-4},
            "stage2": {"curve": curve(rng, 3.5 + shift, 3.32 + shift, 600_000), "tokens": 600_000, "lr": 2e-4}}


def final(rng, full):
    layers = ["full" if i in full else "swa 512" if i == 3 else "jet" for i in range(LAYERS)]
    return {"layers": layers, "loss": 3.321, "tasks": {t: {"accuracy": a} for t, a in zip(TASKS, (.96, .48, .98))},
            "ablations": [{"name": n + " off", "accuracy": dict(zip(TASKS, a)), "loss": l} for n, a, l in
                          [("full attention", (.2, .3, .01), 3.61), ("swa", (.9, .47, .96), 3.36), ("jet", (.01, .25, .1), 5.1)]]}


SPEED = {"contexts": [0, 1024, 3840],
         "base": {"decode_tps": [1402, 1190, 952], "speedup": [1, 1, 1], "cache_bytes": [0, 4194304, 15728640]},
         "hybrid": {"decode_tps": [1380, 1290, 1228], "speedup": [.98, 1.08, 1.29], "cache_bytes": [417792, 1466368, 4313088]}}


def gains(seed, stages):
    rows = [("base", "full attention everywhere", (1, .78, 1), 2.841, 15728640, 1.0, "base"), ("all-linear", "gla in every layer", (.07, .27, .01), 4.36, 524288, 1.56, "supernet"),
            ("uniform", "gla, attention evenly spaced", (.36, .25, .46), 3.587, 4292608, 1.41, "placement"),
            ("+ placement", "attention where the search put it", (.08, .45, .94), 3.527, 4292608, 1.37, "placement"),
            ("+ block", "gated_delta_net", (.76, .5, .97), 3.551, 4354048, 1.41, "blocks"), ("+ JetBlock", "", (.79, .49, .98), 3.551, 4313088, 1.4, "blocks"),
            ("+ stage 1", "MLPs frozen", (.95, .49, .98), 3.461, None, None, "distill"), ("+ stage 2", "everything trained", (.96, .48, .98), 3.321, 4313088, 1.29, "final")]
    off = lambda x: round(x - .03 * (seed - 1), 3)
    return [{"step": s, "note": n, "accuracy": {t: y if s == "base" else max(0, off(y)) for t, y in zip(TASKS, a)}, "loss": l if s == "base" else round(2 * l - off(l), 3),
             "cache_bytes": c, "speedup": x} for s, n, a, l, c, x, stage in rows if stage in stages]


def built(name, seed, full, stages, now=None, part=0.0):
    make = {"base": base, "supernet": lambda r: {"curve": curve(r, 6.8, 3.9 + seed / 20, 500_000), "tokens": 500_000, "lr": 1e-3}, "heat_map": heat_map,
            "placement": lambda r: placement(r, full), "validation": validation, "blocks": blocks, "dimensions": dimensions,
            "distill": lambda r: distill(r, seed / 30), "final": lambda r: final(r, full)}
    out = {"title": f"PostNAS {name}", "command": f"jet postnas models/base --recipe recipes/{name}.toml --out runs/{name}", "machine": "2 of 2 cores, avx2",
           "seeds": {"run": seed}, "versions": {"jet": "0.1.0"}, "seconds": {},
           "recipe": {"seed": seed, "placement": {"full": 2, "selector": "beam" if name != "even" else "uniform"}, "supernet": {"branch": "gla"}}}
    for stage in stages:
        out[stage] = make[stage](random.Random(seed * 100 + STAGES.index(stage)))
        out["seconds"][stage] = 10.0 + 17 * STAGES.index(stage)
    if now == "heat_map" and part > 0:
        out["heat_map"], out["unfinished"] = heat_map(random.Random(seed * 100 + 2), part), "heat_map"
    if "final" in stages:
        out["layers"], out["speed"] = out["final"]["layers"], SPEED
        out["notes"] = ["One seed, where a row says no other number: differences of a few points are noise.", "Two of eight layers keep full attention."]
    out["gains"] = gains(seed, stages)
    return out


def reach(seconds):
    """-> how many stages of `demo` are done, and the share of the next."""
    return min(len(STAGES), int(seconds / STAGE_SECONDS)), seconds / STAGE_SECONDS % 1


def rows(seconds):
    done, part = reach(seconds)
    finished = done == len(STAGES)
    demo = {"name": "demo", "state": "finished" if finished else "running", "finished": finished, "report_changed": int(seconds / 2)}
    if not finished:
        demo.update(stage=STAGES[done], unit="paths", at=done + 1, of=len(STAGES), done=int(260 * part), total=260,
                    stage_eta_s=STAGE_SECONDS * (1 - part), eta_s=STAGE_SECONDS * (len(STAGES) - done - part),
                    share=(done + part) / len(STAGES), work="random paths", note="loss 4.2083", tokens_per_second=5203.7)
    return [demo, {"name": "standard", "state": "finished", "finished": True}, {"name": "even", "state": "finished", "finished": True},
            {"name": "broken", "state": "stopped", "finished": False, "stage": "blocks", "unit": "trainings", "done": 3, "total": 12, "share": .61,
             "eta_s": 500.0, "error": "block selection: every candidate diverged; lower blocks.lrs"}]


def report(name, seconds):
    if name == "standard":
        return built("standard", 1, [1, 5], STAGES)
    if name == "even":
        return built("even", 2, [2, 5], STAGES)
    if name == "broken":
        return {**built("broken", 4, [1, 5], STAGES[:6]), "unfinished": "blocks"}
    if name == "demo":
        done, part = reach(seconds)
        return built("demo", 3, [1, 5], STAGES[:done], STAGES[done] if done < len(STAGES) else None, part)
    return None
