package envoyadmin

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// Histogram is what one of Envoy's has counted since it was made; Envoy brings it up to date every 5 seconds.
type Histogram struct {
	// Buckets say how many values are at most as large as each bound, ascending.
	Buckets []Bucket
	// Count is how many values there are.
	Count uint64
	// Sum is that of all values, as far as Envoy's own buckets tell them apart: within 5 %.
	Sum float64
}

// Bucket is one of a histogram.
type Bucket struct {
	UpperBound float64
	Count      uint64
}

// Histograms returns those of one kind that have counted something, by the one label that tells them apart in Prometheus'
// format: it is the only one in which Envoy tells sums. The filter is a regular expression (RE2) for Envoy's own names.
func (c *Client) Histograms(ctx context.Context, filter, name, label string) (map[string]*Histogram, error) {
	body, err := c.Do(ctx, http.MethodGet, "/stats?format=prometheus&type=Histograms&usedonly&filter="+url.QueryEscape(filter))
	if err != nil {
		return nil, err
	}
	found := map[string]*Histogram{}
	lines := bufio.NewScanner(bytes.NewReader(body))
	for lines.Scan() {
		if err := addTo(found, lines.Text(), name, label); err != nil {
			return nil, fmt.Errorf("read Envoy's histogram %s: %w", name, err)
		}
	}
	return found, lines.Err()
}

// addTo takes up one line: name_bucket{label="owner",le="0.5"} 2, name_sum{label="owner"} 3.1, name_count{label="owner"} 2.
func addTo(found map[string]*Histogram, line, name, label string) error {
	rest, ok := strings.CutPrefix(line, name+"_")
	if !ok {
		return nil // a comment, or another
	}
	part, rest, _ := strings.Cut(rest, "{")
	labels, value, ok := strings.Cut(rest, "} ")
	if !ok {
		return fmt.Errorf("odd line %q", line)
	}
	var owner, bound string
	for pair := range strings.SplitSeq(labels, ",") { // no id has a comma
		key, quoted, _ := strings.Cut(pair, "=")
		switch key {
		case label:
			owner = strings.Trim(quoted, `"`)
		case "le":
			bound = strings.Trim(quoted, `"`)
		}
	}
	histogram := found[owner]
	if histogram == nil {
		histogram = &Histogram{}
		found[owner] = histogram
	}
	var err error
	switch {
	case part == "sum":
		histogram.Sum, err = strconv.ParseFloat(value, 64)
	case part == "count":
		histogram.Count, err = strconv.ParseUint(value, 10, 64)
	case part == "bucket" && bound != "+Inf":
		bucket := Bucket{}
		if bucket.UpperBound, err = strconv.ParseFloat(bound, 64); err == nil {
			bucket.Count, err = strconv.ParseUint(value, 10, 64)
		}
		histogram.Buckets = append(histogram.Buckets, bucket)
	}
	return err
}
