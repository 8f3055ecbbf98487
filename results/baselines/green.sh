#!/usr/bin/env bash
#
# results/baselines/green.sh [ROW...]          AE-XAD green beside AE-XAD and FCDD
# results/baselines/green.sh --list [ROW...]   show the rows and their commands
#
# Each row into a baseline beside this script (green-<row>-….json, .parquet), which grows as each
# fit ends. What these files have counts as done. Stop it and start it again as you like. It has
# the options of evidence.sh, whose environment variables hold here, too.
#
set -euo pipefail
cd -P -- "$(dirname -- "${BASH_SOURCE[0]}")/../.."

script=green last=2 results=../aexad-evidence/results
. results/baselines/rows.sh
conditions=(--weights "$shared/weights" --threads 1)

# Alone, so start it when nothing else runs. Energy doesn't depend on FCDD's weights: so random ones.
results=$results/alone \
    row 1 grams "For emissions: one fit at a time, nothing else running. All complete: AE-XAD 200 \
epochs, green 60, FCDD 200 with its own VGG-11-BN, whose weights are random, so that its quality means \
nothing." \
    table5 --emissions strict --methods ae_xad,ae_xad_green,fcdd --set fcdd.weights=random \
    --categories mvtec/toothbrush
row 2 quality "AE-XAD green complete: 60 epochs, ResNet-50. Two fits at a time, so that emissions are \
not to be compared." \
    table2 --methods ae_xad_green --seeds 40,41,42 --jobs 2 \
    --categories mvtec/toothbrush,mvtec/bottle,mvtec/transistor,wood/wood

exit "$failed"
