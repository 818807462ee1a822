package rtapp

import (
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"

	"github.com/tailscale/hujson"
)

// parser holds what is shared while a file is read. Errors are collected, not returned: every method goes on with a
// harmless value, so that one reading finds all of them.
type parser struct {
	file  string
	opt   Options
	lines *lines
	errs  Errors
	warns []Warning
}

func (p *parser) errorf(off int, format string, args ...any) {
	if len(p.errs) < maxErrors {
		p.errs = append(p.errs, &Error{p.file, p.lines.pos(off), fmt.Sprintf(format, args...)})
	}
}

// maxWarnings bounds the list of warnings; a file with more has one cause for many of them.
const maxWarnings = 1000

func (p *parser) warnf(off int, format string, args ...any) {
	if len(p.warns) < maxWarnings {
		p.warns = append(p.warns, Warning{p.file, p.lines.pos(off), fmt.Sprintf(format, args...)})
	}
}

// member is one key with its value.
type member struct {
	key string
	// off is the offset of the key.
	off int
	val *hujson.Value
	// renamed tells that the key stood there before and got a number, as workgen does.
	renamed bool
}

func (m *member) kind() hujson.Kind { return m.val.Value.Kind() }

// object is the members of an object in the order of the text, without double keys.
type object struct {
	off, end int
	members  []member
}

// find returns the member with that key, nil if there is none or its value is null, which json-c cannot tell apart.
func (o *object) find(key string) *member {
	for i := range o.members {
		if m := &o.members[i]; m.key == key {
			if isNull(m.val) {
				return nil
			}
			return m
		}
	}
	return nil
}

func isNull(v *hujson.Value) bool { return v.Value.Kind() == 'n' }

// object reads v as an object. what names it in the error otherwise.
func (p *parser) object(v *hujson.Value, what string) (*object, bool) {
	obj, ok := v.Value.(*hujson.Object)
	if !ok {
		p.errorf(v.StartOffset, "%s: found %s, expected an object", what, describe(v))
		return nil, false
	}
	o := &object{off: v.StartOffset, end: v.EndOffset, members: make([]member, 0, len(obj.Members))}
	index := make(map[string]int, len(obj.Members))
	next := 1 // the number that the next double key tries first
	for i := range obj.Members {
		name := &obj.Members[i].Name
		m := member{key: name.Value.(hujson.Literal).String(), off: name.StartOffset, val: &obj.Members[i].Value}
		if at, double := index[m.key]; double {
			if p.opt.Duplicates == DupLast {
				p.warnf(m.off, "duplicate key %q: this value replaces the one at line %d",
					m.key, p.lines.pos(o.members[at].off).Line)
				m.off = o.members[at].off
				o.members[at] = m
				continue
			}
			was := m.key
			for double {
				m.key = was + strconv.Itoa(next)
				if _, double = index[m.key]; double {
					next++
				}
			}
			m.renamed = true
			p.warnf(m.off, "duplicate key %q: read as %q, as workgen does; rt-app itself takes the last value only "+
				"(--rtapp-dup=last)", was, m.key)
		}
		index[m.key] = len(o.members)
		o.members = append(o.members, m)
	}
	return o, true
}

// describe says what v is, for "found ...".
func describe(v *hujson.Value) string {
	switch k := v.Value.Kind(); k {
	case 'n':
		return "null"
	case 't', 'f':
		return "the boolean " + string(v.Value.(hujson.Literal))
	case '"':
		return "the string " + strconv.Quote(clip(v.Value.(hujson.Literal).String()))
	case '0':
		return "the number " + clip(string(v.Value.(hujson.Literal)))
	case '{':
		return "an object"
	case '[':
		return "an array"
	default:
		return fmt.Sprintf("%q", rune(k))
	}
}

func clip(s string) string {
	if len(s) > 40 {
		return strings.ToValidUTF8(s[:40], "") + "..."
	}
	return s
}

