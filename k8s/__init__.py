"""Manifests for Kubernetes, and what keeps the generated one of them current."""
