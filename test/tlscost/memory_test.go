package tlscost

import (
	"crypto/tls"
	"crypto/x509"
	"testing"

	"github.com/stretchr/testify/require"
)

// series are sizes in KiB, by rotation.
type series struct{ at, size []float64 }

func (s *series) add(rotation int, size float64) {
	s.at, s.size = append(s.at, float64(rotation)), append(s.size, size)
}

// trend is what became of a size. Growth is along the line that fits best (least squares): single samples jump, in Go with
// each collection, in Envoy with the connections of the moment.
type trend struct {
	from   float64 // KiB where the line begins
	slope  float64 // KiB a rotation
	growth float64 // KiB
}

// after is the trend from a rotation on.
func (s *series) after(rotation int) trend {
	var n, sumX, sumY, sumXX, sumXY, first, last float64
	for i, x := range s.at {
		if x < float64(rotation) {
			continue
		}
		if n == 0 {
			first = x
		}
		n, last = n+1, x
		sumX, sumY, sumXX, sumXY = sumX+x, sumY+s.size[i], sumXX+x*x, sumXY+x*s.size[i]
	}
	slope := (n*sumXY - sumX*sumY) / (n*sumXX - sumX*sumX)
	return trend{from: sumY/n + slope*(first-sumX/n), slope: slope, growth: slope * (last - first)}
}

func TestTrend(t *testing.T) {
	s := &series{}
	for i := range 11 {
		s.add(i*10, float64(1000+max(0, i-5)*20))
	}
	require.Equal(t, trend{from: 1000, slope: 2, growth: 100}, s.after(50))
}

// presented is the certificate that a new connection gets.
func presented(tb testing.TB, address string, config *tls.Config) *x509.Certificate {
	tb.Helper()
	connection, err := (&tls.Dialer{Config: config}).DialContext(tb.Context(), "tcp", address)
	require.NoError(tb, err)
	defer connection.Close()
	return connection.(*tls.Conn).ConnectionState().PeerCertificates[0] //nolint:forcetypeassert // a tls.Dialer's
}
