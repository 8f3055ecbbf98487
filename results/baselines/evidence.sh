#!/usr/bin/env bash
#
# results/baselines/evidence.sh [ROW...]          make the evidence, the most valuable first
# results/baselines/evidence.sh --list [ROW...]   show the rows and their commands
#
# From nothing, each row into a baseline beside this script (evidence-<row>-….json, .parquet),
# which grows as each fit ends. What these files have counts as done, whatever else is there.
# Stop it and start it again as you like: a fit goes on where it was.
#
# Environment variables (paths are relative to the repository):
#   AEXAD_SHARED       has data/ and weights/ (default ../shared)
#   AEXAD_RESULTS      default ../aexad-evidence/results
#   AEXAD_CACHE        default ../aexad-evidence/cache
#   EVIDENCE_FOLDER    where the baselines are kept (default: the folder of this script)
#   EVIDENCE_OPTIONS   more options for every command, such as --dry-run
#   EVIDENCE_COMMAND   instead of ./reproduce.sh, where this is installed: aexad-bench
#
set -euo pipefail
cd -P -- "$(dirname -- "${BASH_SOURCE[0]}")/../.."

script=evidence last=17 results=../aexad-evidence/results
. results/baselines/rows.sh
conditions=(--set bgad.backbone=efficientnet_lite0 --set fcdd.net=vgg16
    --weights "$shared/weights" --threads 1)

beside="Two fits at a time, so that emissions are not to be compared."
brief="Protocol brief: AE-XAD complete, FCDD 30 of 200 epochs with VGG-16 for VGG-11-BN, BGAD 8 of \
200 passes at 1e-3 with EfficientNet-Lite0 for B6."
aexad="AE-XAD complete: 200 epochs, ResNet-50."
all=mvtec/toothbrush,mvtec/bottle,mvtec/transistor,wood/wood

row 1 ablation "AE and AE-XAD complete, 200 epochs, ResNet-50, without and with filter. $beside" \
    table1 --categories "$all" --jobs 2
row 2 bgad-brief "$brief $beside" \
    table2 --protocol brief --methods bgad --categories "$all" --jobs 2
row 3 anomalies-only "Trained on anomalies alone. $brief $beside" \
    table4 --protocol brief --methods ae_xad,bgad,fcdd --categories "$all" --jobs 2
row 4 fcdd "FCDD complete, 200 epochs, but VGG-16 for VGG-11-BN. $beside" \
    table2 --methods fcdd --categories mvtec/toothbrush --jobs 2
for table in table2 table4; do
    row 5 ae_xad-seeds "$aexad More seeds, both scenarios. $beside" \
        "$table" --methods ae_xad --seeds 41,42 --categories "$all" --jobs 2
done
row 6 bgad "BGAD complete, 25 x 8 passes at 2e-4, but EfficientNet-Lite0 for B6. $beside" \
    table2 --methods bgad --categories mvtec/toothbrush,mvtec/bottle --jobs 2
row 7 fcdd-brief "$brief $beside" \
    table2 --protocol brief --methods fcdd --jobs 2 \
    --categories mvtec/bottle,mvtec/transistor,wood/wood
row 8 bgad-brief-seeds "More seeds. $brief $beside" \
    table2 --protocol brief --methods bgad --seeds 41,42 --categories "$all" --jobs 2

# Trained once more to be measured alone, so start it when nothing else runs. The other rows'
# tables of emissions find these readings, too: <results>/alone is where --emissions strict looks.
alone="For emissions: one fit at a time, nothing else running. $brief"
results=$results/alone \
    row 9 grams "$alone" table5 --emissions strict --protocol brief \
    --methods ae_xad,fcdd,bgad --categories mvtec/toothbrush
results=$results/alone \
    row 9 grams "$alone" table6 --emissions strict --protocol brief \
    --methods ae_xad,fcdd,bgad --categories mvtec/bottle,mvtec/transistor

row 10 bgad-transistor "As row 6, BGAD complete with EfficientNet-Lite0 for B6. $beside" \
    table2 --methods bgad --categories mvtec/transistor --jobs 2
row 11 vit "AE-XAD with a frozen ViT, complete, 200 epochs, but ViT-Tiny for ViT-B/16. $beside" \
    table-vit --methods ae_xad_vit --set ae_xad_vit.encoder=vit_tiny \
    --categories mvtec/toothbrush --jobs 2
row 12 fcdd-seeds "As row 4, more seeds. $beside" \
    table2 --methods fcdd --seeds 41,42 --categories mvtec/toothbrush --jobs 2
row 13 authors "$aexad Protocol authors: as their later code. $beside" \
    table2 --protocol authors --methods ae_xad --categories mvtec/toothbrush --jobs 2
row 14 fcdd-complete "As row 4, FCDD complete with VGG-16. $beside" \
    table2 --methods fcdd --categories mvtec/bottle,mvtec/transistor,wood/wood --jobs 2
row 15 bgad-wood "As row 6, BGAD complete with EfficientNet-Lite0 for B6. $beside" \
    table2 --methods bgad --categories wood/wood --jobs 2
row 16 bgad-seeds "As row 6, more seeds, BGAD complete with EfficientNet-Lite0 for B6. $beside" \
    table2 --methods bgad --seeds 41,42 --categories "$all" --jobs 2
row 17 fcdd-complete-seeds "As row 14, more seeds, FCDD complete with VGG-16. $beside" \
    table2 --methods fcdd --seeds 41,42 --jobs 2 \
    --categories mvtec/bottle,mvtec/transistor,wood/wood

exit "$failed"
