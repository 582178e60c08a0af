#!/usr/bin/env bash
# AP@.5 of one detector on the same fused pairs, measured on both sides: by `caf-search fuse` + `caf-search eval`, and by the exported
# model that `caf-run fuse` + `caf-eval detection` run. Prints both and their distance; ends with 1 where it is above 0.05 points.
#
#   tests/bench/ap_both_sides.sh --fusion fusion.safetensors
#   tests/bench/ap_both_sides.sh --fusion det_final.pth --sizes "256x192 320x240 190x250" --pairs 100
#   tests/bench/ap_both_sides.sh --fusion det_final.pth --task best.safetensors --input 640x512 --sizes 640x512
#
# Options: --fusion FILE (any weights of a fusion network), --task FILE (a detector of rendered scenes' six classes; by default
# deploy/weights/yolov5n-scenes.safetensors), --input WxH of the detector (256x192), --sizes "WxH ..." of the pairs (256x192),
# --pairs N over all sizes together (100), --seed N of the rendered scenes (77).
#
# The environment may name CAF_BIN (a folder with the four programs; without it a release build of this checkout). ONNX Runtime and
# libtorch are found as by the programs. Needs jq.
#
# `cargo test -p caf-tests --test ap_both_sides` is the same on 36 pairs.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
usage() { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0"; }
fail() { echo "error: $1" >&2; exit 2; }

fusion='' task=$root/deploy/weights/yolov5n-scenes.safetensors input=256x192 sizes=256x192 pairs=100 seed=77
while [ $# -gt 0 ]; do
    case "$1" in
        -h | --help) usage; exit 0 ;;
        --fusion | --task | --input | --sizes | --pairs | --seed)
            [ $# -ge 2 ] || fail "$1 needs a value"
            printf -v "${1#--}" '%s' "$2"; shift 2 ;;
        *) fail "unknown option $1; --help shows all" ;;
    esac
done
[ -n "$fusion" ] || fail "--fusion is needed; --help shows all options"
for file in "$fusion" "$task"; do [ -f "$file" ] || fail "$file: no such file"; done
read -ra sizes <<<"$sizes"
[ "${#sizes[@]}" -ge 1 ] || fail "--sizes is empty"
[[ $pairs =~ ^[0-9]+$ && $pairs -ge ${#sizes[@]} ]] || fail "--pairs: expected at least one a size, found $pairs"
[[ $seed =~ ^[0-9]+$ ]] || fail "--seed: expected a whole number, found $seed"
command -v jq >/dev/null || fail "jq is not installed"
if [ -z "${CAF_BIN:-}" ]; then
    (cd "$root" && cargo build --quiet --release -p caf-search -p caf-export -p caf-run -p caf-eval)
    CAF_BIN=$root/target/release
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# What a program says is of interest only where it fails.
run() {
    local program=$1; shift
    "$CAF_BIN/$program" "$@" >"$work/said" 2>&1 || { cat "$work/said" >&2; echo "error: $program $1 failed" >&2; exit 1; }
}

# One data set of all sizes, whose names begin with the size.
set=$work/set
mkdir -p "$set"/{ir,vi,labels,ignore}
for i in "${!sizes[@]}"; do
    size=${sizes[i]} one=$work/scenes_$i
    count=$((pairs / ${#sizes[@]} + (i < pairs % ${#sizes[@]})))
    run caf-search scene --out "$one" --count "$count" --size "$size" --seed $((seed + i))
    for part in ir vi labels ignore; do
        for file in "$one/$part"/*; do cp "$file" "$set/$part/${size}_$(basename "$file")"; done
    done
    cp "$one/classes.txt" "$set"
done

run caf-search fuse --data "$set" --fusion "$fusion" --out "$work/fused" --device cpu
run caf-search eval --data "$set" --images "$work/fused" --task "$task" --size "$input" --no-fusion --device cpu --json "$work/eval.json"

run caf-export onnx --fusion "$fusion" --task "$task" --task-size "$input" -o "$work/model.onnx"
run caf-run fuse --model "$work/model.onnx" --ir "$set/ir" --vi "$set/vi" --out "$work/vehicle" --detections "$work/lines.jsonl" \
    --conf 0.001 --iou 0.6 --multi-label --provider cpu
mkdir "$work/predictions"
# class cx cy w h confidence, relative to the image.
jq -r '.width_px as $w | .height_px as $h | .name as $name | .detections[] | .box as [$x1, $y1, $x2, $y2]
       | [$name, .class, ($x1 + $x2) / 2 / $w, ($y1 + $y2) / 2 / $h, ($x2 - $x1) / $w, ($y2 - $y1) / $h, .score] | @tsv' \
    "$work/lines.jsonl" | awk -F'\t' -v OFS=' ' -v out="$work/predictions" '{ print $2, $3, $4, $5, $6, $7 > (out "/" $1 ".txt") }'
run caf-eval detection --labels "$set/labels" --predictions "$work/predictions" --images "$set/vi" --ignore "$set/ignore" \
    --classes "$set/classes.txt" --json "$work/ap.json"

echo "$pairs pairs of ${sizes[*]}, detector at $input"
jq -rn --slurpfile e "$work/eval.json" --slurpfile v "$work/ap.json" '
    ($e[0].detection.map50 * 100) as $a | ($v[0].yolov5.map50 * 100) as $b | (($a - $b) | fabs) as $gap
    | "AP@.5 in hundredths: \($a) by caf-search eval, \($b) by caf-run + caf-eval, distance \($gap)",
      (if $gap > 0.05 then "above 0.05" | halt_error(1) else empty end)'
