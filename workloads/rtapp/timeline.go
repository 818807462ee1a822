package rtapp

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tailscale/hujson"

	"github.com/schedsim/schedsim/sim"
)

// Cgroups and the timeline lie in the global part of our additions:
//
//	"cgroups":  { "/web": { "weight": 200, "max": "50ms/100ms", "cpus": [0, 1] } }
//	"timeline": [ { "at": "1.5s", "do": "move", "task": "client", "cgroup": "/web" } ]

// Cgroup is one cgroup with the contents of its files; unset ones are as the kernel makes them.
type Cgroup struct {
	Path string
	Pos  Pos
	Settings
}

// Settings are contents of the files of a cgroup.
type Settings struct {
	Weight  *int // cpu.weight
	Nice    *int // cpu.weight.nice
	Idle    *bool
	Max     *Bandwidth // cpu.max
	Burst   *sim.Duration
	CPUs    *CPUSet // cpuset.cpus
	AllCPUs bool    // cpuset.cpus is emptied
}

// Bandwidth is the content of cpu.max. Quota is negative for "max", Period 0 where it is not given.
type Bandwidth struct{ Quota, Period sim.Duration }

// Do says what an action does.
type Do uint8

// The actions.
const (
	DoMkdir Do = iota
	DoRmdir
	DoSet
	DoMove
	DoOffline
	DoOnline
	DoAffinity
	DoNice
	DoPolicy
	DoKill
	DoSpawn
	DoRename
	DoPin
	DoUnpin
	DoSpeed
	DoAttach
	DoDetach
	DoReplace
	DoFairServer
	DoExtServer
	nrDo
)

var doNames = [nrDo]string{"mkdir", "rmdir", "set", "move", "offline", "online", "affinity", "nice", "policy", "kill", "spawn", "rename",
	"migrate_disable", "migrate_enable", "speed", "attach", "detach", "replace", "fair_server", "ext_server"}

// String is the word in the file.
func (d Do) String() string { return doNames[d] }

// Action is one entry of the timeline.
type Action struct {
	At Pos // in the file
	// Time is when it happens first; Every and Times repeat it.
	Time, Every sim.Duration
	Times       int
	Do          Do
	// Task is a task of the file by name (all its instances), or one instance ("name-2"). Cgroup is a path.
	Task, Cgroup       string
	TaskPos, CgroupPos Pos
	Settings           // of DoMkdir and DoSet
	CPUs               *CPUSet
	Value              int // nice value, number of tasks, speed in percent
	Sched              Sched
	Name               string // DoRename
	// Scheduler is what DoAttach and DoReplace attach, "" for that of the run; with a Cgroup it is a sub-scheduler.
	Scheduler    string
	SchedulerPos Pos
	// Runtime and Period are what is written to the files of a server (DoFairServer, DoExtServer); nil: the file stays.
	Runtime, Period *sim.Duration
}

// doKeys are the keys of each action beside "at", "do", "every" and "times"; those behind the bar may be left out.
var doKeys = [nrDo]string{
	DoMkdir:    "cgroup | weight nice idle max burst cpus",
	DoRmdir:    "cgroup",
	DoSet:      "cgroup | weight nice idle max burst cpus",
	DoMove:     "task cgroup",
	DoOffline:  "cpus",
	DoOnline:   "cpus",
	DoAffinity: "task cpus",
	DoNice:     "task value",
	DoPolicy:   "task policy | priority dl-runtime dl-period dl-deadline",
	DoKill:     "task",
	DoSpawn:    "task | value",
	DoRename:   "task name",
	DoPin:      "task",
	DoUnpin:    "task",
	DoSpeed:    "cpus value",

	DoAttach:     "| scheduler cgroup",
	DoDetach:     "| cgroup",
	DoReplace:    "| scheduler cgroup",
	DoFairServer: "cpus | runtime period",
	DoExtServer:  "cpus | runtime period",
}

