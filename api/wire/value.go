package wire

import (
	"encoding/json"
	"math"
	"reflect"
	"strconv"
)

// value decodes the value that begins with token into target. null leaves target as it is: the caller has set what null
// means there.
func (w *walker) value(token json.Token, target reflect.Value, path string) {
	if token == nil {
		return
	}
	if isTLSContainer(target.Type()) {
		w.tlsContainer(token, target, path)
		return
	}
	switch target.Kind() {
	case reflect.Pointer:
		w.pointer(token, target, path)
	case reflect.Struct:
		if !w.want(token, json.Delim('{'), "an object", path) || !w.enter(path) {
			return
		}
		w.structure(target, path)
		w.leave()
	case reflect.Slice:
		if !w.want(token, json.Delim('['), "an array", path) || !w.enter(path) {
			return
		}
		w.slice(target, path)
		w.leave()
	case reflect.Map:
		if !w.want(token, json.Delim('{'), "an object", path) || !w.enter(path) {
			return
		}
		w.mapping(target, path)
		w.leave()
	case reflect.Interface:
		if decoded := w.any(token, path); decoded != nil {
			target.Set(reflect.ValueOf(decoded))
		}
	default:
		w.scalar(token, target, path)
	}
}

// want reports whether token is the delimiter that opens what is wanted; else the value has been skipped.
func (w *walker) want(token json.Token, open json.Delim, wanted, path string) bool {
	if token == open {
		return true
	}
	w.wrongType(token, wanted, path)
	return false
}

func (w *walker) wrongType(token json.Token, wanted, path string) {
	w.report(path, "must be "+wanted+", not "+describe(token))
	w.skip(token)
}

func (w *walker) pointer(token json.Token, target reflect.Value, path string) {
	fresh := reflect.New(target.Type().Elem())
	setDefaults(fresh.Elem())
	if w.merge && !target.IsNil() && !isTLSContainer(target.Type().Elem()) {
		fresh.Elem().Set(target.Elem()) // a copy: what existing points to stays as it is
	}
	w.value(token, fresh.Elem(), path)
	target.Set(fresh)
}

// structure decodes an object whose opening token has been read, and returns its keys.
func (w *walker) structure(target reflect.Value, path string) []string {
	fields := w.fieldsOf(target.Type())
	seen := make(map[string]bool)
	var defaults reflect.Value // made on the first null that needs it
	var keys []string
	for w.decoder.More() {
		name, _ := w.next().(string)
		token := w.next()
		place, known := fields.index[name]
		switch {
		case !known:
			w.unknown(name, fields, path)
			w.skip(token)
			continue
		case seen[name]:
			w.report(key(path, name), "comes twice in one object")
			w.skip(token)
			continue
		}
		seen[name] = true
		keys = append(keys, name)
		field := target.Field(place)
		if token == nil && w.merge {
			if !defaults.IsValid() {
				defaults = reflect.New(target.Type()).Elem()
				setDefaults(defaults)
			}
			field.Set(defaults.Field(place))
			continue
		}
		w.value(token, field, key(path, name))
	}
	w.next() // }
	return keys
}

func (w *walker) slice(target reflect.Value, path string) {
	// Elements are created, not changed, even when the list they are in is part of a change.
	merge := w.merge
	w.merge = false
	list := reflect.MakeSlice(target.Type(), 0, 0)
	for i := 0; w.decoder.More(); i++ {
		element := reflect.New(target.Type().Elem()).Elem()
		setDefaults(element)
		token := w.next()
		if token == nil {
			w.report(index(path, i), "must not be null")
			continue
		}
		w.value(token, element, index(path, i))
		list = reflect.Append(list, element)
	}
	w.next() // ]
	w.merge = merge
	target.Set(list)
}

func (w *walker) mapping(target reflect.Value, path string) {
	decoded := reflect.MakeMap(target.Type())
	for w.decoder.More() {
		name, _ := w.next().(string)
		token := w.next()
		if decoded.MapIndex(reflect.ValueOf(name)).IsValid() {
			w.report(key(path, quotedKey(name)), "comes twice in one object")
			w.skip(token)
			continue
		}
		element := reflect.New(target.Type().Elem()).Elem()
		w.value(token, element, key(path, quotedKey(name)))
		decoded.SetMapIndex(reflect.ValueOf(name), element)
	}
	w.next() // }
	target.Set(decoded)
}

// any decodes what has no type in Octavia's API: the metadata of flavors and availability zones.
func (w *walker) any(token json.Token, path string) any {
	switch token := token.(type) {
	case json.Number:
		number, err := token.Float64()
		if err != nil {
			w.report(path, "is a number out of range")
		}
		return number
	case json.Delim:
		if !w.enter(path) {
			return nil
		}
		defer w.leave()
		if token == '[' {
			var list []any
			w.slice(reflect.ValueOf(&list).Elem(), path)
			return list
		}
		var object map[string]any
		w.mapping(reflect.ValueOf(&object).Elem(), path)
		return object
	}
	return token
}

func (w *walker) scalar(token json.Token, target reflect.Value, path string) {
	switch target.Kind() {
	case reflect.String:
		if text, ok := token.(string); ok {
			target.SetString(text)
			return
		}
		w.wrongType(token, "a string", path)
	case reflect.Bool:
		if flag, ok := token.(bool); ok {
			target.SetBool(flag)
			return
		}
		w.wrongType(token, "true or false", path)
	case reflect.Int:
		w.integer(token, target, path)
	case reflect.Float64:
		number, ok := token.(json.Number)
		if !ok {
			w.wrongType(token, "a number", path)
			return
		}
		decoded, err := number.Float64()
		if err != nil {
			w.report(path, "is a number out of range")
		}
		target.SetFloat(decoded)
	default:
		w.report(path, "cannot be decoded")
		w.skip(token)
	}
}

func (w *walker) integer(token json.Token, target reflect.Value, path string) {
	number, ok := token.(json.Number)
	if !ok {
		w.wrongType(token, "a whole number", path)
		return
	}
	// Octavia's integers are MySQL INTs.
	decoded, err := strconv.ParseInt(number.String(), 10, 64)
	if err != nil || decoded < math.MinInt32 || decoded > math.MaxInt32 {
		w.report(path, "must be a whole number between -2147483648 and 2147483647")
		return
	}
	target.SetInt(decoded)
}
