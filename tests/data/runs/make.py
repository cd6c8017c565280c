"""Write the run directories of this version's checkpoint format: ``python tests/data/runs/make.py FOLDER``.

Both are stopped at update 4 of 8, so that they can be resumed.
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
}

if __name__ == "__main__":
    for folder, settings in SETTINGS.items():
        path = pathlib.Path(sys.argv[1]) / folder
        rpax.train(**settings, updates=8, log_every=4, minutes=1e-9, out=path)
        shutil.rmtree(path / "plots")
