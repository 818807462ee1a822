package recipes

import (
	"embed"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/schedsim/schedsim/sched/bpf/agent"
	"github.com/schedsim/schedsim/vm/elf"
)

//go:embed *.json *.star
var files embed.FS

// Names are the recipes that come with schedsim, sorted.
func Names() []string {
	var names []string
	entries, err := files.ReadDir(".")
	if err != nil {
		panic("BUG: " + err.Error())
	}
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), ".json"); ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Source is the text of a recipe that comes with schedsim, and of its script.
func Source(name string) (recipe, script string, err error) {
	b, err := files.ReadFile(name + ".json")
	if err != nil {
		return "", "", unknown(name)
	}
	r, err := Parse(name+".json", b, files.ReadFile)
	if err != nil {
		return "", "", err
	}
	return string(b), r.Script, nil
}

// ScriptName is the file of the script, "" without one.
func (r *Recipe) ScriptName() string { return r.scriptFile }

func unknown(name string) error {
	hint := elf.DidYouMean(name, Names())
	if hint == "" {
		hint = "; 'schedsim recipe list' shows them, and a file of your own is named by its path"
	}
	return fmt.Errorf("no recipe %q%s", name, hint)
}

// Open reads the recipe of a name that comes with schedsim, or of a file.
func Open(name string) (*Recipe, error) {
	if !strings.ContainsAny(name, "/\\.") {
		b, err := files.ReadFile(name + ".json")
		if err != nil {
			return nil, unknown(name)
		}
		return Parse(name+".json", b, files.ReadFile)
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	return Parse(name, b, func(script string) ([]byte, error) { return os.ReadFile(filepath.Join(filepath.Dir(name), script)) })
}

// For finds the recipe of an object whose table has the name ops; nil if there is none.
func For(ops string, o *elf.Object) (*Recipe, error) {
	var found *Recipe
	for _, name := range Names() {
		r, err := Open(name)
		if err != nil {
			return nil, err
		}
		if (r.Ops == ops || slices.Contains(r.Alias, ops)) && strings.HasPrefix(o.Name, r.File) && r.fits(o) == "" &&
			(found == nil || r.narrow() > found.narrow()) {
			found = r
		}
	}
	return found, nil
}

// narrow is how much a recipe asks of an object: of those that match, the one that asks for most is taken.
func (r *Recipe) narrow() int { return len(r.Needs) + len(r.Lacks) + len(r.File) }

// fits says what of the object is not as the recipe needs it, "" if all is.
func (r *Recipe) fits(o *elf.Object) string {
	for _, n := range r.Needs {
		if !has(o, n) {
			return fmt.Sprintf("it needs %q, which the object does not have", n)
		}
	}
	for _, n := range r.Lacks {
		if has(o, n) {
			return fmt.Sprintf("it is for objects without %q", n)
		}
	}
	return ""
}

// Options tune an Agent.
type Options struct {
	// Recipe is used instead of the one that the object is matched to; nil for that.
	Recipe *Recipe
	// Log takes a line for each thing that is done; nil for none.
	Log func(line string)
}

// Agent is the user-space half of the scheduler of an object, by its recipe.
type Agent struct {
	opt  Options
	run  *runner
	next agent.Agent // the Go agent that the recipe names, nil for none
}

var _ agent.Agent = (*Agent)(nil)

// New makes an agent.
func New(o Options) *Agent { return &Agent{opt: o} }

// Prepare finds the recipe and edits the object.
func (a *Agent) Prepare(e *agent.Env, o *elf.Object) (agent.Edit, error) {
	r := a.opt.Recipe
	if r == nil {
		var err error
		if r, err = For(e.Scheduler, o); err != nil {
			return agent.Edit{}, err
		}
	} else if why := r.fits(o); why != "" {
		return agent.Edit{}, fmt.Errorf("recipe %s: %s: --recipe takes another ('schedsim recipe list' shows them), without it the object's own is looked for", r.Name, why)
	}
	log := a.opt.Log
	if log == nil {
		log = func(string) {}
	}
	if r == nil {
		log(fmt.Sprintf("there is no recipe for the scheduler %q: nothing is set", e.Scheduler))
		return agent.Edit{Unknown: true}, nil
	}
	log("recipe " + r.String())
	for _, text := range r.Missing {
		log("left out: " + text)
	}
	x, err := newRunner(r, *e, o, a.opt.Log)
	if err != nil {
		return agent.Edit{}, err
	}
	edit, err := x.prepare()
	if err != nil {
		return edit, err
	}
	if r.Agent != "" {
		if a.next, err = goAgent(r, x); err != nil {
			return edit, err
		}
		more, err := a.next.Prepare(e, o)
		if err != nil {
			return edit, err
		}
		edit.Set, edit.Members = append(edit.Set, more.Set...), append(edit.Members, more.Members...)
		edit.NoEnums, edit.Done = edit.NoEnums || more.NoEnums, append(edit.Done, more.Done...)
	}
	a.run, x.o = x, nil
	return edit, nil
}

// Loaded does the steps before the table is registered.
func (a *Agent) Loaded(l *agent.Loaded) error {
	if a.run == nil {
		return nil
	}
	a.run.l = l
	if err := a.run.steps(a.run.r.loaded); err != nil {
		return err
	}
	if a.next != nil {
		return a.next.Loaded(l)
	}
	return nil
}

// Attached does those after.
func (a *Agent) Attached(l *agent.Loaded) error {
	if a.run == nil {
		return nil
	}
	if err := a.run.steps(a.run.r.attached); err != nil {
		return err
	}
	if a.next != nil {
		return a.next.Attached(l)
	}
	return nil
}
