package health

import "strings"

// cutLast splits the name of a statistic before its last part.
func cutLast(name string) (before, last string) {
	dot := strings.LastIndexByte(name, '.')
	return name[:max(0, dot)], name[dot+1:]
}
