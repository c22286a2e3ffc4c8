"""A Kubernetes node of this machine alone: real programs, in a network namespace of their own."""
