"""The weighted mean of a run's weights and those of earlier runs that it began with.

    python recipes/mean_weights.py runs/default-3 runs/default-2=0.35 -o runs/default-3-mean
    python recipes/mean_weights.py runs/default-4-last runs/default-4=0.3 runs/default-3-mean=0.25 -o runs/mean

What was learnt before is kept better and what is new stays (Wortsman et al. 2022, arXiv 2109.01903). Each earlier run
has its share, and the later run the rest. Weights that an earlier run lacks, such as the heads of other corpora, are
those of the later one.
"""

import argparse
import json
import shutil
from pathlib import Path

from safetensors.torch import save_file

from biomark.tagging.training.trainer import BEST, CHECKPOINT, GUIDELINES, begin_with, load_trained


def part(text: str) -> tuple[Path, float]:
    """An earlier run's folder, and its share."""
    folder, _, share = text.rpartition("=")
    if not folder or not 0 < float(share) < 1:
        raise argparse.ArgumentTypeError(f"{text}: write RUN=SHARE, with a share between 0 and 1")
    return Path(folder), float(share)


def main() -> None:
    """Write the folder of a run with the mean weights."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of the later run")
    parser.add_argument(
        "earlier", nargs="+", type=part, metavar="RUN=SHARE", help="folder of an earlier run, and its share"
    )
    parser.add_argument("-o", dest="output", type=Path, required=True, help="folder to write to; must not be there")
    options = parser.parse_args()
    network, _, recipe = load_trained(options.run)
    later = {name: value.detach().clone() for name, value in network.tuned().items()}
    corpora = tuple(json.loads((options.run / GUIDELINES).read_text("utf-8")))
    rest = 1 - sum(share for _, share in options.earlier)
    mean = {name: rest * value for name, value in later.items()}
    for folder, share in options.earlier:
        network.set_tuned(later)
        begin_with(network, recipe, corpora, folder)
        for name, value in network.tuned().items():
            mean[name] += share * value.detach()
    shutil.copytree(options.run, options.output, ignore=shutil.ignore_patterns(CHECKPOINT))
    save_file({name: value.contiguous() for name, value in mean.items()}, options.output / BEST)


if __name__ == "__main__":
    main()
