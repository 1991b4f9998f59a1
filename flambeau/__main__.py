"""`python -m flambeau`: the command `flambeau`, where its console script is not on the path."""

import sys

from flambeau.cli import main

sys.exit(main())
