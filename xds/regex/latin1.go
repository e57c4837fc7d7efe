package regex

import (
	"fmt"
	"strings"
)

// Envoy has RE2 read expressions and values as Latin-1: a character is a byte, as it is for HAProxy's PCRE. So they are
// taken apart and compared as bytes here, too, each of them as the character with its number.

// maxByte is the greatest character.
const maxByte = 0xff

// latin1 returns a text whose characters are the bytes of another one.
func latin1(text string) string {
	var bytes strings.Builder
	for i := range len(text) {
		bytes.WriteRune(rune(text[i]))
	}
	return bytes.String()
}

// escaped writes the characters of an expression that are not ASCII as escapes.
func escaped(expression string) string {
	var ascii strings.Builder
	for _, char := range expression {
		if char < 0x80 {
			ascii.WriteRune(char)
		} else {
			fmt.Fprintf(&ascii, `\x{%02x}`, char)
		}
	}
	return ascii.String()
}
