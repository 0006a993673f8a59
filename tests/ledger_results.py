"""What two runs are compared by: the results in their ledgers, without the figures that depend on time."""
import json


def untimed(value, timed):
    if isinstance(value, dict):
        kept = {k: v for k, v in value.items() if k not in timed and not k.startswith(("seconds/", "peak_bytes/"))}
        return {k: untimed(v, timed) for k, v in kept.items()}
    return [untimed(v, timed) for v in value] if isinstance(value, list) else value


def results(out, timed):
    return untimed(json.loads((out / "ledger.json").read_text())["results"], timed)
