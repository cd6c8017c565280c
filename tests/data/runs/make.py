"""Write the run directories of this version's checkpoint format: ``python tests/data/runs/make.py FOLDER [NAME …]``.

From the repository's root. All are stopped at update 4 of 8, the scheme in its last stage, so that they can be resumed.
"""

import pathlib
import shutil
import sys

import rpax

#: What was trained, by folder.
SETTINGS = {
    "exact": {"algorithm": "at-rpg", "environment": "matrix/figure-2", "exact": True, "seeds": 2, "lookahead": 2},
    "sampled": {
        "algorithm": "at-rpg",
        "environment": "extensive/g2",
        "envs": 3,
        "steps": 2,
        "lookahead": 1,
        "base_optimizer": "adam",
    },
    "fixed": {
        "algorithm": "ap",
        "environment": "matrix/figure-2",
        "exact": True,
        "victim": "tests/data/runs/schema-1/exact/policies/seed-1/victim.safetensors",
    },
    "gru": {
        "algorithm": "sp",
        "environment": "storm",
        "environment_options": {"horizon": 3},
        "envs": 2,
        "steps": 2,
        "network": "gru",
        "hidden_sizes": [2],
        "memory_units": 2,
        "evaluation_episodes": 4,
        "checkpoints_kept": 1,
    },
    "fcp": {"algorithm": "fcp", "environment": "matrix/figure-2", "exact": True, "population": 2, "snapshots": 1},
}
STOP = {"minutes": 1e-9}

if __name__ == "__main__":
    place, *names = sys.argv[1:]
    for name in names or SETTINGS:
        path = pathlib.Path(place) / name
        run = rpax.train(**SETTINGS[name], updates=8, log_every=4, **STOP, out=path)
        while run.stage:
            run = rpax.resume(path, **STOP)
        for plots in path.rglob("plots"):
            shutil.rmtree(plots)
