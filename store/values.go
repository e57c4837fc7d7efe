package store

import (
	"database/sql/driver"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// stamp is a column with a time: UTC with microseconds on all databases, NULL when zero. It is written as text, which
// is what SQLite stores and what the others convert to their own types.
type stamp struct{ time.Time }

const stampFormat = "2006-01-02 15:04:05.000000"

func newStamp(t time.Time) stamp {
	if t.IsZero() {
		return stamp{}
	}
	return stamp{t.UTC().Truncate(time.Microsecond)}
}

func newStampPtr(t *time.Time) stamp {
	if t == nil {
		return stamp{}
	}
	return newStamp(*t)
}

// ptr returns nil for NULL.
func (s stamp) ptr() *time.Time {
	if s.IsZero() {
		return nil
	}
	return &s.Time
}

// Value implements driver.Valuer.
func (s stamp) Value() (driver.Value, error) {
	if s.IsZero() {
		return nil, nil
	}
	return s.UTC().Format(stampFormat), nil
}

// Scan implements sql.Scanner.
func (s *stamp) Scan(value any) error {
	var text string
	switch v := value.(type) {
	case nil:
		*s = stamp{}
		return nil
	case time.Time:
		*s = stamp{v.UTC()}
		return nil
	case string:
		text = v
	case []byte:
		text = string(v)
	default:
		return fmt.Errorf("a time column holds a %T", value)
	}
	t, err := time.Parse(stampFormat, text)
	if err != nil {
		return err
	}
	*s = stamp{t.UTC()}
	return nil
}

// Longest texts that columns of the strictest database take: characters of a VARCHAR(255), and a bound that no error
// needs to exceed.
const (
	maxShortText = 255
	maxLongText  = 64 << 10
)

// short makes a text fit for a VARCHAR(255). Headers of a request, and what Envoy, Neutron or a kernel says in an error,
// come from outside: PostgreSQL refuses NUL and bytes that are not UTF-8, and a refused Finish would be refused forever.
func short(text string) string { return fit(text, maxShortText) }

// long makes a text fit for a column of any length.
func long(text string) string { return fit(text, maxLongText) }

func fit(text string, most int) string {
	text = strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "")
	if len(text) <= most || utf8.RuneCountInString(text) <= most {
		return text
	}
	return string([]rune(text)[:most])
}
