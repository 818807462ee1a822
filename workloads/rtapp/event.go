package rtapp

import (
	"slices"
	"strings"

	"github.com/tailscale/hujson"
)

// eventByKey tells which event a key is: rt-app compares prefixes.
func eventByKey(key string) (EventKind, bool) {
	for i, n := range eventNames {
		if strings.HasPrefix(key, n) {
			return EventKind(i), true
		}
	}
	return 0, false
}

// event reads one event. nil after an error.
func (p *parser) event(kind EventKind, task string, m *member) *Event {
	e := &Event{Kind: kind, Key: m.key, Pos: p.lines.pos(m.off), ValPos: p.lines.pos(m.val.StartOffset)}
	ok := true
	switch kind {
	case Run, Runtime, Sleep:
		if e.US, ok = p.int32(m.val, m.key, "us"); ok && e.US < 0 {
			p.errorf(m.val.StartOffset, "%s: found %d, expected 0 or more (us)", m.key, e.US)
			ok = false
		}
	case Mem, IORun:
		e.US, ok = p.int32(m.val, m.key, "bytes")
	case Lock, Unlock, Signal, Broad, Barrier, Resume, Fork, SemPost, SemWait:
		if ok = m.kind() == '"'; ok {
			e.Ref = m.val.Value.(hujson.Literal).String()
		} else {
			p.errorf(m.val.StartOffset, "%s: found %s, expected a string, %s", m.key, describe(m.val), refMeaning(kind))
		}
	case Suspend:
		e.Ref = task // whatever the value says
		if m.kind() == '"' {
			if s := m.val.Value.(hujson.Literal).String(); s != "" && s != task {
				p.warnf(m.val.StartOffset, "%s: a task suspends itself (%q); the value %q is ignored", m.key, task, clip(s))
			}
		}
	case Wait, Sync:
		e.Ref, e.Mutex = "unknown", "unknown"
		if o := p.maybeObject(m, `{"ref": condition, "mutex": mutex}`); o != nil {
			p.onlyKeys(o, "ref", "mutex")
			e.Ref, _ = p.stringKey(o, "ref", "unknown")
			e.Mutex, _ = p.stringKey(o, "mutex", "unknown")
		}
	case Timer:
		ok = p.timer(e, m)
	case MemRun:
		ok = p.memrun(m)
	case Yield:
	}
	if !ok {
		return nil
	}
	return e
}

func refMeaning(kind EventKind) string {
	switch kind {
	case Lock, Unlock:
		return "the name of a mutex"
	case Signal, Broad:
		return "the name of a condition"
	case Barrier:
		return "the name of a barrier"
	case Resume, Fork:
		return "the name of a task"
	default:
		return "the name of a semaphore"
	}
}

// maybeObject reads the value of an event that should be an object; rt-app takes anything else for an empty one.
func (p *parser) maybeObject(m *member, want string) *object {
	if m.kind() != '{' {
		p.warnf(m.val.StartOffset, "%s: found %s, expected %s; read as an empty object", m.key, describe(m.val), want)
		return nil
	}
	o, _ := p.object(m.val, m.key)
	return o
}

// onlyKeys warns of keys in the value of an event that mean nothing.
func (p *parser) onlyKeys(o *object, known ...string) {
	for i := range o.members {
		if m := &o.members[i]; !slices.Contains(known, m.key) && !m.renamed && !quiet(m.key) {
			p.warnf(m.off, "unknown key %q is ignored%s", m.key, didYouMean(m.key, known))
		}
	}
}

func (p *parser) timer(e *Event, m *member) bool {
	e.Ref = "unknown"
	before := len(p.errs)
	if o := p.maybeObject(m, `{"ref": name, "period": us}`); o != nil {
		p.onlyKeys(o, "ref", "period", "mode")
		e.Ref, _ = p.stringKey(o, "ref", "unknown")
		e.US, _ = p.natural(o, "period", "us", 0)
		mode, at := p.stringKey(o, "mode", "relative")
		e.Absolute = strings.HasPrefix(mode, "absolute")
		if !e.Absolute && mode != "relative" && at != nil && at.kind() == '"' {
			p.warnf(at.val.StartOffset, "mode: found %q, expected \"relative\" or \"absolute\"; read as relative", clip(mode))
		}
	}
	e.Unique = strings.HasPrefix(e.Ref, "unique")
	if e.US == 0 && len(p.errs) == before {
		p.warnf(m.off, "%s: the period is 0: it never waits", m.key)
	}
	return len(p.errs) == before
}

var memTypes = []string{"read", "write", "chase"}

func (p *parser) memrun(m *member) bool {
	before := len(p.errs)
	o, ok := p.object(m.val, m.key)
	if !ok {
		return false
	}
	for _, key := range []string{"type", "size", "count"} {
		if o.find(key) == nil {
			p.errorf(o.off, "%s: found no key %q, which is required", m.key, key)
		}
	}
	if typ, at := p.stringKey(o, "type", "read"); !slices.Contains(memTypes, typ) {
		p.errorf(at.val.StartOffset, "%s: found the type %q, expected one of %s", m.key, clip(typ),
			strings.Join(memTypes, ", "))
	}
	p.intKey(o, "size", "bytes", 0)
	p.intKey(o, "count", "", 0)
	p.intKey(o, "stride", "bytes", 64)
	p.stringKey(o, "pattern", "random")
	p.stringKey(o, "ref", "")
	return len(p.errs) == before
}
