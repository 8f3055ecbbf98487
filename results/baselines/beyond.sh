#!/usr/bin/env bash
#
# results/baselines/beyond.sh [ROW...]          today's detectors beside the paper's methods
# results/baselines/beyond.sh --list [ROW...]   show the rows and their commands
#
# Each row into a baseline beside this script (beyond-<row>-….json, .parquet), which grows as each
# fit ends. What these files have counts as done. Stop it and start it again as you like. It has
# the options of evidence.sh, whose environment variables hold here, too; the environment of
# ./reproduce.sh is the one with anomalib.
#
set -euo pipefail
cd -P -- "$(dirname -- "${BASH_SOURCE[0]}")/../.."

export AEXAD_EXTRAS=anomalib
script=beyond last=3 results=../aexad-evidence/beyond
. results/baselines/rows.sh

# What is at hand of ResNet-50 is its stem to layer2. SuperSimpleNet has layer2 alone: it doubles
# the side of its first layer, so that its maps are as large as those of the others' layer1.
network=resnet50.tv_in1k
conditions=(--set padim.backbone=$network --set padim.layers=layer1,layer2 --set padim.n_features=100
    --set patchcore.backbone=$network --set patchcore.layers=layer1,layer2
    --set supersimplenet.backbone=$network --set supersimplenet.layers=layer2
    --set bgad.backbone=efficientnet_lite0 --set fcdd.net=vgg16
    --weights "$shared/weights" --threads 1 --jobs 1)

brief="Protocol brief, ResNet-50 through layer2 alone: PaDiM with 100 features, PatchCore with a \
thousandth of the patches, SuperSimpleNet 12 of 300 epochs."

row 1 methods "$brief Other work ran beside it, so that emissions are not to be compared." \
    table2 --protocol brief --methods padim,patchcore,supersimplenet \
    --categories mvtec/toothbrush,mvtec/bottle,mvtec/transistor,wood/wood

# Trained once more to be measured alone, so start it when nothing else runs. Here, as in
# evidence.sh, tables of emissions of <results> find the readings.
results=$results/alone \
    row 2 grams "For emissions: one fit at a time, nothing else running. $brief AE-XAD complete, FCDD \
30 of 200 epochs with VGG-16 for VGG-11-BN, BGAD 8 of 200 passes with EfficientNet-Lite0 for B6." \
    table5 --emissions strict --protocol brief --methods ae_xad,fcdd,bgad,padim,patchcore,supersimplenet \
    --categories mvtec/toothbrush

row 3 supersimplenet "SuperSimpleNet complete, 300 epochs, but ResNet-50's layer2 alone. Other work ran \
beside it, so that emissions are not to be compared." \
    table2 --methods supersimplenet \
    --categories mvtec/toothbrush,mvtec/bottle,mvtec/transistor,wood/wood

exit "$failed"
