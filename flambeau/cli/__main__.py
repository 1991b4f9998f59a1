"""`python -m flambeau.cli`: the command without its console script."""

import sys

from flambeau.cli.command import main

sys.exit(main())
