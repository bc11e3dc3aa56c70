"""The Flink side of the operators: one keyed shell, sources, sinks, metrics."""
