package config

import (
	"encoding"
	"errors"
	"fmt"
	"os"
	"reflect"
	"sort"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"
)

// envPrefix starts the name of every environment variable that overrides a key.
const envPrefix = "OCTAVIA_ENVOY_"

// Key is one leaf of the configuration.
type Key struct {
	// Path is the key's name in full: store.dsn.
	Path string
	// Env is the environment variable that overrides it.
	Env string
	// Help says what it is for.
	Help string
	// Default is its default, as one would write it.
	Default string

	index []int
}

// Keys lists every key, by name.
func Keys() []Key {
	defaults := Default()
	var keys []Key
	var walk func(value reflect.Value, path string, index []int)
	walk = func(value reflect.Value, path string, index []int) {
		for i := range value.NumField() {
			field := value.Type().Field(i)
			name := strings.TrimPrefix(path+"."+field.Tag.Get("json"), ".")
			at := append(append([]int{}, index...), i)
			if help, leaf := field.Tag.Lookup("help"); leaf {
				keys = append(keys, Key{
					Path: name, Help: help, Default: text(value.Field(i)), index: at,
					Env: envPrefix + strings.ToUpper(strings.ReplaceAll(name, ".", "_")),
				})
				continue
			}
			walk(value.Field(i), name, at)
		}
	}
	walk(reflect.ValueOf(defaults), "", nil)
	sort.Slice(keys, func(i, j int) bool { return keys[i].Path < keys[j].Path })
	return keys
}

// Load reads as Read does and validates the result. The error holds every problem that either found.
func Load(path string, lookup func(string) (string, bool), flags map[string]string) (*Config, error) {
	config, err := Read(path, lookup, flags)
	if config == nil {
		return nil, err
	}
	if err := errors.Join(err, config.Validate()); err != nil {
		return nil, err
	}
	return config, nil
}

// Read reads the file at path ("" for none) over the defaults, then the environment through lookup (os.LookupEnv), then
// flags by key path. It is for commands that need a part of the configuration only. When single values do not decode, the
// rest is returned beside the error.
func Read(path string, lookup func(string) (string, bool), flags map[string]string) (*Config, error) {
	config := Default()
	// The default is for who has keys nowhere else.
	keyFile := config.Store.KeyFile
	config.Store.KeyFile = ""
	if path != "" {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("read the configuration: %w", err)
		}
		if err := yaml.UnmarshalStrict(data, &config); err != nil {
			return nil, fmt.Errorf("configuration %s: %w", path, err)
		}
	}
	var problems []error
	root := reflect.ValueOf(&config).Elem()
	for _, key := range Keys() {
		if value, ok := lookup(key.Env); ok {
			if err := set(root.FieldByIndex(key.index), value); err != nil {
				problems = append(problems, fmt.Errorf("%s: %w", key.Env, err))
			}
		}
		if value, ok := flags[key.Path]; ok {
			if err := set(root.FieldByIndex(key.index), value); err != nil {
				problems = append(problems, fmt.Errorf("--%s: %w", key.Path, err))
			}
		}
	}
	if config.Store.KeyFile == "" && config.Store.KeyRef == "" {
		config.Store.KeyFile = keyFile
	}
	return &config, errors.Join(problems...)
}

// set gives a leaf the value that text says.
func set(leaf reflect.Value, value string) error {
	if target, ok := reflect.TypeAssert[encoding.TextUnmarshaler](leaf.Addr()); ok {
		return target.UnmarshalText([]byte(value))
	}
	switch leaf.Kind() {
	case reflect.String:
		leaf.SetString(value)
	case reflect.Int:
		number, err := strconv.Atoi(value)
		if err != nil {
			return fmt.Errorf("%q is no whole number", value)
		}
		leaf.SetInt(int64(number))
	case reflect.Slice:
		leaf.Set(reflect.ValueOf(strings.FieldsFunc(value, func(r rune) bool { return r == ',' })))
	default:
		return errors.New("cannot be set from text")
	}
	return nil
}

func text(leaf reflect.Value) string {
	switch value := leaf.Interface().(type) {
	case []string:
		return strings.Join(value, ",")
	default:
		return fmt.Sprint(value)
	}
}
