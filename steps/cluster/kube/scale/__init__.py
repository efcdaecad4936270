"""A cluster's scale: unused Services, their endpoints, and network policies that match no traffic."""