var actionKeys = []string{"at", "do", "every", "times"}

// settingKeys are the files of a cgroup, by the keys here.
var settingKeys = []string{"weight", "nice", "idle", "max", "burst", "cpus"}

// cgroups reads the object "cgroups".
func (p *parser) cgroups(v *hujson.Value) []*Cgroup {
	o, ok := p.object(v, "cgroups")
	if !ok {
		return nil
	}
	var out []*Cgroup
	for i := range o.members {
		m := &o.members[i]
		if quiet(m.key) {
			continue
		}
		c := &Cgroup{Path: m.key, Pos: p.lines.pos(m.off)}
		if !p.path(m.key, m.off) {
			continue
		}
		so, ok := p.object(m.val, "cgroup "+strconv.Quote(m.key))
		if !ok {
			continue
		}
		p.noOtherKeys(so, settingKeys)
		p.settings(&c.Settings, so)
		out = append(out, c)
	}
	return out
}

// path checks the path of a cgroup below the root.
func (p *parser) path(s string, off int) bool {
	if !strings.HasPrefix(s, "/") || strings.Trim(s, "/") == "" || strings.Contains(s, "//") || strings.HasSuffix(s, "/") {
		p.errorf(off, `cgroup: found %q, expected a path below the root such as "/web/front"`, clip(s))
		return false
	}
	return true
}

// settings reads the files of a cgroup.
func (p *parser) settings(s *Settings, o *object) {
	number := func(key string, lo, hi int) *int {
		n, m := p.intKey(o, key, fmt.Sprintf("%d to %d", lo, hi), lo)
		if m == nil {
			return nil
		}
		if n < lo || n > hi {
			p.errorf(m.val.StartOffset, "%s: found %d, expected %d to %d", key, n, lo, hi)
		}
		return &n
	}
	s.Weight = number("weight", 1, 10_000)
	s.Nice = number("nice", -20, 19)
	if m := o.find("idle"); m != nil {
		idle := m.kind() == 't'
		if p.boolKey(o, "idle"); m.kind() == 't' || m.kind() == 'f' {
			s.Idle = &idle
		}
	}
	if m := o.find("max"); m != nil {
		s.Max = p.bandwidth(m)
	}
	if m := o.find("burst"); m != nil {
		if d, ok := p.duration(m.val, "burst"); ok {
			s.Burst = &d
		}
	}
	if m := o.find("cpus"); m != nil {
		if m.kind() == '"' && m.val.Value.(hujson.Literal).String() == "" {
			s.AllCPUs = true
		} else {
			s.CPUs = p.cpuList(o)
		}
	}
}

// bandwidth reads "50ms/100ms", "50ms" or "max".
func (p *parser) bandwidth(m *member) *Bandwidth {
	refuse := func() *Bandwidth {
		p.errorf(m.val.StartOffset, `max: found %s, expected a quota and a period such as "50ms/100ms", or "max"`, describe(m.val))
		return nil
	}
	if m.kind() != '"' {
		return refuse()
	}
	quota, period, both := strings.Cut(m.val.Value.(hujson.Literal).String(), "/")
	b := &Bandwidth{Quota: -1}
	if quota != "max" {
		d, err := time.ParseDuration(quota)
		if err != nil || d <= 0 {
			return refuse()
		}
		b.Quota = sim.Duration(d)
	}
	if both {
		d, err := time.ParseDuration(period)
		if err != nil || d <= 0 {
			return refuse()
		}
		b.Period = sim.Duration(d)
	}
	return b
}

