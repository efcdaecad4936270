"""The network plugins: each is a folder that implements the port in `cni`, reached by the list in `cnis` alone."""
