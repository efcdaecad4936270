"""The benchmark's own pods and Services, and whether the cluster runs them unchanged."""
