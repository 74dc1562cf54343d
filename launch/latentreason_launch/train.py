"""Entry point for torchrun.

torchrun --nproc-per-node 4 -m latentreason_launch.train RECIPE key=value ...
"""

from __future__ import annotations

import sys

from latentreason_launch.cli import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))
