"""Explainable anomaly detection, measured: the import name of this project.

`aexad.bench` is the harness, `aexad.methods` what it runs, `aexad.datasets` the images it runs on;
their folders lie beside this one (setup.cfg maps them).
"""
