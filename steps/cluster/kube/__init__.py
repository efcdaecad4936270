"""A Kubernetes cluster as the cluster under test: `adapter.Kube` answers the port."""
