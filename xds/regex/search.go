package regex

import (
	"errors"
	"regexp/syntax"
	"slices"
	"strings"
)

// These groups stand in the tree for `$` and for what never matches. All groups of the user's are taken out of the tree,
// so that there are no others.
const (
	end   = "end"
	never = "never"
)

// Search matches values with an element in which the pattern is found; with fold, whatever the case of letters.
//
//	before ─┐          the pattern with ^ as nothing where an element can start
//	inside ─┴ pattern ─ anything
//
// In the pattern nothing matches what ends an element, and $ takes all that follows the element.
//
// It differs from HAProxy in two things: a pattern that matches blanks finds those around an element, too, which HAProxy
// trims off ([^a] in "a, a"), and one that matches quotes does not match across a comma within them.
func (f Field) Search(pattern string, fold bool) (string, error) {
	tree, err := parse(pattern, fold)
	if err != nil {
		return "", err
	}
	alwaysBegins := leads(tree, syntax.OpBeginText, syntax.OpBeginLine)
	within := &rewriter{ends: f.ends, dn: f.dn}
	searched := f.inside + f.text(within.node(tree, false)) + f.remainder()
	if within.err != nil {
		return "", within.err
	}
	if !within.begins {
		return searched, nil
	}
	// parse again: the rewriter changes the tree.
	if tree, err = parse(pattern, fold); err != nil {
		return "", err
	}
	start := &rewriter{ends: f.ends, dn: f.dn}
	atStart := f.before + f.text(start.node(tree, true)) + f.remainder()
	if start.err != nil {
		return "", start.err
	}
	if alwaysBegins {
		return atStart, nil
	}
	return `(?:` + atStart + `|` + searched + `)`, nil
}

func (f Field) text(tree *syntax.Regexp) string {
	written := strings.NewReplacer(`(?P<`+end+`>)`, `(?:`+f.after+`\z)`, `(?P<`+never+`>)`, Never).Replace(tree.String())
	return `(?:` + escaped(written) + `)`
}

type rewriter struct {
	ends string
	dn   bool
	// begins is set once there is a ^.
	begins bool
	err    error
}

func (r *rewriter) fail(text string) {
	if r.err == nil {
		r.err = errors.New(text)
	}
}

// node rewrites a part of the tree. start says that nothing can have been matched before it.
func (r *rewriter) node(re *syntax.Regexp, start bool) *syntax.Regexp {
	switch re.Op {
	case syntax.OpBeginText, syntax.OpBeginLine:
		r.begins = true
		if start {
			return &syntax.Regexp{Op: syntax.OpEmptyMatch}
		}
		return group(never)
	case syntax.OpEndText, syntax.OpEndLine:
		return group(end)
	case syntax.OpLiteral:
		if strings.ContainsAny(string(re.Rune), r.ends) || slices.Max(re.Rune) > maxByte {
			return group(never)
		}
		if r.dn {
			return dnLiteral(re)
		}
	case syntax.OpWordBoundary, syntax.OpNoWordBoundary:
		if r.dn {
			r.fail(`\b and \B are not supported in names of certificates; write the characters that may stand there in [ ]`)
		}
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL, syntax.OpCharClass:
		return r.class(re)
	case syntax.OpNoMatch:
		return group(never)
	case syntax.OpCapture:
		return r.node(re.Sub[0], start)
	case syntax.OpStar, syntax.OpPlus, syntax.OpRepeat:
		if start && has(re, syntax.OpBeginText, syntax.OpBeginLine) {
			r.fail("a ^ inside of a repetition is not supported; put it before the repetition")
		}
		re.Sub[0] = r.node(re.Sub[0], false)
	case syntax.OpQuest:
		re.Sub[0] = r.node(re.Sub[0], start)
	case syntax.OpAlternate:
		for i, sub := range re.Sub {
			re.Sub[i] = r.node(sub, start)
		}
	case syntax.OpConcat:
		r.concat(re, start)
	}
	return re
}

func (r *rewriter) concat(re *syntax.Regexp, start bool) {
	maybe, ended := false, false
	for i, sub := range re.Sub {
		if maybe && has(sub, syntax.OpBeginText, syntax.OpBeginLine) {
			r.fail("a ^ after something optional is not supported; put it first")
		}
		if ended && has(sub, syntax.OpWordBoundary, syntax.OpNoWordBoundary) {
			r.fail(`a \b or \B after $ is not supported; put it before the $`)
		}
		shortest, longest := width(sub)
		ended = ended || has(sub, syntax.OpEndText, syntax.OpEndLine)
		re.Sub[i] = r.node(sub, start)
		switch {
		case shortest > 0:
			start, maybe = false, false
		case longest && start:
			start, maybe = false, true
		}
	}
}

