"""A trained method as a file that runs without this package: its whole explanation, from
pixels to heatmap, mask and score, as a graph: ONNX, or torch.export's format (docs/deploy.md)."""
