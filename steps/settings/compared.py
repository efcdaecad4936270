"""By what runs are compared, of the options of the catalogue."""

from typing import Final

from analysis.stats.contrasts.figures import Compared
from steps.catalogue.options import NAMES, QUANTITIES, method

COMPARED: Final = Compared(method, QUANTITIES, NAMES)
