"""Benchmark harness for heatmaps that explain image anomalies."""
