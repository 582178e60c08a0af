#!/usr/bin/env bash
# Runs one iteration of the search here and in plain PyTorch, in turn, and prints the ratios of time and memory.
#
#   tests/bench/compare_pytorch.sh                                    # 256x192, batch 4, YOLOv5s, 15 terms with VGG-16
#   tests/bench/compare_pytorch.sh --size 128x128 --batch 2 --variant n --no-vgg
#   tests/bench/compare_pytorch.sh -- --set unrolled.gradient=fusion_step       # what follows goes to `caf-search bench`
#
# Options: --size WxH, --batch N, --variant n|s|m|l|x, --no-vgg, --threads N (2), --iterations N (4), --rounds N (3),
# --processor-time: with one thread, also the ratio of processor time an iteration, for machines that have other work. The reference
# then runs once more with fewer iterations, and the difference counts.
#
# The environment may name CAF_SEARCH (the program; without it a release build of this checkout), PLAIN_UPDATE (the reference, a
# Python program; without it bench/plain_update.py in the folder of reference data) and PYTHON (with the packages that the
# reference names; without it they are installed into the folder BENCH_VENV, build/bench_venv of the target folder by default).
#
# Ratios of runs in turn matter: times alone follow what else the machine does. The load is printed beside them.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
usage() { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0"; }

size=256x192 batch=4 variant=s vgg=--vgg threads=2 iterations=4 rounds=3 processor= own=()
while [ $# -gt 0 ]; do
    case "$1" in
        -h | --help) usage; exit 0 ;;
        --no-vgg) vgg=; shift ;;
        --processor-time) processor=1 threads=1; shift ;;
        --) shift; own=("$@"); break ;;
        --size | --batch | --variant | --threads | --iterations | --rounds)
            [ $# -ge 2 ] || { echo "error: $1 needs a value" >&2; exit 2; }
            printf -v "${1#--}" '%s' "$2"; shift 2 ;;
        *) echo "error: unknown option $1; --help shows all" >&2; exit 2 ;;
    esac
done

plain=${PLAIN_UPDATE:-${CAF_SHARED:-$root/../shared}/bench/plain_update.py}
[ -f "$plain" ] || { echo "error: no reference at $plain; PLAIN_UPDATE names it" >&2; exit 2; }
if [ -z "${PYTHON:-}" ]; then
    venv=${BENCH_VENV:-$root/target/bench_venv}
    PYTHON=$venv/bin/python
    if [ ! -x "$PYTHON" ]; then
        python3 -m venv "$venv"
        "$venv/bin/pip" install --quiet torch==2.11.0 torchvision==0.26.0 numpy pandas pyyaml tqdm requests psutil \
            opencv-python-headless matplotlib seaborn scipy packaging pillow ipython thop
        "$venv/bin/pip" install --quiet --no-deps yolov5==7.0.14
    fi
fi
if [ -z "${CAF_SEARCH:-}" ]; then
    (cd "$root" && cargo build --quiet --release -p caf-search)
    CAF_SEARCH=$root/target/release/caf-search
fi

out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
# The reference's last line; its processor time, user and system in seconds, goes into a file.
reference() {
    local TIMEFORMAT='%U %S'
    { time "$PYTHON" "$plain" --size "$size" --batch "$batch" --variant "$variant" $vgg --iterations "$1" \
        --threads "$threads" 2>/dev/null | tail -1; } 2>"$2"
}

for round in $(seq "$rounds"); do
    echo "round $round, load $(cut -d' ' -f1-3 /proc/loadavg)" >&2
    [ -z "$processor" ] || reference 1 "$out/few.$round" >/dev/null
    reference $((iterations + ${processor:-0})) "$out/many.$round" | tee "$out/plain.$round" >&2
    "$CAF_SEARCH" bench --size "$size" --batch "$batch" --variant "$variant" $vgg --iterations "$iterations" \
        --threads "$threads" --device cpu --json "$out/own.$round" "${own[@]}" >&2
done

"$PYTHON" - "$out" "$rounds" "$iterations" "$processor" <<'PYTHON'
import json, re, statistics, sys

folder, rounds, iterations, processor = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
names = ["task", "fusion", "beta", "total"]
ratios = {name: [] for name in [*names, "memory"]}
for i in range(1, rounds + 1):
    own = json.load(open(f"{folder}/own.{i}"))
    line = open(f"{folder}/plain.{i}").read()
    plain = {name: float(re.search(rf"{name} (\d+)", line)[1]) for name in [*names, "peak"]}
    ms = {p["phase"]: p["ms"] for p in own["phases"]} | {"total": own["total_ms"]}
    for name in names:
        ratios[name].append(ms[name] / plain[name])
    ratios["memory"].append(own["peak_mib"] / plain["peak"])
    if processor:
        few, many = (sum(map(float, open(f"{folder}/{name}.{i}").read().split())) for name in ("few", "many"))
        plain_ms = (many - few) / iterations * 1e3
        print(f"processor time, round {i}: plain PyTorch {plain_ms:.0f} ms, caf-search {own['cpu_ms']:.0f} ms")
        ratios.setdefault("processor", []).append(own["cpu_ms"] / plain_ms)
print("caf-search / plain PyTorch, median of rounds (every round):")
for name, values in ratios.items():
    print(f"  {name:<9} {statistics.median(values):.2f}  ({', '.join(f'{v:.2f}' for v in values)})")
PYTHON
