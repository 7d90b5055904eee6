"""The weighted mean of a run's weights and those of the run that it began with.

    python recipes/mean_weights.py runs/default-3 runs/default-2 --share 0.65 -o runs/default-3-mean

What was learnt before is kept better and what is new stays (Wortsman et al. 2022, arXiv 2109.01903). Weights that the
earlier run lacks, such as the heads of other corpora, are those of the later one.
"""

import argparse
import json
import shutil
from pathlib import Path

from safetensors.torch import save_file

from biomark.training.tagging import BEST, CHECKPOINT, GUIDELINES, begin_with, load_trained


def main() -> None:
    """Write the folder of a run with the mean weights."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of the later run")
    parser.add_argument("earlier", type=Path, help="folder of the run that it began with")
    parser.add_argument("--share", type=float, required=True, help="of the later run's weights, from 0 to 1")
    parser.add_argument("-o", dest="output", type=Path, required=True, help="folder to write to; must not be there")
    options = parser.parse_args()
    network, _, recipe = load_trained(options.run)
    later = {name: value.detach().clone() for name, value in network.tuned().items()}
    begin_with(network, recipe, tuple(json.loads((options.run / GUIDELINES).read_text("utf-8"))), options.earlier)
    mean = {name: later[name].lerp(value.detach(), 1 - options.share) for name, value in network.tuned().items()}
    shutil.copytree(options.run, options.output, ignore=shutil.ignore_patterns(CHECKPOINT))
    save_file({name: value.contiguous() for name, value in mean.items()}, options.output / BEST)


if __name__ == "__main__":
    main()
