#!/usr/bin/env bash
# Every fuzz target of the module, one after the other, for FUZZ_TIME each (1m), at low priority. FUZZ is a regular
# expression of targets, by default all. One that fails does not keep the next from running; the input that failed it is
# then in testdata/fuzz of its package, for you to keep: from there on every `go test` tries it.
set -euo pipefail
cd "$(dirname "$0")/.."

# go test -list prints the targets of a package, and then "ok PACKAGE TIME".
targets=() found=()
while read -r first second _; do
	case $first in
	Fuzz*) found+=("$first") ;;
	ok)
		for target in "${found[@]}"; do targets+=("$second $target"); done
		found=()
		;;
	esac
done < <(go test -list "${FUZZ:-^Fuzz}" ./...)
[ ${#targets[@]} -gt 0 ] || { echo 'no fuzz targets' >&2; exit 1; }

failed=()
for each in "${targets[@]}"; do
	read -r package target <<<"$each"
	printf '\n== %s of %s\n' "$target" "$package"
	# What runs beside a target, as a server, covers other lines each time. Go would spend a minute on each input that seems
	# new by that, to make it small.
	nice -n 19 go test "$package" -run '^$' -fuzz "^$target\$" -fuzztime "${FUZZ_TIME:-1m}" -fuzzminimizetime 100x || failed+=("$each")
done
printf '\n== %d targets, %d failed\n' ${#targets[@]} ${#failed[@]}
for each in "${failed[@]}"; do printf '%s\n' "$each"; done
[ ${#failed[@]} -eq 0 ]
