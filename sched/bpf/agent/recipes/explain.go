package recipes

import (
	"errors"
	"fmt"
	"strings"

	"github.com/schedsim/schedsim/sched/bpf/agent"
)

// Explain tells what a recipe would write on a machine as far as that can be told without an object, and which steps it has.
func (r *Recipe) Explain(e agent.Env, log func(line string)) error {
	x, err := newRunner(r, e, nil, nil)
	if errors.Is(err, errNoObject) {
		log("its script asks the object: give one")
		return nil
	}
	if err != nil {
		return err
	}
	for _, f := range []struct {
		what string
		list []setting
	}{{"program %s: autoload", r.autoload}, {"variable %s: elements", r.resize}, {"map %s: entries", r.maps}, {"ops.%s =", r.members}, {"%s =", r.set}} {
		for i := range f.list {
			s := &f.list[i]
			v, err := x.eval(&s.val, x.base)
			text := short(v)
			switch {
			case errors.Is(err, errNoObject):
				text = "(by the object)"
			case err != nil:
				return s.val.at(err)
			case v == nil:
				continue
			}
			log(fmt.Sprintf(f.what, s.key) + " " + text)
		}
	}
	for _, f := range []struct {
		when string
		list []step
	}{{"loaded", r.loaded}, {"attached", r.attached}} {
		for i := range f.list {
			log(f.when + ": " + f.list[i].String())
		}
	}
	if r.Agent != "" {
		log("attached: the process " + r.Agent)
	}
	return nil
}

// String is the step in words.
func (s *step) String() string {
	text := s.kind + " " + s.name
	if s.kind == "every" {
		text += ": call " + s.has["call"].text
	}
	if s.over != "" {
		text += " for " + strings.Join(s.vars, ", ") + " in " + s.over
	}
	if s.cond != "" {
		text += " if " + s.cond
	}
	return strings.TrimSpace(text)
}
