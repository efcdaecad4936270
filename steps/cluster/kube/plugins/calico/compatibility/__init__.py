"""Why a dataplane can't run, or can't be measured, on a cluster."""
