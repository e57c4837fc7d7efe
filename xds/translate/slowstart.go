package translate

import (
	commonv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/load_balancing_policies/common/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
)

// slowStart lets the share of a new member grow; nil gives it its whole share at once. Hashes have no shares.
func (t *translation) slowStart() *commonv3.SlowStartConfig {
	asked := t.flavor.SlowStart
	if asked == nil {
		return nil
	}
	config := &commonv3.SlowStartConfig{SlowStartWindow: milliseconds(asked.Window)}
	if asked.MinWeight > 0 {
		config.MinWeightPercent = &typev3.Percent{Value: float64(asked.MinWeight)}
	}
	return config
}
