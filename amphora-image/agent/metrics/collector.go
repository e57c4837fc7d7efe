package metrics

import (
	"bytes"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
)

func (m *Metric) isCounter() bool { return m.Type == prometheus.CounterValue }

func (m *Metric) desc() *prometheus.Desc {
	labels := m.Of.labels()
	if m.Label != "" {
		labels = append(labels, m.Label)
	}
	return prometheus.NewDesc(m.Name, m.Help, labels, nil)
}

// collector gives one reading to a registry.
type collector struct{ reading reading }

func (c collector) Describe(descs chan<- *prometheus.Desc) {
	for _, metric := range Metrics() {
		descs <- metric.desc()
	}
}

func (c collector) Collect(values chan<- prometheus.Metric) {
	for _, metric := range Metrics() {
		desc := metric.desc()
		for _, object := range c.reading[metric.Of] {
			for _, series := range metric.Series {
				value, known := series.of(object.figures)
				if !known {
					continue
				}
				labels := object.labels
				if metric.Label != "" {
					labels = append(slices.Clip(labels), series.Value)
				}
				made, err := prometheus.NewConstMetric(desc, metric.Type, value, labels...)
				if err != nil {
					made = prometheus.NewInvalidMetric(desc, err)
				}
				values <- made
			}
		}
	}
}

// of returns the series' value for an object, if the object has any of it.
func (s *Series) of(known figures) (value float64, has bool) {
	for _, name := range s.Sum {
		if figure, ok := known[name]; ok {
			value, has = value+figure, true
		}
	}
	return value, has
}

// text writes a reading in Prometheus' text format, which is also what the amphora provider has.
func (r reading) text() ([]byte, error) {
	registry := prometheus.NewRegistry()
	if err := registry.Register(collector{r}); err != nil {
		return nil, err
	}
	families, err := registry.Gather()
	if err != nil {
		return nil, err
	}
	var buffer bytes.Buffer
	for _, family := range families {
		if _, err := expfmt.MetricFamilyToText(&buffer, family); err != nil {
			return nil, err
		}
	}
	return buffer.Bytes(), nil
}
