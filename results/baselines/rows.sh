# shellcheck shell=bash
# What evidence.sh, beyond.sh and green.sh have in common. They source it where the repository is, with script
# (their name), last (the number of their last row) and results (the default place) set; then they
# set conditions (options of every command) and call row.

shared=${AEXAD_SHARED:-../shared}
results=${AEXAD_RESULTS:-$results}
export AEXAD_DATA=$shared/data AEXAD_CACHE=${AEXAD_CACHE:-../aexad-evidence/cache}
read -ra more <<<"${EVIDENCE_OPTIONS:-}"
read -ra run <<<"${EVIDENCE_COMMAND:-./reproduce.sh}"

list=
[[ ${1:-} != --list ]] || { list=1; shift; }
for word in "$@"; do
    [[ $word =~ ^[1-9][0-9]?$ ]] && ((word <= last)) && continue
    echo "$script.sh: no row '$word'; see --list" >&2
    exit 2
done
wanted=" $* "
failed=0

# row NUMBER NAME NOTE TABLE OPTION...: one command, if its row is asked for.
row() {
    local number=$1 name=$2 note=$3 status=0
    shift 3
    [[ $wanted == "  " || $wanted == *" $number "* ]] || return 0
    local file
    file=${EVIDENCE_FOLDER:-results/baselines}/$script-$(printf '%02d' "$number")-$name.json
    local command=("${run[@]}" "$@" "${conditions[@]}" ${more[@]+"${more[@]}"}
        --unless-saved --save-baseline "$file" --note "$note $images")
    if [[ -n $list ]]; then
        printf '%s. %s\n   ' "$number" "$note"
        printf ' %q' "${command[@]}"
        printf '\n\n'
        return
    fi
    echo "== row $number: $name" >&2
    AEXAD_RESULTS=$results nice "${command[@]}" || status=$?
    ((status < 128)) || exit "$status"  # interrupted
    ((status == 0)) || failed=1
}

images="Images: 256-pixel copies. wood/wood is a stand-in for the paper's Wood, other images of its \
source. mvtec/toothbrush has one of 12 good test images: its detection AUC means nothing."
