"""Calico: how it is switched between its dataplanes, and how a switch is proven."""
