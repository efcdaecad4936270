"""Parts of a summary: standings by kind of traffic, costs of switches, failures and changes."""
