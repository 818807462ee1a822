package rtapp

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/tailscale/hujson"

	"github.com/schedsim/schedsim/sim"
)

// Dup says what to do with a key that an object has twice.
type Dup uint8

// How to read double keys.
const (
	// DupExpand renames the second "run" to "run1" and so on, as workgen does before it starts rt-app.
	DupExpand Dup = iota
	// DupLast keeps the last value at the place of the first, as rt-app itself does.
	DupLast
)

// Unknown says what to do with a key of a task or phase that means nothing.
type Unknown uint8

// How to read unknown keys.
const (
	// UnknownRefuse refuses keys that look like a mistyped event or setting (near to a known name, or with a number or
	// an object as value) and warns of others.
	UnknownRefuse Unknown = iota
	// UnknownWarn only warns; rt-app ignores them without a word.
	UnknownWarn
)

// Options tune the reading. The zero value expands double keys and refuses mistyped ones.
type Options struct {
	Duplicates Dup
	Unknown    Unknown
	// CPUs is the number of CPUs of the machine, by which tasks with "per_cpu" have instances; 0: as many as "instance" says.
	CPUs int
}

// maxTasks bounds the sum of instances.
const maxTasks = 1 << 20

// Parse reads the rt-app file data; name is for messages. An error is of type Errors; the File is then nil.
func Parse(name string, data []byte, o Options) (*File, error) {
	p := &parser{file: name, opt: o, lines: newLines(data)}
	f := &File{Name: name}
	if root, ok := p.read(data); ok {
		p.root(f, &root)
	}
	if len(p.errs) > 0 {
		slices.SortStableFunc(p.errs, func(a, b *Error) int { return comparePos(a.Pos, b.Pos) })
		return nil, p.errs
	}
	slices.SortStableFunc(p.warns, func(a, b Warning) int { return comparePos(a.Pos, b.Pos) })
	f.Warnings = p.warns
	return f, nil
}

func comparePos(a, b Pos) int {
	if a.Line != b.Line {
		return a.Line - b.Line
	}
	return a.Col - b.Col
}

var (
	rootKeys   = []string{"global", "tasks", "resources"}
	globalKeys = []string{"duration", "calibration", "default_policy", "pi_enabled", "lock_pages", "gnuplot",
		"cumulative_slack", "logdir", "log_basename", "log_size", "ftrace", "io_device", "mem_buffer_size", extKey}
	schedKeys = []string{"policy", "priority", "dl-runtime", "dl-period", "dl-deadline", "util_min", "util_max"}
	phaseKeys = slices.Concat([]string{"loop", "cpus", "nodes_membind", "taskgroup", extKey}, schedKeys)
	taskKeys  = slices.Concat([]string{"instance", "delay", "phases", "period", "deadline"}, phaseKeys)
)

func (p *parser) root(f *File, v *hujson.Value) {
	o, ok := p.object(v, "the file")
	if !ok {
		return
	}
	for i := range o.members {
		if m := &o.members[i]; !slices.Contains(rootKeys, m.key) && !quiet(m.key) {
			p.warnf(m.off, "unknown key %q is ignored%s", m.key, didYouMean(m.key, rootKeys))
		}
	}
	f.Global.DefaultPolicy = PolicyOther
	if m := o.find("global"); m != nil {
		p.global(&f.Global, m.val)
	}
	if m := o.find("resources"); m != nil {
		p.resources(m.val)
	}
	m := o.find("tasks")
	if m == nil {
		near := ""
		for i := range o.members {
			if k := o.members[i].key; nearest(k, []string{"tasks"}) != "" && k != "tasks" {
				near = "; did you mean the key " + strconv.Quote(k) + "?"
			}
		}
		p.errorf(o.off, `found no object "tasks", which is required%s`, near)
		return
	}
	tasks, ok := p.object(m.val, "tasks")
	if !ok {
		return
	}
	total := 0
	for i := range tasks.members {
		m := &tasks.members[i]
		t := p.task(m, f.Global.DefaultPolicy)
		if t == nil {
			continue
		}
		f.Tasks = append(f.Tasks, t)
		if total += t.Instances; total > maxTasks {
			p.errorf(m.off, "task %q: %d instances in all, expected at most %d", m.key, total, maxTasks)
			return
		}
	}
	p.forkTargets(f, tasks)
	p.timelineTargets(f)
}

