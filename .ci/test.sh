#!/usr/bin/env bash
# Every ring of tests, one after the other, and a summary. A ring that fails does not keep the next from running, but the
# result is a failure. Nothing is left running.
# shellcheck disable=SC2317 # functions are called by ring
set -uo pipefail
cd "$(dirname "$0")/.." || exit

cloud=test/cloud/cloud
log=build/e2e.log
failed=0
summary=()

ring() { # NAME COMMAND...: runs one ring and notes how it went
	local name=$1 start=$SECONDS result=passed
	shift
	printf '\n== %s\n' "$name"
	"$@" || { result=FAILED failed=1; }
	summary+=("$(printf '%-22s %s in %d s' "$name" "$result" $((SECONDS - start)))")
}

go_packages() { # the race detector also over the integration ring, which is a test of concurrency more than of anything
	local packages
	packages=$(go list ./... | grep -v /test/e2e) || return 1
	# shellcheck disable=SC2086 # one word a package
	go test -race $packages
}

end_to_end() {
	mkdir -p build
	"$cloud" run --instance test -- go test -count=1 -timeout 30m ./test/e2e/... 2>&1 | tee "$log"
}

printf '== installing what the tests need\n'
"$cloud" prepare --tests || exit 1

ring 'unit and integration' go_packages
ring 'provider shim' "$cloud" test-shim
ring 'end to end' end_to_end

printf '\n== summary, %d s in all\n' "$SECONDS"
printf '%s\n' "${summary[@]}"
# The last line is go test's own word on the last ring.
grep -E '^(ok|FAIL)' "$log" | tail -1
exit "$failed"
