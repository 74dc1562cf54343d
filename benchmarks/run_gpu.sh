#!/usr/bin/env bash
# One command for a machine with a GPU, within 10 minutes: the gpu-marked tests and every benchmark.
#
#   benchmarks/run_gpu.sh OUTDIR
#
# OUTDIR gets, for each step, NAME.log, and for each benchmark NAME.json (attention also NAME.csv);
# summary.txt has one line per step. A step that fails or runs out of time does not stop the others;
# the script then ends with 1.
set -u
[ $# -eq 1 ] || { echo "usage: benchmarks/run_gpu.sh OUTDIR" >&2; exit 2; }
mkdir -p "$1" && out=$(cd "$1" && pwd) || exit 2
cd "$(dirname "$0")/.." || exit 2
python=${PYTHON:-$([ -x .venv/bin/python ] && echo .venv/bin/python || echo python3)}
export PYTHONPATH="$PWD:$PWD/kernels:$PWD/eval:$PWD/launch${PYTHONPATH:+:$PYTHONPATH}"
unset TRITON_INTERPRET
total=${LIMIT:-570}
start=$(date +%s)
failed=0
: >"$out/summary.txt"

# step NAME SECONDS COMMAND...: at most SECONDS, and never beyond the ten minutes.
step() {
  local name=$1 most=$2 rc left began
  shift 2
  left=$((total - ($(date +%s) - start)))
  [ "$left" -lt "$most" ] && most=$left
  if [ "$most" -le 0 ]; then
    echo "$name: not run, no time left" | tee -a "$out/summary.txt"
    failed=1
    return
  fi
  began=$(date +%s)
  timeout "$most" "$@" >"$out/$name.log" 2>&1
  rc=$?
  [ $rc -eq 0 ] || failed=1
  echo "$name: exit $rc in $(($(date +%s) - began)) s; $(tail -n 1 "$out/$name.log" | cut -c1-160)" |
    tee -a "$out/summary.txt"
}

"$python" - >"$out/machine.json" <<'PY'
import json, platform, torch

try:
    import triton
except ModuleNotFoundError:
    triton = None
cuda = torch.cuda.is_available()
print(json.dumps({
    "gpu": torch.cuda.get_device_name() if cuda else None,
    "capability": torch.cuda.get_device_capability() if cuda else None,
    "torch": torch.__version__,
    "cuda": torch.version.cuda,
    "triton": triton.__version__ if triton else None,
    "python": platform.python_version(),
}))
PY
cat "$out/machine.json" >>"$out/summary.txt"

step tests 170 "$python" -m pytest -q tests/kernels -m "gpu and not slow" -p no:cacheprovider
step attention 270 "$python" benchmarks/attention.py --budget 200 --json "$out/attention.json" \
  --csv "$out/attention.csv" ${TUNE:+--tune}
for script in benchmarks/*.py; do
  name=$(basename "$script" .py)
  [ "$name" = attention ] || ! grep -q -- '--json' "$script" || ! grep -q '__main__' "$script" ||
    step "$name" 120 "$python" "$script" --quick --json "$out/$name.json"
done
exit $failed
