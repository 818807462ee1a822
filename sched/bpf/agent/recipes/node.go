package recipes

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/tailscale/hujson"

	"github.com/schedsim/schedsim/vm/elf"
)

// node is a value of the file with its place.
type node struct {
	file string
	line int
	// One of these: text, num (as written), yes, list, members. null is none of them.
	kind    byte // 's', 'n', 'b', 'l', 'o' or 0
	text    string
	yes     bool
	list    []node
	members []member
}

type member struct {
	key string
	node
}

// errorf is an error at the node's place.
func (n *node) errorf(format string, args ...any) error {
	return &Error{n.file, n.line, fmt.Errorf(format, args...)}
}

// place is where the node is, for errors.
func (n *node) place() string { return fmt.Sprintf("%s:%d", n.file, n.line) }

// Error is an error in a recipe.
type Error struct {
	File string
	Line int
	Err  error
}

// Error says where it is.
func (e *Error) Error() string { return fmt.Sprintf("%s:%d: %v", e.File, e.Line, e.Err) }

// Unwrap is the error itself.
func (e *Error) Unwrap() error { return e.Err }

// at puts an error at the node's place, unless it has one.
func (n *node) at(err error) error {
	var e *Error
	if err == nil || errors.As(err, &e) {
		return err
	}
	return n.errorf("%w", err)
}

var hujsonPos = regexp.MustCompile(`^hujson: line (\d+), column \d+: `)

// parse reads a file of JSON with comments.
func parse(file string, data []byte) (node, error) {
	v, err := hujson.Parse(data)
	if err != nil {
		line := 1
		text := err.Error()
		if m := hujsonPos.FindStringSubmatch(text); m != nil {
			line, _ = strconv.Atoi(m[1])
			text = text[len(m[0]):]
		}
		return node{}, &Error{file, line, errors.New(text)}
	}
	return convert(file, data, &v)
}

func convert(file string, data []byte, v *hujson.Value) (node, error) {
	n := node{file: file, line: 1 + bytes.Count(data[:v.StartOffset], []byte("\n"))}
	switch x := v.Value.(type) {
	case hujson.Literal:
		switch x.Kind() {
		case '"':
			n.kind, n.text = 's', x.String()
		case 't', 'f':
			n.kind, n.yes = 'b', x.Bool()
		case '0':
			n.kind, n.text = 'n', string(x)
		}
	case *hujson.Array:
		n.kind = 'l'
		for i := range x.Elements {
			e, err := convert(file, data, &x.Elements[i])
			if err != nil {
				return n, err
			}
			n.list = append(n.list, e)
		}
	case *hujson.Object:
		n.kind = 'o'
		for i := range x.Members {
			key := x.Members[i].Name.Value.(hujson.Literal).String()
			e, err := convert(file, data, &x.Members[i].Value)
			if err != nil {
				return n, err
			}
			if n.find(key) != nil {
				return n, e.errorf("key %q is there twice", key)
			}
			n.members = append(n.members, member{key, e})
		}
	}
	return n, nil
}

func (n *node) find(key string) *node {
	for i := range n.members {
		if n.members[i].key == key {
			return &n.members[i].node
		}
	}
	return nil
}

// object checks that n has members with these keys only.
func (n *node) object(what string, keys ...string) error {
	if n.kind != 'o' {
		return n.errorf("%s: expected an object", what)
	}
	for _, m := range n.members {
		known := len(keys) == 0
		for _, k := range keys {
			known = known || k == m.key
		}
		if !known {
			hint := elf.DidYouMean(m.key, keys)
			if hint == "" {
				hint = "; there is " + strings.Join(keys, ", ")
			}
			return m.errorf("%s: unknown key %q%s", what, m.key, hint)
		}
	}
	return nil
}

// str is a text under a key, "" if there is none.
func (n *node) str(key string) (string, error) {
	v := n.find(key)
	switch {
	case v == nil:
		return "", nil
	case v.kind != 's':
		return "", v.errorf("%s: expected a text", key)
	}
	return v.text, nil
}

// strs is a list of texts under a key.
func (n *node) strs(key string) ([]string, error) {
	v := n.find(key)
	if v == nil {
		return nil, nil
	}
	if v.kind != 'l' {
		return nil, v.errorf("%s: expected a list of texts", key)
	}
	out := make([]string, 0, len(v.list))
	for i := range v.list {
		if v.list[i].kind != 's' {
			return nil, v.list[i].errorf("%s: expected a text", key)
		}
		out = append(out, v.list[i].text)
	}
	return out, nil
}

// number reads a number as it is written: whole ones exactly.
func (n *node) number() (any, error) {
	if i, err := strconv.ParseInt(n.text, 10, 64); err == nil {
		return i, nil
	}
	if u, err := strconv.ParseUint(n.text, 10, 64); err == nil {
		return u, nil
	}
	f, err := strconv.ParseFloat(n.text, 64)
	if err != nil {
		return nil, n.errorf("%s: no number", n.text)
	}
	return f, nil
}

// expr is the expression of a text that begins with "=".
func (n *node) expr() (string, bool) {
	if n.kind != 's' {
		return "", false
	}
	return strings.CutPrefix(n.text, "=")
}
