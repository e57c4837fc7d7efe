# The two commands to begin with are `make demo` and `make test`; `make` alone lists all. What a target does in more than a
# line lives in a script: test/cloud/cloud, test/demo/demo, .ci/test.sh, .ci/fuzz.sh.
.DEFAULT_GOAL := help
.PHONY: help demo down test unit integration parity e2e shim bench fuzz lint fmt golden build envoy clean

CLOUD := test/cloud/cloud
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/octavia-envoy
# Built from source once, with the Go at hand: a linter must not be older than the language it reads.
GOLANGCI_VERSION := v2.15.0
GOLANGCI := $(CACHE)/golangci-lint-$(GOLANGCI_VERSION)/golangci-lint

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## OpenStack on this machine, a load balancer in three commands, its members answering through Envoy
	@test/demo/demo

down: ## take away what demo and tests have started and made
	@$(CLOUD) down --instance demo
	@$(CLOUD) down --instance test

test: ## every ring of tests: unit, integration, provider shim, end to end
	@.ci/test.sh

unit: ## Go tests of the packages themselves, with the race detector
	@$(CLOUD) prepare --tests
	go test -race $$(go list ./... | grep -v /test/)

integration: ## Go tests across packages against a real Envoy
	@$(CLOUD) prepare --tests
	go test -race $$(go list ./test/... | grep -v -e /test/e2e -e /test/parity)

parity: ## the same requests to our Envoy and to the amphora driver's HAProxy; PARITY_SEED, PARITY_COUNT, PARITY_EXCHANGES
	@$(CLOUD) prepare --tests
	PARITY_COUNT=$${PARITY_COUNT:-200} PARITY_EXCHANGES=$${PARITY_EXCHANGES:-50} go test -count=1 -timeout 30m -v ./test/parity

shim: ## tests of the Python provider that octavia-api loads
	@$(CLOUD) test-shim

e2e: ## tests against a real OpenStack; OE_TESTS=pattern runs some
	@$(CLOUD) run --instance test -- go test -count=1 -timeout 30m -run '$(OE_TESTS)' ./test/e2e/...

bench: ## what changes, fleets and requests cost, as ratios: test/bench/README.md; BENCH=pattern runs some, BENCH_PROFILES=dir keeps profiles
	@$(CLOUD) prepare --tests
	go test -run '^$$' -bench '$(or $(BENCH),.)' -benchtime 1x -count=1 -timeout 3h -v ./test/bench

fuzz: envoy ## every fuzz target of the module, FUZZ_TIME (1m) each; FUZZ=pattern runs some
	@.ci/fuzz.sh

lint: $(GOLANGCI) ## golangci-lint; ruff; shellcheck where it is installed
	$(GOLANGCI) run ./...
	"$$($(CLOUD) uv)" tool run --quiet ruff@0.17.6 check . driver/octavia
	@! command -v shellcheck >/dev/null || shellcheck .ci/run .ci/test.sh .ci/fuzz.sh driver/flavor/profiles/create.sh

fmt: $(GOLANGCI) ## format the Go code
	$(GOLANGCI) fmt ./...

golden: ## rewrite the golden files, the support matrix, the tables of configuration and flavor keys; look at the difference before you commit
	go test ./xds/translate -run 'TestGolden|ACCESSLOG|CHANGES' -update
	go test ./driver/capabilities -run TestMatrix -update
	go test ./driver/config -run README -update
	go test ./driver/flavor -run README -update
	go test ./driver/cmd/octavia-envoy -run TestMetrics -update
	git status --short -- '*/testdata' amphora-image/agent/ACCESSLOG.md xds/translate/CHANGES.md driver/capabilities/README.md driver/config/README.md driver/flavor/README.md driver/metrics/METRICS.md

build: ## the two programs, into build/
	CGO_ENABLED=0 go build -trimpath -o build/ ./driver/cmd/octavia-envoy ./amphora-image/cmd/amphora-agent

envoy: ## the Envoy binary that tests and demo run, into the cache
	@$(CLOUD) prepare

clean: ## remove build/
	rm -rf build

$(GOLANGCI):
	GOBIN=$(dir $@) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)