// forkTargets checks that what is forked exists; rt-app finds out when it happens. What is resumed should exist too, or be
// a condition that somebody waits for, which is the same thing to rt-app.
func (p *parser) forkTargets(f *File, tasks *object) {
	names := make([]string, len(tasks.members))
	for i := range tasks.members {
		names[i] = tasks.members[i].key
	}
	var waited []string
	for _, t := range f.Tasks {
		for _, ph := range t.Phases {
			for _, e := range ph.Events {
				if e.Kind == Wait || e.Kind == Sync {
					waited = append(waited, e.Ref)
				}
			}
		}
	}
	for _, t := range f.Tasks {
		for _, ph := range t.Phases {
			for _, e := range ph.Events {
				switch {
				case slices.Contains(names, e.Ref):
				case e.Kind == Fork:
					p.errs = append(p.errs, &Error{p.file, e.ValPos, fmt.Sprintf("fork: found no task %q%s", e.Ref, didYouMean(e.Ref, names))})
				case e.Kind == Resume && !slices.Contains(waited, e.Ref):
					p.warns = append(p.warns, Warning{p.file, e.ValPos,
						fmt.Sprintf("resume: found no task %q, so nobody is ever resumed%s", e.Ref, didYouMean(e.Ref, names))})
				}
			}
		}
	}
}

// quiet tells whether a key is meant to be ignored: a comment.
func quiet(key string) bool {
	return strings.HasPrefix(key, "_") || strings.HasPrefix(key, "//") || key == "comment"
}

var ftraceNames = []string{"main", "task", "loop", "event", "stats", "none"}

func (p *parser) global(g *Global, v *hujson.Value) {
	o, ok := p.object(v, "global")
	if !ok {
		return
	}
	for i := range o.members {
		if m := &o.members[i]; !slices.Contains(globalKeys, m.key) && !m.renamed && !quiet(m.key) {
			p.warnf(m.off, "unknown key %q in global is ignored%s", m.key, didYouMean(m.key, globalKeys))
		}
	}
	if n, _ := p.intKey(o, "duration", "s", -1); n > 0 {
		g.Duration = sim.Duration(n) * sim.Second
	}
	if pol, _ := p.policy(o, "default_policy"); pol != PolicyNone {
		g.DefaultPolicy = pol
	}
	for _, key := range []string{"pi_enabled", "lock_pages", "gnuplot", "cumulative_slack"} {
		p.boolKey(o, key)
	}
	for _, key := range []string{"logdir", "log_basename", "io_device"} {
		p.stringKey(o, key, "")
	}
	p.natural(o, "mem_buffer_size", "bytes", 0)
	if m := o.find("calibration"); m != nil && m.kind() == '"' {
		s := m.val.Value.(hujson.Literal).String()
		if !regexp.MustCompile(`^CPU[0-9]+`).MatchString(s) {
			p.errorf(m.val.StartOffset, `calibration: found %q, expected ns per loop or "CPUn"`, clip(s))
		}
	} else if m != nil {
		p.int32(m.val, "calibration", `ns per loop, or a string "CPUn"`)
	}
	if m := o.find("log_size"); m != nil && m.kind() != '"' {
		p.int32(m.val, "log_size", `MB, or "file", "disable", "auto"`)
	}
	if m := o.find("ftrace"); m != nil && m.kind() != 't' && m.kind() != 'f' {
		s, _ := p.stringKey(o, "ftrace", "")
		for _, name := range strings.FieldsFunc(s, func(r rune) bool { return r == ',' }) {
			if !slices.Contains(ftraceNames, strings.ToLower(name)) {
				p.errorf(m.val.StartOffset, "ftrace: found the category %q, expected a list of %s%s",
					clip(name), strings.Join(ftraceNames, ", "), didYouMean(name, ftraceNames))
			}
		}
	}
	if m := o.find(extKey); m != nil {
		p.globalExt(g, m.val)
	}
}

var resourceTypes = []string{"mutex", "signal", "wait", "broadcast", "sync", "sleep", "run", "timer"}

// resources checks the legacy object "resources"; what it declares is created on first use anyway.
func (p *parser) resources(v *hujson.Value) {
	if v.Value.Kind() != '{' {
		return // rt-app takes no notice
	}
	o, _ := p.object(v, "resources")
	for i := range o.members {
		m := &o.members[i]
		if m.kind() != '{' {
			continue
		}
		r, _ := p.object(m.val, m.key)
		if typ, at := p.stringKey(r, "type", "mutex"); !slices.Contains(resourceTypes, typ) {
			p.errorf(at.val.StartOffset, "resource %q: found the type %q, expected one of %s%s",
				m.key, clip(typ), strings.Join(resourceTypes, ", "), didYouMean(typ, resourceTypes))
		}
	}
}

// policy reads a policy by name.
func (p *parser) policy(o *object, key string) (Policy, *member) {
	s, m := p.stringKey(o, key, "")
	if m == nil || m.kind() != '"' {
		return PolicyNone, nil
	}
	if i := slices.Index(policyNames[1:], s); i >= 0 {
		return Policy(i + 1), m
	}
	p.errorf(m.val.StartOffset, "%s: found %q, expected one of %s%s", key, clip(s),
		strings.Join(policyNames[1:], ", "), didYouMean(s, policyNames[1:]))
	return PolicyNone, m
}
