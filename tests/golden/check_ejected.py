"""Whether a program that `lorikeet eject --to trl` wrote has the losses, rates and gradients of the run.

python check_ejected.py RUN PROGRAM: the folder of a run in float32 without dropout, and that of its program, which has been run.
"""

# Proves trl-program out: TRL has the losses, rates and gradient norms of the run

import json
import sys
from pathlib import Path

run, program = map(Path, sys.argv[1:])
events = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
ours = [event for event in events if event["type"] == "step"]
theirs = [entry for entry in json.loads((program / "trained" / "log.json").read_text()) if "loss" in entry]
assert len(theirs) >= 4, theirs
assert abs(ours[0]["loss"] - ours[-1]["loss"]) > 0.1, "the run learned too little to be told from another"
for mine, other in zip(ours, theirs):
    for key, name in (("loss", "loss"), ("learningRate", "learning_rate"), ("gradientNorm", "grad_norm")):
        assert abs(mine[key] - other[name]) <= 1e-4 * max(1, abs(mine[key])), (mine["step"], name, mine[key], other[name])
