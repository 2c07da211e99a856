"""`nlmevae` at sizes at which a few hundred subjects are many: python -m tests.helpers.small_shares fit ..."""

import sys

from nlmevae.cli.main import main
from nlmevae.estimation import fit, information, polish
from nlmevae.likelihood import importance

fit.MANY_SUBJECTS, fit.START_SUBJECTS = 100, 60
polish.MANY_SUBJECTS, polish.SOME = 100, 1
importance._NUMBERS, importance._FEWEST = 1, 64
information.NUMBERS, information.FEWEST = 1, 64

if __name__ == "__main__":
    sys.exit(main())
