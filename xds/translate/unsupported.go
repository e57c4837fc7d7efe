package translate

import "fmt"

// unsupported is the start of every sentence about what the driver does not do. The value is shortened: it is a user's.
func unsupported(what, value string) string {
	if value == "" {
		return what + " is not supported"
	}
	return fmt.Sprintf("%s %.32q is not supported", what, value)
}
