package rtapp

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tailscale/hujson"

	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/workloads/gen"
)

// extKey is the one key under which everything of ours lies. rt-app ignores it, so a file that uses it stays a valid
// rt-app file: where a distribution replaces a duration, rt-app runs with the plain number beside it.
//
//	"global": { "schedsim": { "title": "text", "duration": "250ms" } }
//	            (and "cgroups" and "timeline", see timeline.go)
//	task:       "schedsim": { "title": "text", "cgroup_weight": 200, "per_cpu": 0.5 }   and, without phases, what a phase takes
//	phase:      "run": 1000, "schedsim": { "run": { "dist": "exponential", "mean": "1ms" } }
//
// Unlike elsewhere in the file, unknown keys in it are always errors, and durations have units.
const extKey = "schedsim"

var (
	globalExtKeys = []string{"title", "duration", "cgroups", "timeline"}
	taskExtKeys   = []string{"title", "cgroup_weight", "per_cpu"}
)

func (p *parser) globalExt(g *Global, v *hujson.Value) {
	o, ok := p.object(v, extKey)
	if !ok {
		return
	}
	p.noOtherKeys(o, globalExtKeys)
	g.Title, _ = p.stringKey(o, "title", "")
	if m := o.find("duration"); m != nil {
		if d, ok := p.duration(m.val, "duration"); ok {
			if d <= 0 {
				p.errorf(m.val.StartOffset, "duration: found %v, expected more than 0", d)
			}
			g.Duration = d
		}
	}
	if m := o.find("cgroups"); m != nil {
		g.Cgroups = p.cgroups(m.val)
	}
	if m := o.find("timeline"); m != nil {
		g.Timeline = p.timeline(m.val)
	}
}

// taskExt reads the extensions of a task; ph is its only phase where it has no "phases".
func (p *parser) taskExt(t *Task, ph *Phase, v *hujson.Value) {
	o, ok := p.object(v, extKey)
	if !ok {
		return
	}
	t.Title, _ = p.stringKey(o, "title", "")
	if n, m := p.intKey(o, "cgroup_weight", "1 to 10000", 0); m != nil {
		if n < 1 || n > 10000 {
			p.errorf(m.val.StartOffset, "cgroup_weight: found %d, expected 1 to 10000", n)
		}
		t.CgroupWeight = n
	}
	if m := o.find("per_cpu"); m != nil {
		p.perCPU(t, m)
	}
	p.dists(ph, o, taskExtKeys)
}

// maxPerCPU bounds the instances per CPU.
const maxPerCPU = 1000

// perCPU has the number of instances follow the machine, where it is known.
func (p *parser) perCPU(t *Task, m *member) {
	before := len(p.errs)
	n := p.number(m)
	if len(p.errs) == before && !(n > 0 && n <= maxPerCPU) {
		p.errorf(m.val.StartOffset, "per_cpu: found %v, expected more than 0, at most %d", n, maxPerCPU)
		return
	}
	if p.opt.CPUs > 0 {
		t.Instances = max(1, int(math.Ceil(n*float64(p.opt.CPUs)-1e-9)))
	}
}

func (p *parser) phaseExt(ph *Phase, v *hujson.Value) {
	if o, ok := p.object(v, extKey); ok {
		p.dists(ph, o, nil)
	}
}

func (p *parser) noOtherKeys(o *object, known []string) {
	for i := range o.members {
		if m := &o.members[i]; !slices.Contains(known, m.key) && !quiet(m.key) {
			p.errorf(m.off, "unknown key %q in %q, expected %s%s", m.key, extKey, strings.Join(known, ", "),
				didYouMean(m.key, known))
		}
	}
}

// dists reads the distributions: each key is the key of an event of the phase.
func (p *parser) dists(ph *Phase, o *object, known []string) {
	var keys []string
	if ph != nil {
		for _, e := range ph.Events {
			switch e.Kind {
			case Run, Runtime, Sleep, Timer:
				keys = append(keys, e.Key)
			}
		}
	}
	for i := range o.members {
		m := &o.members[i]
		if slices.Contains(known, m.key) || quiet(m.key) {
			continue
		}
		at := slices.Index(keys, m.key)
		if at < 0 {
			all := slices.Concat(known, keys)
			if _, isEvent := eventByKey(m.key); isEvent && ph == nil {
				p.errorf(m.off, "distribution for %q beside \"phases\", expected it in the phase that has the event", m.key)
			} else {
				p.errorf(m.off, "unknown key %q in %q, expected %s%s", m.key, extKey,
					orNothing(strings.Join(all, ", ")), didYouMean(m.key, all))
			}
			continue
		}
		if d, ok := p.dist(m); ok {
			for _, e := range ph.Events {
				if e.Key == m.key {
					e.Dist = &d
				}
			}
		}
	}
}

