package wire

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// fields are the keys of a struct's json tags.
type fields struct {
	index map[string]int
	names []string
}

func fieldsOf(structure reflect.Type) fields {
	f := fields{index: make(map[string]int, structure.NumField())}
	for i := range structure.NumField() {
		name, _, _ := strings.Cut(structure.Field(i).Tag.Get("json"), ",")
		if name == "" || name == "-" || !structure.Field(i).IsExported() {
			continue
		}
		f.index[name] = i
		f.names = append(f.names, name)
	}
	slices.Sort(f.names)
	return f
}

func (w *walker) fieldsOf(structure reflect.Type) fields {
	f, known := w.known[structure]
	if !known {
		f = fieldsOf(structure)
		w.known[structure] = f
	}
	return f
}

// setDefaults sets a model object to what its own decoder makes of {}: Octavia's defaults.
func setDefaults(target reflect.Value) {
	if target.Kind() != reflect.Struct || isTLSContainer(target.Type()) {
		return
	}
	if decoder, ok := reflect.TypeAssert[json.Unmarshaler](target.Addr()); ok {
		_ = decoder.UnmarshalJSON([]byte("{}")) // cannot fail on an empty object
	}
}

func (w *walker) unknown(name string, known fields, path string) {
	if len(w.problems) >= MaxProblems {
		return // of a million keys, to look for the nearest of each would take a minute
	}
	if w.secret > 0 {
		w.report(path, "has an unknown field; known are "+strings.Join(known.names, ", "))
		return
	}
	message := "unknown field"
	if near := nearest(name, known.names); near != "" {
		message += ", did you mean " + near + "?"
	}
	w.report(key(path, quotedKey(name)), message)
}

// nearest returns the known name that name is most likely a misspelling of, or "".
func nearest(name string, known []string) string {
	if len(name) > 64 {
		return ""
	}
	best, bestDistance := "", len(name)/3+1
	for _, candidate := range known {
		if d := distance(strings.ToLower(name), candidate); d < bestDistance {
			best, bestDistance = candidate, d
		}
	}
	return best
}

// distance is the number of letters to insert, delete, replace or swap with their neighbour that make b out of a
// (Damerau-Levenshtein, restricted).
func distance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}

func isTLSContainer(t reflect.Type) bool { return t == reflect.TypeFor[model.TLSContainer]() }

// tlsContainer mirrors model.TLSContainer, which has no json tags so that nothing encodes its key by accident.
type tlsContainer struct {
	ID            string   `json:"id"`
	PrimaryCN     string   `json:"primary_cn"`
	Certificate   string   `json:"certificate"`
	PrivateKey    string   `json:"private_key"`
	Passphrase    string   `json:"passphrase"`
	Intermediates []string `json:"intermediates"`
}

func (w *walker) tlsContainer(token json.Token, target reflect.Value, path string) {
	var mirror tlsContainer
	w.secret++
	w.value(token, reflect.ValueOf(&mirror).Elem(), path)
	w.secret--
	target.Set(reflect.ValueOf(model.TLSContainer{
		ID: mirror.ID, PrimaryCN: mirror.PrimaryCN, Certificate: mirror.Certificate, PrivateKey: mirror.PrivateKey,
		Passphrase: mirror.Passphrase, Intermediates: mirror.Intermediates,
	}))
}
