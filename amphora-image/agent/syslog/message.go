package syslog

import (
	"strconv"
	"strings"
)

// Informational is a severity (RFC 5424, section 6.2.1).
const Informational = 6

// Local0 is the first of the eight facilities that are nobody's, LOCAL0 to LOCAL7.
const Local0 = 16

// nothing is the value of a field that is left out.
const nothing = "-"

// Message is one message. Fields that are empty are left out; characters that may not be where they are become question marks.
type Message struct {
	// Facility is 0 to 23 and Severity 0 to 7.
	Facility, Severity int
	// Time is as RFC 3339 has it, with 6 digits of a second at most.
	Time string
	// Host has 255 characters at most, App 48 and ID 32.
	Host, App, ID string
	// Data is the structured data's one element, named DataID: names and values.
	DataID string
	Data   []Param
	// Text is the message itself, as it is.
	Text []byte
}

// Param is one name and value of structured data.
type Param struct{ Name, Value string }

// Append appends the message (SYSLOG-MSG of RFC 5424) to a buffer.
func (m *Message) Append(buffer []byte) []byte {
	buffer = append(buffer, '<')
	buffer = strconv.AppendInt(buffer, int64(m.Facility*8+m.Severity), 10)
	buffer = append(buffer, ">1 "...)
	for _, field := range []struct {
		value string
		most  int
	}{{m.Time, 32}, {m.Host, 255}, {m.App, 48}, {nothing, 1}, {m.ID, 32}} {
		buffer = appendName(buffer, field.value, field.most)
		buffer = append(buffer, ' ')
	}
	if len(m.Data) == 0 {
		buffer = append(buffer, nothing...)
	} else {
		buffer = append(buffer, '[')
		buffer = append(buffer, m.DataID...)
		for _, param := range m.Data {
			buffer = append(buffer, ' ')
			buffer = append(buffer, param.Name...)
			buffer = append(buffer, `="`...)
			buffer = append(buffer, escape.Replace(strings.ToValidUTF8(param.Value, "?"))...)
			buffer = append(buffer, '"')
		}
		buffer = append(buffer, ']')
	}
	buffer = append(buffer, ' ')
	return append(buffer, m.Text...)
}

// escape is for PARAM-VALUE, RFC 5424, section 6.3.3.
var escape = strings.NewReplacer(`\`, `\\`, `"`, `\"`, `]`, `\]`)

// appendName appends a field of printable ASCII without spaces.
func appendName(buffer []byte, value string, most int) []byte {
	if value == "" {
		return append(buffer, nothing...)
	}
	for _, char := range []byte(value[:min(len(value), most)]) {
		if char <= ' ' || char > '~' {
			char = '?'
		}
		buffer = append(buffer, char)
	}
	return buffer
}
