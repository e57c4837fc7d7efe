package local

import (
	"crypto/sha256"
	"encoding/hex"
	"path/filepath"
	"strings"
)

const (
	namespaceDir = "/run/netns"
	// insideName is what the VIP's interface is called in every amphora.
	insideName = "vip0"
)

// BridgeName is the bridge of a Neutron network. Names of interfaces have at most 15 characters.
func BridgeName(networkID string) string {
	digits := strings.ReplaceAll(networkID, "-", "")
	return "oe" + digits[:min(11, len(digits))]
}

// NamespaceName is the network namespace of an amphora.
func NamespaceName(amphoraID string) string { return "oe-" + amphoraID }

// NamespacePath is where the namespace of an amphora is mounted.
func NamespacePath(amphoraID string) string {
	return filepath.Join(namespaceDir, NamespaceName(amphoraID))
}

// HostLinkName is the end of an amphora's veth pair that is on the bridge.
func HostLinkName(amphoraID string) string {
	sum := sha256.Sum256([]byte(amphoraID))
	return "oa" + hex.EncodeToString(sum[:6])
}

// bridgeAlias marks a bridge as ours to remove.
func bridgeAlias(networkID string) string { return "octavia-envoy network " + networkID }
