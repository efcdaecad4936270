"""Words that the stored rows and what writes them have in common."""

from typing import Final

LAB: Final = "lab"
"""The environment whose figures are a laboratory's, never a cluster's. Every other name is a Kubernetes cluster's."""
