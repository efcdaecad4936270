"""From visits to intervals, comparisons and change points. Pure."""
