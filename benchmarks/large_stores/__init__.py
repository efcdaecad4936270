"""How long a store of many runs takes to fill, query, compact and show."""
