package rtapp

import (
	"slices"
	"strconv"
	"strings"

	"github.com/tailscale/hujson"
)

// task reads one member of "tasks". nil after an error that leaves nothing to work with.
func (p *parser) task(m *member, defPolicy Policy) *Task {
	o, ok := p.object(m.val, "task "+strconv.Quote(m.key))
	if !ok {
		return nil
	}
	t := &Task{Name: m.key, Pos: p.lines.pos(m.off)}
	t.Instances, _ = p.natural(o, "instance", "a number of tasks", 1)
	t.Delay, _ = p.natural(o, "delay", "us", 0)
	t.CPUs = p.cpus(o)
	p.sched(&t.Sched, o, true)
	if t.Sched.Policy == PolicyNone {
		t.Sched.Policy = defPolicy
		t.Sched.PolicyPos = t.Pos
	}
	p.checkNice(&t.Sched, t.Sched.Policy)
	p.taskgroup(t, o)
	p.membind(o)

	if phases := o.find("phases"); phases != nil {
		p.unknownKeys(o, taskKeys, "task", true)
		t.Loop, _ = p.intKey(o, "loop", "iterations, -1: for ever", -1)
		if t.Loop < 0 {
			t.Loop = -1
		}
		if ext := o.find(extKey); ext != nil {
			p.taskExt(t, nil, ext.val)
		}
		po, ok := p.object(phases.val, "phases of task "+strconv.Quote(m.key))
		if !ok {
			return t
		}
		for i := range po.members {
			if ph := p.phase(t, &po.members[i]); ph != nil {
				t.Phases = append(t.Phases, ph)
			}
		}
		return t
	}

	// Without phases the task is its own only phase; its loop is the phase's, and a task that gives none goes on for
	// ever.
	p.unknownKeys(o, taskKeys, "task", false)
	ph := &Phase{Pos: t.Pos}
	loop, given := p.intKey(o, "loop", "iterations, -1: for ever", 1)
	ph.Loop, t.Loop = loop, 1
	if given == nil {
		t.Loop = -1
	}
	p.events(ph, t.Name, o)
	if ext := o.find(extKey); ext != nil {
		p.taskExt(t, ph, ext.val)
	}
	t.Phases = []*Phase{ph}
	return t
}

func (p *parser) phase(t *Task, m *member) *Phase {
	o, ok := p.object(m.val, "phase "+strconv.Quote(m.key))
	if !ok {
		return nil
	}
	ph := &Phase{Name: m.key, Pos: p.lines.pos(m.off)}
	p.unknownKeys(o, phaseKeys, "phase", false)
	ph.Loop, _ = p.intKey(o, "loop", "iterations, -1: for ever", 1)
	ph.CPUs = p.cpus(o)
	p.sched(&ph.Sched, o, false)
	policy := ph.Sched.Policy
	if policy == PolicyNone {
		policy = t.Sched.Policy
	}
	p.checkNice(&ph.Sched, policy)
	p.taskgroup(nil, o)
	p.membind(o)
	p.events(ph, t.Name, o)
	if ext := o.find(extKey); ext != nil {
		p.phaseExt(ph, ext.val)
	}
	return ph
}

// events reads the events of a phase; there must be one.
func (p *parser) events(ph *Phase, task string, o *object) {
	found := false
	for i := range o.members {
		m := &o.members[i]
		if kind, ok := eventByKey(m.key); ok {
			found = true
			if e := p.event(kind, task, m); e != nil {
				ph.Events = append(ph.Events, e)
			}
		}
	}
	if !found && !p.refused(o) {
		what := "task " + strconv.Quote(task)
		if ph.Name != "" {
			what = "phase " + strconv.Quote(ph.Name) + " of " + what
		}
		p.errorf(o.off, "%s: found no event, expected at least one of %s", what, strings.Join(eventNames[:], ", "))
	}
}

// refused tells whether a key of o was already refused: an event that is mistyped is not also missing.
func (p *parser) refused(o *object) bool {
	for i := range o.members {
		pos := p.lines.pos(o.members[i].off)
		if slices.ContainsFunc(p.errs, func(e *Error) bool { return e.Pos == pos }) {
			return true
		}
	}
	return false
}

// unknownKeys deals with the keys of a task or phase that mean nothing.
func (p *parser) unknownKeys(o *object, known []string, what string, hasPhases bool) {
	names := slices.Concat(known, eventNames[:])
	for i := range o.members {
		m := &o.members[i]
		kind, isEvent := eventByKey(m.key)
		switch {
		case isEvent && hasPhases:
			// "runtime" beside phases is the legacy form of dl-runtime.
			if m.key != "runtime" {
				p.warnf(m.off, "event %q beside \"phases\" is ignored", m.key)
			}
		case isEvent:
			if rest := m.key[len(kind.String()):]; strings.IndexFunc(rest, notSuffix) == 0 {
				p.warnf(m.off, "key %q is read as the event %q: every key that starts with an event's name is that event",
					m.key, kind)
			}
		case slices.Contains(known, m.key) || m.renamed || quiet(m.key):
		default:
			near := nearest(m.key, names)
			looksReal := near != "" || m.kind() == '0' || m.kind() == '{'
			if looksReal && p.opt.Unknown == UnknownRefuse {
				msg := "unknown event"
				if slices.Contains(known, near) {
					msg = "unknown key"
				}
				p.errorf(m.off, "%s %q in a %s%s", msg, m.key, what, didYouMean(m.key, names))
				continue
			}
			p.warnf(m.off, "unknown key %q in a %s is ignored%s", m.key, what, didYouMean(m.key, names))
		}
	}
}

