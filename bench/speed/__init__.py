"""Speed and memory, measured (`./reproduce.sh benchmark`): every method's training step against a
naive reference of the same method in the same run, and the metrics against scikit-learn."""