// cpuList reads "cpus", which may also be one number or a list as the kernel writes it: "0-3,6".
func (p *parser) cpuList(o *object) *CPUSet {
	m := o.find("cpus")
	at := p.lines.pos(m.val.StartOffset)
	set := &CPUSet{Pos: at}
	add := func(n int) {
		set.CPUs, set.At = append(set.CPUs, n), append(set.At, at)
	}
	switch m.kind() {
	case '[':
		return p.cpus(o)
	case '0':
		if n, ok := p.int32(m.val, "cpus", "a CPU number"); ok && n >= 0 {
			add(n)
			return set
		}
	case '"':
		for _, part := range strings.Split(m.val.Value.(hujson.Literal).String(), ",") {
			first, last, ok := strings.Cut(part, "-")
			lo, err := strconv.Atoi(strings.TrimSpace(first))
			hi := lo
			if ok && err == nil {
				hi, err = strconv.Atoi(strings.TrimSpace(last))
			}
			if err != nil || lo < 0 || hi < lo || hi-lo > 1<<13 {
				set = nil
				break
			}
			for n := lo; n <= hi; n++ {
				add(n)
			}
		}
		if set != nil {
			return set
		}
	}
	p.errorf(m.val.StartOffset, `cpus: found %s, expected CPU numbers such as [0, 1] or "0-3,6"`, describe(m.val))
	return nil
}

// timeline reads the array "timeline".
func (p *parser) timeline(v *hujson.Value) []*Action {
	arr, ok := v.Value.(*hujson.Array)
	if !ok {
		p.errorf(v.StartOffset, "timeline: found %s, expected an array of objects", describe(v))
		return nil
	}
	var out []*Action
	for i := range arr.Elements {
		if a := p.action(&arr.Elements[i]); a != nil {
			out = append(out, a)
		}
	}
	return out
}

// action reads one entry of the timeline; nil after an error.
func (p *parser) action(v *hujson.Value) *Action {
	o, ok := p.object(v, "entry of the timeline")
	if !ok {
		return nil
	}
	before := len(p.errs)
	a := &Action{At: p.lines.pos(o.off), Times: 1}
	names := doNames[:]
	word, m := p.stringKey(o, "do", "")
	if m == nil {
		p.errorf(o.off, "timeline: found no key \"do\", expected it to be one of %s", strings.Join(names, ", "))
		return nil
	}
	i := slices.Index(names, word)
	if i < 0 {
		if m.kind() == '"' {
			p.errorf(m.val.StartOffset, "do: found %q, expected one of %s%s", clip(word), strings.Join(names, ", "), didYouMean(word, names))
		}
		return nil
	}
	a.Do = Do(i)
	required, optional, _ := strings.Cut(doKeys[a.Do], "|")
	need, may := strings.Fields(required), strings.Fields(optional)
	all := slices.Concat(actionKeys, need, may)
	for i := range o.members {
		if m := &o.members[i]; !slices.Contains(all, m.key) && !quiet(m.key) {
			p.errorf(m.off, "unknown key %q in %s, expected %s%s", m.key, word, strings.Join(all, ", "), didYouMean(m.key, all))
		}
	}
	for _, key := range append([]string{"at"}, need...) {
		if o.find(key) == nil {
			p.errorf(o.off, "%s: found no key %q, which it needs", word, key)
		}
	}
	p.when(a, o)
	if len(p.errs) > before {
		return nil
	}
	p.actionArgs(a, o)
	if len(p.errs) > before {
		return nil
	}
	return a
}

// when reads the times of an action.
func (p *parser) when(a *Action, o *object) {
	if m := o.find("at"); m != nil {
		a.Time, _ = p.duration(m.val, "at")
	}
	every := o.find("every")
	if every != nil {
		d, ok := p.duration(every.val, "every")
		if ok && d <= 0 {
			p.errorf(every.val.StartOffset, "every: found %v, expected more than 0", d)
		}
		a.Every, a.Times = d, math.MaxInt32
	}
	if n, m := p.natural(o, "times", "repetitions", 0); m != nil {
		if every == nil {
			p.errorf(m.off, "times: found without \"every\"")
		}
		a.Times = max(n, 1)
	}
}