func orNothing(s string) string {
	if s == "" {
		return "nothing"
	}
	return s
}

// distKeys are the parameters of each family; those after the bar may be left out.
var distKeys = [...]string{
	gen.Constant:    "value",
	gen.Uniform:     "min max",
	gen.Exponential: "mean | at_least at_most",
	gen.Normal:      "mean sd | at_least at_most",
	gen.LogNormal:   "mean sd | at_least at_most",
	gen.Pareto:      "min alpha | at_most at_least",
	gen.Bimodal:     "low high p | at_least at_most",
}

func (p *parser) dist(m *member) (d gen.Dist, ok bool) {
	before := len(p.errs)
	o, isObj := p.object(m.val, "distribution of "+strconv.Quote(m.key))
	if !isObj {
		return d, false
	}
	name, at := p.stringKey(o, "dist", "")
	if at == nil {
		p.errorf(o.off, "distribution of %q: found no key \"dist\", expected it to be one of %s", m.key,
			strings.Join(gen.Kinds(), ", "))
		return d, false
	}
	kind, known := gen.KindByName(name)
	if !known {
		if at.kind() == '"' {
			p.errorf(at.val.StartOffset, "dist: found %q, expected one of %s%s", clip(name),
				strings.Join(gen.Kinds(), ", "), didYouMean(name, gen.Kinds()))
		}
		return d, false
	}
	d.Kind = kind
	required, optional, _ := strings.Cut(distKeys[kind], "|")
	need, may := strings.Fields(required), strings.Fields(optional)
	for i := range o.members {
		f := &o.members[i]
		switch {
		case f.key == "dist" || quiet(f.key):
		case slices.Contains(need, f.key) || slices.Contains(may, f.key):
			p.param(&d, f)
		default:
			all := slices.Concat(need, may)
			p.errorf(f.off, "unknown key %q in a distribution of kind %s, expected %s%s", f.key, kind,
				strings.Join(all, ", "), didYouMean(f.key, all))
		}
	}
	for _, key := range need {
		if o.find(key) == nil {
			p.errorf(o.off, "distribution of %q: found no key %q, which %s needs", m.key, key, kind)
		}
	}
	if len(p.errs) > before {
		return d, false
	}
	if err := d.Check(); err != nil {
		p.errorf(o.off, "distribution of %q: %v", m.key, err)
		return d, false
	}
	return d, true
}

// param reads one parameter of a distribution.
func (p *parser) param(d *gen.Dist, m *member) {
	switch m.key {
	case "alpha":
		d.Alpha = p.number(m)
	case "p":
		d.P = p.number(m)
	default:
		v, ok := p.duration(m.val, m.key)
		if !ok {
			return
		}
		switch m.key {
		case "value", "low":
			d.Value = v
		case "high":
			d.High = v
		case "mean":
			d.Mean = v
		case "sd":
			d.SD = v
		case "min":
			d.Min = v
		case "max":
			d.Max = v
		case "at_least":
			d.Lo = v
		case "at_most":
			d.Hi = v
		}
	}
}

func (p *parser) number(m *member) float64 {
	if m.kind() == '0' {
		if x, err := strconv.ParseFloat(string(m.val.Value.(hujson.Literal)), 64); err == nil {
			return x
		}
	}
	p.errorf(m.val.StartOffset, "%s: found %s, expected a number", m.key, describe(m.val))
	return 0
}

// duration reads a duration with a unit: "1.5ms".
func (p *parser) duration(v *hujson.Value, what string) (sim.Duration, bool) {
	if v.Value.Kind() == '"' {
		s := v.Value.(hujson.Literal).String()
		if d, err := time.ParseDuration(s); err == nil {
			if d < 0 {
				p.errorf(v.StartOffset, "%s: found %q, expected 0 or more", what, clip(s))
				return 0, false
			}
			return sim.Duration(d), true
		}
	}
	hint := ""
	if v.Value.Kind() == '0' {
		hint = "; a plain number has no unit"
	}
	p.errorf(v.StartOffset, `%s: found %s, expected a duration with a unit such as "250us" or "1.5ms"%s`, what, describe(v), hint)
	return 0, false
}