func group(name string) *syntax.Regexp {
	return &syntax.Regexp{Op: syntax.OpCapture, Name: name, Cap: 1, Sub: []*syntax.Regexp{{Op: syntax.OpEmptyMatch}}}
}

// class takes what ends an element out of a set of characters, and what is no byte.
func (r *rewriter) class(re *syntax.Regexp) *syntax.Regexp {
	var ranges []rune
	switch re.Op {
	case syntax.OpAnyChar:
		ranges = []rune{0, maxByte}
	case syntax.OpAnyCharNotNL:
		ranges = []rune{0, '\n' - 1, '\n' + 1, maxByte}
	default:
		for i := 0; i < len(re.Rune) && re.Rune[i] <= maxByte; i += 2 {
			ranges = append(ranges, re.Rune[i], min(re.Rune[i+1], maxByte))
		}
	}
	for _, out := range r.ends {
		var kept []rune
		for i := 0; i < len(ranges); i += 2 {
			low, high := ranges[i], ranges[i+1]
			if out < low || out > high {
				kept = append(kept, low, high)
				continue
			}
			if low < out {
				kept = append(kept, low, out-1)
			}
			if out < high {
				kept = append(kept, out+1, high)
			}
		}
		ranges = kept
	}
	if len(ranges) == 0 {
		return group(never)
	}
	if r.dn {
		return dnClass(ranges)
	}
	return &syntax.Regexp{Op: syntax.OpCharClass, Rune: ranges, Flags: re.Flags &^ syntax.FoldCase}
}

// width returns the least number of characters that a part matches, and whether it can match any.
func width(re *syntax.Regexp) (shortest int, some bool) {
	switch re.Op {
	case syntax.OpLiteral, syntax.OpCharClass, syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return 1, true
	case syntax.OpCapture, syntax.OpPlus:
		return width(re.Sub[0])
	case syntax.OpStar, syntax.OpQuest:
		_, some = width(re.Sub[0])
		return 0, some
	case syntax.OpRepeat:
		shortest, some = width(re.Sub[0])
		return min(shortest, re.Min), some && re.Max != 0
	case syntax.OpConcat:
		for _, sub := range re.Sub {
			least, wide := width(sub)
			shortest, some = shortest+least, some || wide
		}
		return shortest, some
	case syntax.OpAlternate:
		shortest = 1
		for _, sub := range re.Sub {
			least, wide := width(sub)
			shortest, some = min(shortest, least), some || wide
		}
		return shortest, some
	}
	return 0, false
}

// leads reports whether a part starts with one of the ops in any case.
func leads(re *syntax.Regexp, ops ...syntax.Op) bool {
	switch re.Op {
	case syntax.OpCapture, syntax.OpConcat:
		return leads(re.Sub[0], ops...)
	case syntax.OpAlternate:
		return !slices.ContainsFunc(re.Sub, func(sub *syntax.Regexp) bool { return !leads(sub, ops...) })
	}
	return slices.Contains(ops, re.Op)
}

func has(re *syntax.Regexp, ops ...syntax.Op) bool {
	return slices.Contains(ops, re.Op) ||
		slices.ContainsFunc(re.Sub, func(sub *syntax.Regexp) bool { return has(sub, ops...) })
}

// MatchesEmpty reports whether the pattern is found in a value that is empty.
func MatchesEmpty(pattern string) bool {
	tree, err := syntax.Parse(latin1(pattern), syntax.Perl)
	return err == nil && empty(tree)
}

func empty(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpLiteral, syntax.OpCharClass, syntax.OpAnyChar, syntax.OpAnyCharNotNL, syntax.OpNoMatch, syntax.OpWordBoundary:
		return false
	case syntax.OpCapture, syntax.OpPlus:
		return empty(re.Sub[0])
	case syntax.OpRepeat:
		return re.Min == 0 || empty(re.Sub[0])
	case syntax.OpConcat:
		for _, sub := range re.Sub {
			if !empty(sub) {
				return false
			}
		}
	case syntax.OpAlternate:
		return slices.ContainsFunc(re.Sub, empty)
	}
	return true
}