// notSuffix tells the characters that do not start the suffix by which events of one kind are told apart.
func notSuffix(r rune) bool { return !(r >= '0' && r <= '9' || r == '_' || r == '-' || r == '.') }

func (p *parser) cpus(o *object) *CPUSet {
	m := o.find("cpus")
	if m == nil {
		return nil
	}
	arr, ok := m.val.Value.(*hujson.Array)
	if !ok {
		p.errorf(m.val.StartOffset, "cpus: found %s, expected an array of CPU numbers", describe(m.val))
		return nil
	}
	set := &CPUSet{Pos: p.lines.pos(m.val.StartOffset)}
	if len(arr.Elements) == 0 {
		p.errorf(m.val.StartOffset, "cpus: found an empty array, expected at least one CPU number")
	}
	for i := range arr.Elements {
		v := &arr.Elements[i]
		n, ok := 0, false
		if v.Value.Kind() == '"' { // rt-app converts strings
			s := v.Value.(hujson.Literal).String()
			var err error
			if n, err = strconv.Atoi(strings.TrimSpace(s)); err == nil {
				ok = true
			} else {
				p.errorf(v.StartOffset, "cpus: found %s, expected a CPU number", describe(v))
			}
		} else {
			n, ok = p.int32(v, "cpus", "a CPU number")
		}
		if ok && n < 0 {
			p.errorf(v.StartOffset, "cpus: found %d, expected a CPU number, 0 or more", n)
			ok = false
		}
		if ok {
			set.CPUs = append(set.CPUs, n)
			set.At = append(set.At, p.lines.pos(v.StartOffset))
		}
	}
	return set
}

// sched reads policy, priority and the deadline parameters. Tasks also have older names for the latter.
func (p *parser) sched(s *Sched, o *object, isTask bool) {
	var m *member
	if s.Policy, m = p.policy(o, "policy"); m != nil {
		s.PolicyPos = p.lines.pos(m.val.StartOffset)
	}
	if s.Priority, m = p.intKey(o, "priority", "a nice value or a real-time priority", 0); m != nil {
		s.HasPriority = true
		s.PriorityPos = p.lines.pos(m.val.StartOffset)
	}
	read := func(key, legacy string, def int) int {
		n, m := p.natural(o, key, "us", def)
		if n == 0 && isTask && legacy != "" {
			n, m = p.natural(o, legacy, "us", def)
		}
		if m != nil && s.DLPos == (Pos{}) && legacy != "runtime" {
			s.DLPos = p.lines.pos(m.off)
		}
		return n
	}
	if s.DLRuntime, m = p.natural(o, "dl-runtime", "us", 0); m != nil {
		s.DLPos = p.lines.pos(m.off)
	}
	s.DLPeriod = read("dl-period", "period", s.DLRuntime)
	s.DLDeadline = read("dl-deadline", "deadline", s.DLPeriod)
	for _, key := range []string{"util_min", "util_max"} {
		if n, m := p.intKey(o, key, "0 to 1024", -1); m != nil {
			if n > 1024 || n < -1 {
				p.errorf(m.val.StartOffset, "%s: found %d, expected 0 to 1024", key, n)
			}
			p.warnf(m.off, "%s is not modelled and has no effect", key)
		}
	}
}

// checkNice checks the range of a nice value; rt-app finds out when it sets it.
func (p *parser) checkNice(s *Sched, policy Policy) {
	if !s.HasPriority {
		return
	}
	lo, hi, what := -20, 19, "a nice value"
	switch policy {
	case PolicyRR, PolicyFIFO:
		lo, hi, what = 1, 99, "a real-time priority"
	case PolicyDeadline:
		return
	}
	if s.Priority < lo || s.Priority > hi {
		if len(p.errs) < maxErrors {
			p.errs = append(p.errs, &Error{p.file, s.PriorityPos,
				"priority: found " + strconv.Itoa(s.Priority) + ", expected " + what + " from " + strconv.Itoa(lo) +
					" to " + strconv.Itoa(hi) + " for " + policy.String()})
		}
	}
}

// taskgroup reads the cgroup of a task; that of a phase has no effect (t is nil).
func (p *parser) taskgroup(t *Task, o *object) {
	s, m := p.stringKey(o, "taskgroup", "")
	if m == nil || m.kind() != '"' || s == "" {
		return
	}
	if !strings.HasPrefix(s, "/") {
		p.errorf(m.val.StartOffset, "taskgroup: found %q, expected a path that starts with \"/\"", clip(s))
		return
	}
	if t == nil {
		p.warnf(m.off, "taskgroup of a phase is not modelled and has no effect: the task stays in its cgroup")
		return
	}
	t.Cgroup, t.CgroupPos = s, p.lines.pos(m.val.StartOffset)
}

func (p *parser) membind(o *object) {
	m := o.find("nodes_membind")
	if m == nil {
		return
	}
	if m.kind() != '[' {
		p.errorf(m.val.StartOffset, "nodes_membind: found %s, expected an array of node numbers", describe(m.val))
		return
	}
	p.warnf(m.off, "nodes_membind is not modelled and has no effect")
}
