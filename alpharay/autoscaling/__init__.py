"""The Kubernetes HorizontalPodAutoscaler as a pure state machine: clock and samples in, desired replicas out."""