// actionArgs reads what an action is about.
func (p *parser) actionArgs(a *Action, o *object) {
	keys := strings.Fields(doKeys[a.Do])
	has := func(key string) bool { return slices.Contains(keys, key) && o.find(key) != nil }
	if has("task") {
		var m *member
		a.Task, m = p.stringKey(o, "task", "")
		a.TaskPos = p.lines.pos(m.val.StartOffset)
	}
	if has("cgroup") {
		var m *member
		a.Cgroup, m = p.stringKey(o, "cgroup", "")
		a.CgroupPos = p.lines.pos(m.val.StartOffset)
		if a.Cgroup != "/" || a.Do != DoMove {
			p.path(a.Cgroup, m.val.StartOffset)
		}
	}
	switch a.Do {
	case DoMkdir, DoSet:
		p.settings(&a.Settings, o)
	case DoOffline, DoOnline, DoAffinity:
		a.CPUs = p.cpuList(o)
	case DoSpeed:
		a.CPUs = p.cpuList(o)
		a.Value = p.within(o, "value", 1, 100, "percent of the full speed")
	case DoAttach, DoReplace:
		p.scheduler(a, o)
	case DoFairServer, DoExtServer:
		a.CPUs = p.cpuList(o)
		p.server(a, o)
	case DoNice:
		a.Value = p.within(o, "value", -20, 19, "a nice value")
	case DoSpawn:
		a.Value = 1
		if has("value") {
			a.Value = p.within(o, "value", 1, maxTasks, "a number of tasks")
		}
	case DoPolicy:
		p.sched(&a.Sched, o, false)
		p.checkNice(&a.Sched, a.Sched.Policy)
	case DoRename:
		var m *member
		if a.Name, m = p.stringKey(o, "name", ""); a.Name == "" {
			p.errorf(m.val.StartOffset, "name: found %s, expected a name", describe(m.val))
		}
	}
}

// within reads an integer of a range.
func (p *parser) within(o *object, key string, lo, hi int, what string) int {
	n, m := p.intKey(o, key, what, lo)
	if m != nil && (n < lo || n > hi) {
		p.errorf(m.val.StartOffset, "%s: found %d, expected %s from %d to %d", key, n, what, lo, hi)
	}
	return n
}

// timelineTargets checks that the tasks and cgroups of the timeline exist at some time.
func (p *parser) timelineTargets(f *File) {
	paths := []string{}
	know := func(path string) {
		for i, r := range path {
			if i > 0 && r == '/' {
				paths = append(paths, path[:i])
			}
		}
		paths = append(paths, path)
	}
	var tasks []string
	for _, t := range f.Tasks {
		tasks = append(tasks, t.Name)
		if t.Cgroup != "" {
			know(t.Cgroup)
		}
	}
	for _, c := range f.Global.Cgroups {
		know(c.Path)
	}
	for _, a := range f.Global.Timeline {
		if a.Do == DoMkdir {
			know(a.Cgroup)
		}
	}
	for _, a := range f.Global.Timeline {
		if a.Cgroup != "" && a.Cgroup != "/" && !slices.Contains(paths, a.Cgroup) {
			p.errs = append(p.errs, &Error{p.file, a.CgroupPos, fmt.Sprintf("%s: found no cgroup %q, which something should make%s", a.Do, a.Cgroup,
				didYouMean(a.Cgroup, paths))})
		}
		if a.Task != "" && f.Task(a.Task) == nil && (a.Do == DoSpawn || f.instance(a.Task) == nil) {
			p.errs = append(p.errs, &Error{p.file, a.TaskPos, fmt.Sprintf("%s: found no task %q%s", a.Do, a.Task, didYouMean(a.Task, tasks))})
		}
	}
}

// instance returns the task of which name is one instance ("worker-2"), nil if there is none.
func (f *File) instance(name string) *Task {
	i := strings.LastIndexByte(name, '-')
	if i < 0 {
		return nil
	}
	if _, err := strconv.Atoi(name[i+1:]); err != nil {
		return nil
	}
	return f.Task(name[:i])
}
