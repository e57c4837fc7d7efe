package parity

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// exchange is what one client does.
type exchange struct {
	// Listener is the index of the listener that is asked.
	Listener int `json:"listener"`
	// VIP is 0, or the number of the additional VIP that is asked.
	VIP int `json:"vip,omitempty"`
	// Client is the number of the client's address.
	Client int `json:"client,omitempty"`
	// TLS is the client's, nil speaks in clear.
	TLS      *tlsClient `json:"tls,omitempty"`
	Requests []request  `json:"requests,omitempty"`
	// Pipelined sends all requests before it reads.
	Pipelined bool `json:"pipelined,omitempty"`
	// Browser sends the cookies back that it got before.
	Browser bool `json:"browser,omitempty"`
	// Reconnect has a connection for each request, not one for all.
	Reconnect bool `json:"reconnect,omitempty"`
	// Dribble sends a few bytes at a time.
	Dribble bool `json:"dribble,omitempty"`
	// Records are sent instead of requests: a protocol that is no HTTP.
	Records []text `json:"records,omitempty"`
	// Greeted waits for what the member says unasked before the first record.
	Greeted bool `json:"greeted,omitempty"`
	// HalfClose ends the client's side when all is sent, and then reads.
	HalfClose bool `json:"half_close,omitempty"`
}

// request is what a client writes, to the byte.
type request struct {
	Method  string   `json:"method"`
	Target  text     `json:"target,omitempty"`
	Version string   `json:"version,omitempty"`
	Headers []header `json:"headers,omitempty"`
	Body    text     `json:"body,omitempty"`
	// Framing is how the body is sent: "" is none, framingLength or framingChunked.
	Framing string `json:"framing,omitempty"`
	// Trailers follow chunks.
	Trailers []header `json:"trailers,omitempty"`
	// Raw replaces all of these but Method: the bytes of a client that speaks bad HTTP. {id} is the id.
	Raw text `json:"raw,omitempty"`
	// Odd names what is odd about Raw.
	Odd string `json:"odd,omitempty"`
	// Stop ends it in the midst of the head or the body; the client then waits.
	Stop string `json:"stop,omitempty"`
	// Tunnel is sent after a switch of protocols.
	Tunnel text `json:"tunnel,omitempty"`
}

const (
	stopHead = "head"
	stopBody = "body"
)

// text is bytes that a case file holds as the characters U+0000 to U+00FF. {ab*3} in it stands for ababab.
type text string

// header is one line, as it is on the wire.
type header struct {
	Name  string `json:"name"`
	Value text   `json:"value"`
}

func (t text) MarshalJSON() ([]byte, error) {
	var characters []rune
	for _, b := range []byte(t) {
		characters = append(characters, rune(b))
	}
	return json.Marshal(string(characters))
}

func (t *text) UnmarshalJSON(document []byte) error {
	var characters string
	if err := json.Unmarshal(document, &characters); err != nil {
		return err
	}
	var all []byte
	for _, char := range characters {
		if char > 0xff {
			return fmt.Errorf("%q is no byte", char)
		}
		all = append(all, byte(char))
	}
	*t = text(all)
	return nil
}

var repeated = regexp.MustCompile(`(?s)\{([^{}*]+)\*(\d+)\}`)

// String is the text with its repetitions written out.
func (t text) String() string {
	return repeated.ReplaceAllStringFunc(string(t), func(found string) string {
		parts := repeated.FindStringSubmatch(found)
		count, err := strconv.Atoi(parts[2])
		if err != nil {
			return found
		}
		return strings.Repeat(parts[1], count)
	})
}

// expects reports whether the client waits for 100 before it sends the body.
func (r *request) expects() bool {
	return strings.EqualFold(r.value("expect"), "100-continue") && r.Framing != ""
}

// wire returns the bytes of a request.
func (r *request) wire(id string, cookies map[string]string) (head, body []byte) {
	if r.Raw != "" {
		return []byte(strings.ReplaceAll(r.Raw.String(), "{id}", id)), nil
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s %s\r\n", r.Method, r.Target, r.Version)
	for _, h := range r.Headers {
		fmt.Fprintf(&b, "%s: %s\r\n", h.Name, h.Value)
	}
	for _, name := range slices.Sorted(maps.Keys(cookies)) {
		fmt.Fprintf(&b, "Cookie: %s=%s\r\n", name, cookies[name])
	}
	fmt.Fprintf(&b, "%s: %s\r\n", headerID, id)
	content := []byte(r.Body.String())
	switch r.Framing {
	case framingChunked:
		fmt.Fprint(&b, "Transfer-Encoding: chunked\r\n\r\n")
		half := len(content) / 2
		for _, part := range [][]byte{content[:half], content[half:]} {
			if len(part) > 0 {
				body = append(append(fmt.Appendf(body, "%x\r\n", len(part)), part...), "\r\n"...)
			}
		}
		body = append(body, "0\r\n"...)
		for _, h := range r.Trailers {
			body = fmt.Appendf(body, "%s: %s\r\n", h.Name, h.Value)
		}
		body = append(body, "\r\n"...)
	case framingLength:
		fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n", len(content))
		body = content
	default:
		fmt.Fprint(&b, "\r\n")
	}
	head = b.Bytes()
	switch r.Stop {
	case stopHead:
		return head[:len(head)-2], nil
	case stopBody:
		return head, body[:len(body)/2]
	}
	return head, body
}

// keep puts the cookies of an answer into the jar.
func keep(jar map[string]string, response *message) {
	for _, line := range response.values("set-cookie") {
		pair, _, _ := strings.Cut(line, ";")
		if name, value, found := strings.Cut(pair, "="); found {
			jar[strings.TrimSpace(name)] = strings.TrimSpace(value)
		}
	}
}
