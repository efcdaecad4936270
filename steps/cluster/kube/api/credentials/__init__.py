"""Credentials of a kubeconfig: its entries, the plugins that print tokens, and the client configuration."""
