"""``python -m nlmevae.cli`` is the `nlmevae` command."""

import sys

from nlmevae.cli.main import main

sys.exit(main())
