package model

import (
	"bytes"
	"slices"
)

// part is what a text says of an object itself, and the lists of those that are in it.
type part struct {
	// shell is the object's text with null in the place of each list below and of what nobody reads. It may be a part of the
	// text that was scanned.
	shell []byte
	lists []list
}

// list is a list that is not in the shell; with nil, what is in the shell in its place.
type list struct {
	key     string
	objects []part
}

// in returns a list; nil when there is none, or no list.
func (o *part) in(key string) []part {
	for i := range o.lists {
		if o.lists[i].key == key {
			return o.lists[i].objects
		}
	}
	return nil
}

// listed is the kind of objects that a list has, "" if what is there is for the decoder.
func listed(kind Kind, key string) Kind {
	switch string(kind) + "." + key {
	case "loadbalancer.listeners":
		return KindListener
	case "loadbalancer.pools":
		return KindPool
	case "listener.l7policies":
		return KindL7Policy
	case "l7policy.rules":
		return KindL7Rule
	case "pool.members":
		return KindMember
	}
	return ""
}

// unread says that an attribute is an object that no decoder looks at: get.sock's answers repeat a pool wherever it is used.
func unread(kind Kind, key string) bool {
	return kind == KindListener && key == "default_pool" || kind == KindL7Policy && key == "redirect_pool"
}

// scanner takes a text apart without a look at what it does not need for that: whether a shell is JSON is for its decoder to
// say. A method that returns false has found something that is not of the form that it knows.
type scanner struct {
	data []byte
	at   int
}

// scan takes the text of a load balancer apart.
func scan(data []byte) (part, bool) {
	s := &scanner{data: data}
	lb, ok := s.object(KindLoadBalancer)
	return lb, ok && s.peek() == 0 && s.at == len(data)
}

func (s *scanner) object(kind Kind) (o part, ok bool) {
	if s.peek() != '{' {
		return o, false
	}
	begin := s.at
	if kind == KindMember || kind == KindL7Rule { // nothing below
		ok = s.value()
		return part{shell: s.data[begin:s.at]}, ok
	}
	s.at++
	copied := begin
	replace := func(from int) {
		o.shell = append(append(o.shell, s.data[copied:from]...), "null"...)
		copied = s.at
	}
	for !s.take('}') {
		key, ok := s.key()
		if !ok {
			return o, false
		}
		start := s.at
		below, next := listed(kind, key), s.peek()
		if below != "" {
			if slices.ContainsFunc(o.lists, func(l list) bool { return l.key == key }) {
				return o, false
			}
			o.lists = append(o.lists, list{key: key})
		}
		switch {
		case below != "" && next == '[':
			objects, ok := s.list(below)
			if !ok {
				return o, false
			}
			o.lists[len(o.lists)-1].objects = objects
			replace(start)
		case unread(kind, key) && next == '{':
			if !s.value() {
				return o, false
			}
			replace(start)
		case !s.value():
			return o, false
		}
		if s.peek() != '}' && !s.take(',') {
			return o, false
		}
	}
	if o.shell == nil {
		o.shell = s.data[begin:s.at]
	} else {
		o.shell = append(o.shell, s.data[copied:s.at]...)
	}
	return o, true
}

// list never returns nil with true.
func (s *scanner) list(kind Kind) ([]part, bool) {
	objects := []part{}
	if s.at++; s.take(']') {
		return objects, true
	}
	for {
		o, ok := s.object(kind)
		if !ok {
			return nil, false
		}
		objects = append(objects, o)
		if s.take(']') {
			return objects, true
		}
		if !s.take(',') {
			return nil, false
		}
	}
}

// key takes a key with its colon. One that is not plain may be another one's spelling, and is not for us to judge.
func (s *scanner) key() (string, bool) {
	if s.peek() != '"' {
		return "", false
	}
	begin := s.at + 1
	if !s.text() {
		return "", false
	}
	key := s.data[begin : s.at-1]
	for _, char := range key {
		if char != '_' && (char < 'a' || char > 'z') && (char < '0' || char > '9') {
			return "", false
		}
	}
	return string(key), s.take(':')
}

// value passes over a value.
func (s *scanner) value() bool {
	depth := 0
	for s.peek(); s.at < len(s.data); {
		switch s.data[s.at] {
		case '"':
			if !s.text() {
				return false
			}
			if depth == 0 {
				return true
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return true // after a number or literal, which is not ours
			}
			if depth--; depth == 0 {
				s.at++
				return true
			}
		case ',':
			if depth == 0 {
				return true
			}
		}
		s.at++
	}
	return false
}

// text passes over a string.
func (s *scanner) text() bool {
	for begin := s.at + 1; ; {
		length := bytes.IndexByte(s.data[begin:], '"')
		if length < 0 {
			return false
		}
		end := begin + length
		escapes := end
		for escapes > s.at+1 && s.data[escapes-1] == '\\' {
			escapes--
		}
		if (end-escapes)%2 == 0 {
			s.at = end + 1
			return true
		}
		begin = end + 1
	}
}

// peek returns what comes after the space, which it passes over; 0 at the end.
func (s *scanner) peek() byte {
	for ; s.at < len(s.data); s.at++ {
		switch s.data[s.at] {
		case ' ', '\t', '\n', '\r':
		default:
			return s.data[s.at]
		}
	}
	return 0
}

func (s *scanner) take(char byte) bool {
	if s.peek() != char {
		return false
	}
	s.at++
	return true
}
