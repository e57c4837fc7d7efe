package translate

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"math"
	"reflect"
	"slices"
	"strings"
)

// fingerprint tells values apart by their content. A hash and not the values: these would be kept in memory, and whoever else has
// them could change them, as the staples in certificates are.
type fingerprint [sha256.Size]byte

// fingerprintOf covers every field of the values and what they point to. It knows the kinds that a tree is made of.
func fingerprintOf(values ...any) fingerprint {
	p := &printer{sha: sha256.New()}
	for _, value := range values {
		if inner, ok := value.(fingerprint); ok {
			p.pending = append(p.pending, inner[:]...)
		} else {
			p.value(reflect.ValueOf(value))
		}
	}
	p.sha.Write(p.pending)
	return fingerprint(p.sha.Sum(nil))
}

// printer writes values so that no two have the same bytes: what can be longer or shorter has its length before it.
type printer struct {
	sha     hash.Hash
	pending []byte
}

// fullPage is so many bytes that it is worth to hash them.
const fullPage = 4096

func (p *printer) value(v reflect.Value) {
	if len(p.pending) >= fullPage {
		p.sha.Write(p.pending)
		p.pending = p.pending[:0]
	}
	switch v.Kind() {
	case reflect.String:
		p.length(v.Len())
		p.pending = append(p.pending, v.String()...)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		p.pending = binary.AppendVarint(p.pending, v.Int())
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		p.pending = binary.AppendUvarint(p.pending, v.Uint())
	case reflect.Bool:
		p.flag(v.Bool())
	case reflect.Float32, reflect.Float64:
		p.pending = binary.BigEndian.AppendUint64(p.pending, math.Float64bits(v.Float()))
	case reflect.Struct:
		for i := range v.NumField() { //nolint:modernize // Fields puts together all that there is to say of each, at three times the cost
			p.value(v.Field(i))
		}
	case reflect.Slice:
		p.elements(v)
	case reflect.Pointer:
		if p.flag(!v.IsNil()) {
			p.value(v.Elem())
		}
	case reflect.Map:
		p.mapping(v)
	case reflect.Interface:
		if p.flag(!v.IsNil()) {
			p.value(reflect.ValueOf(v.Elem().Type().String()))
			p.value(v.Elem())
		}
	default:
		panic("a tree cannot hold a " + v.Kind().String())
	}
}

func (p *printer) flag(is bool) bool {
	if is {
		p.pending = append(p.pending, 1)
	} else {
		p.pending = append(p.pending, 0)
	}
	return is
}

func (p *printer) length(n int) { p.pending = binary.AppendUvarint(p.pending, uint64(n)) } //nolint:gosec // no length is negative

func (p *printer) elements(v reflect.Value) {
	if !p.flag(!v.IsNil()) {
		return
	}
	p.length(v.Len())
	if v.Type().Elem().Kind() == reflect.Uint8 {
		p.pending = append(p.pending, v.Bytes()...)
		return
	}
	for i := range v.Len() {
		p.value(v.Index(i))
	}
}

func (p *printer) mapping(v reflect.Value) {
	if !p.flag(!v.IsNil()) {
		return
	}
	p.length(v.Len())
	keys := v.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int {
		if a.Kind() == reflect.Int {
			return int(a.Int() - b.Int())
		}
		return strings.Compare(a.String(), b.String())
	})
	for _, key := range keys {
		p.value(key)
		p.value(v.MapIndex(key))
	}
}
