package probe

import (
	"fmt"
	"strconv"
	"strings"
)

// codes are the expected ones, as Octavia writes them: "200", "200,202", "200-204", "200-204,301". Both ends are in a range.
type codes [][2]int

func parseCodes(text string) (codes, error) {
	var parsed codes
	for part := range strings.SplitSeq(text, ",") {
		first, last, isRange := strings.Cut(strings.TrimSpace(part), "-")
		if !isRange {
			last = first
		}
		low, errLow := strconv.Atoi(first)
		high, errHigh := strconv.Atoi(last)
		if errLow != nil || errHigh != nil || low < 100 || high > 999 || low > high {
			return nil, fmt.Errorf("codes: %q is no status code and no range of them", part)
		}
		parsed = append(parsed, [2]int{low, high})
	}
	return parsed, nil
}

func (c codes) has(code int) bool {
	for _, bounds := range c {
		if bounds[0] <= code && code <= bounds[1] {
			return true
		}
	}
	return false
}
