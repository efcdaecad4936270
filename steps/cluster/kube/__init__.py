"""A Kubernetes cluster as the cluster under test: `adapter.KubernetesCluster` answers the port."""
