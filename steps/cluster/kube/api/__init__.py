"""The way to a cluster's API: kubeconfigs, credentials, and what the API server's refusals mean."""
