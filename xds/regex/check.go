package regex

import (
	"errors"
	"fmt"
	"regexp/syntax"
	"strings"
	"unicode/utf8"
)

// maxSize bounds the program of an expression, in instructions of RE2, so that one request costs no more than some
// 10 µs of it and RE2 does not run out of the memory that it allows itself (8 MiB, about 130,000 instructions).
const maxSize = 5000

// Check reports why an expression of a user cannot be used. The error is a clause for the user: what is wrong and what
// to do instead, without full stop.
func Check(pattern string) error {
	_, err := parse(pattern, false)
	if err != nil {
		return err
	}
	// The strictest field.
	_, err = Cookie("k").Search(pattern, false)
	return err
}

func parse(pattern string, fold bool) (*syntax.Regexp, error) {
	flags := syntax.Perl
	if fold {
		flags |= syntax.FoldCase
	}
	if !utf8.ValidString(pattern) {
		return nil, errors.New("it is not UTF-8")
	}
	tree, err := syntax.Parse(latin1(pattern), flags)
	if err != nil {
		return nil, explain(err, pattern)
	}
	return tree, bounded(tree, maxSize)
}

func bounded(tree *syntax.Regexp, limit int) error {
	if size := size(tree); size > limit {
		return fmt.Errorf("it is too large: RE2 would make about %d instructions of it, and %d are allowed; use smaller "+
			"repetitions, or several rules", size, limit)
	}
	return nil
}

// size estimates the instructions that RE2 needs. The parser has seen to it that the number stays small enough to count
// and the tree flat enough to walk.
func size(re *syntax.Regexp) int {
	total := 1
	for _, sub := range re.Sub {
		total += size(sub)
	}
	switch re.Op {
	case syntax.OpLiteral:
		total += len(re.Rune)
	case syntax.OpCharClass:
		for i := 0; i < len(re.Rune) && re.Rune[i] <= maxByte; i += 2 {
			total++
		}
	case syntax.OpRepeat:
		total *= max(1, re.Min, re.Max)
	}
	return total
}

// explain names the construct that RE2 does not have, and what to use instead.
func explain(err error, pattern string) error {
	var parsed *syntax.Error
	if !errors.As(err, &parsed) {
		return err
	}
	part := clip(parsed.Expr)
	for _, construct := range constructs() {
		// The parser reports (?P of (?P=name).
		cut := strings.HasPrefix(construct.start, parsed.Expr) && strings.Contains(pattern, construct.start)
		if cut || strings.HasPrefix(parsed.Expr, construct.start) {
			return fmt.Errorf("%s (%q) needs backtracking or PCRE, which RE2, Envoy's engine, does not have; %s",
				construct.name, construct.start, construct.instead)
		}
	}
	switch parsed.Code {
	case syntax.ErrInvalidRepeatOp:
		return fmt.Errorf("%q repeats a repetition, which is possessive in PCRE and not in RE2, Envoy's engine; leave the last "+
			"sign out, it makes no difference to whether a value matches in most cases", part)
	case syntax.ErrInvalidRepeatSize:
		return fmt.Errorf("%q repeats too often: RE2, Envoy's engine, allows 1000 in all; use + or * instead", part)
	case syntax.ErrLarge, syntax.ErrNestingDepth:
		return errors.New("it is too large for RE2, Envoy's engine; use several rules")
	case syntax.ErrTrailingBackslash:
		return errors.New("it ends with a backslash; write two for a literal one")
	case syntax.ErrInvalidEscape:
		return fmt.Errorf("RE2, Envoy's engine, does not know the escape %q; write the characters that it stands for in [ ]", part)
	}
	return fmt.Errorf("RE2, Envoy's engine, does not take it: %s at %q", parsed.Code, part)
}

type construct struct{ start, name, instead string }

func constructs() []construct {
	const invert = "use a second rule, inverted where it must not match: all rules of a policy must hold"
	all := []construct{
		{"(?=", "a lookahead", invert},
		{"(?!", "a negative lookahead", invert},
		{"(?<=", "a lookbehind", invert},
		{"(?<!", "a negative lookbehind", invert},
		{"(?>", "an atomic group", "use (?:…) instead"},
		{"(?#", "a comment", "leave it out"},
		{"(?(", "a condition", "use one policy for each case"},
		{"(?P=", "a reference to a group", "use one policy for each value"},
		{"(?P>", "a call of a group", "write the group again"},
		{"(?R", "a recursion", "write out the depths that occur"},
		{"(?&", "a call of a group", "write the group again"},
		{"(?|", "a branch reset", "use (?:…) instead"},
		{`\Z`, "the end before a newline", "use $ instead"},
		{`\G`, "the end of the last match", "use ^ instead"},
	}
	for digit := '1'; digit <= '9'; digit++ {
		all = append(all, construct{`\` + string(digit), "a reference to a group", "use one policy for each value"})
	}
	return all
}

func clip(text string) string {
	const limit = 32
	if runes := []rune(text); len(runes) > limit {
		return string(runes[:limit]) + "…"
	}
	return text
}