// int32 reads v as json-c's json_object_get_int does: an integer without fraction or exponent, clamped to 32 bits.
func (p *parser) int32(v *hujson.Value, what, unit string) (int, bool) {
	lit, ok := v.Value.(hujson.Literal)
	expected := "an integer"
	if unit != "" {
		expected += " (" + unit + ")"
	}
	if !ok || v.Value.Kind() != '0' || strings.ContainsAny(string(lit), ".eE") {
		p.errorf(v.StartOffset, "%s: found %s, expected %s", what, describe(v), expected)
		return 0, false
	}
	n, err := strconv.ParseInt(string(lit), 10, 64)
	switch {
	case n > math.MaxInt32: // ParseInt saturates
		n = math.MaxInt32
	case n < math.MinInt32:
		n = math.MinInt32
	default:
		return int(n), err == nil
	}
	p.warnf(v.StartOffset, "%s: %s is beyond 32 bits, read as %d", what, clip(string(lit)), n)
	return int(n), true
}

// intKey reads an optional integer member.
func (p *parser) intKey(o *object, key, unit string, def int) (n int, m *member) {
	if m = o.find(key); m == nil {
		return def, nil
	}
	n, ok := p.int32(m.val, key, unit)
	if !ok {
		return def, m
	}
	return n, m
}

// natural is intKey for what cannot be negative.
func (p *parser) natural(o *object, key, unit string, def int) (int, *member) {
	n, m := p.intKey(o, key, unit, def)
	if m != nil && n < 0 {
		p.errorf(m.val.StartOffset, "%s: found %d, expected 0 or more (%s)", key, n, unit)
		return def, m
	}
	return n, m
}

// stringKey reads an optional string member.
func (p *parser) stringKey(o *object, key, def string) (string, *member) {
	m := o.find(key)
	if m == nil {
		return def, nil
	}
	if m.kind() != '"' {
		p.errorf(m.val.StartOffset, "%s: found %s, expected a string", key, describe(m.val))
		return def, m
	}
	return m.val.Value.(hujson.Literal).String(), m
}

// boolKey checks an optional boolean member; no boolean of the grammar matters here.
func (p *parser) boolKey(o *object, key string) {
	if m := o.find(key); m != nil && m.kind() != 't' && m.kind() != 'f' {
		p.errorf(m.val.StartOffset, "%s: found %s, expected true or false", key, describe(m.val))
	}
}

// read parses the text, leniently as json-c does.
func (p *parser) read(data []byte) (v hujson.Value, ok bool) {
	relaxed, tail, serr := relax(data)
	if serr != nil {
		p.errorf(serr.off, "%s", serr.msg)
		return v, false
	}
	if tail >= 0 {
		p.warnf(tail, "text after the first object is ignored")
	}
	v, err := hujson.Parse(relaxed)
	if err == nil {
		return v, true
	}
	off, msg := p.syntax(relaxed, err)
	p.errorf(off, "%s", msg)
	return v, false
}

var hujsonPos = regexp.MustCompile(`^hujson: line (\d+), column (\d+): `)

// syntax takes the position out of hujson's error, which has it only as text (line and column in bytes), and words the
// error as ours are.
func (p *parser) syntax(data []byte, err error) (off int, msg string) {
	msg = err.Error()
	if m := hujsonPos.FindStringSubmatch(msg); m != nil {
		line, _ := strconv.Atoi(m[1])
		col, _ := strconv.Atoi(m[2])
		if line >= 1 && line <= len(p.lines.starts) {
			off = p.lines.starts[line-1] + col - 1
		}
		msg = msg[len(m[0]):]
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		if strings.TrimSpace(string(data)) == "" {
			return 0, "found nothing, expected an object with \"tasks\""
		}
		return len(data), "found the end of the text, expected the rest of a value"
	}
	if off < len(data) && data[off] == '#' {
		return off, "found '#', expected JSON; comments start with // or /*"
	}
	return off, "syntax: " + strings.TrimPrefix(msg, "parsing value: ")
}
