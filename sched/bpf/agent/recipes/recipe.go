package recipes

import (
	"fmt"
	"strings"
)

// Recipe is the user-space half of one scheduler.
type Recipe struct {
	// Name is that of its file without the extension.
	Name  string
	Title string
	// Ops is the name in the object's ops table, Alias are others that it may have.
	Ops   string
	Alias []string
	// Needs are variables, maps or programs that the object must have for the recipe to be its own, Lacks those that it must not
	// have.
	Needs, Lacks []string
	// File is how the name of the object's file begins, where two schedulers have the same object; "": anyhow. It does not matter
	// if the recipe is asked for.
	File string
	// Enums are the enumerators X that variables __X are set to; nil: all that the kernel has.
	Enums []string
	enums bool
	// Missing says what of the real user-space half the recipe leaves out.
	Missing []string
	// Agent is the name of the Go agent that goes on where the recipe ends, "" for none.
	Agent string
	// AgentArgs are its settings.
	AgentArgs []setting
	agentAt   node

	Script     string // Starlark, "" for none
	scriptFile string

	autoload, resize, maps, members, set []setting
	loaded, attached                     []step
}

// setting is a key with its value, in the order of the file.
type setting struct {
	key string
	val node
}

// step is one thing that the recipe does with a loaded object.
type step struct {
	at   node
	kind string // the key that says what it is
	name string // what the key says
	cond string // "": always
	vars []string
	over string // what vars run over, "": once
	has  map[string]node
}

var (
	recipeKeys = []string{"title", "ops", "alias", "file", "needs", "lacks", "enums", "missing", "agent", "script", "autoload", "resize", "maps",
		"members", "set", "loaded", "attached"}
	stepKinds = map[string][]string{
		"run":       {"args", "on", "result"},
		"set":       {},
		"update":    {"key", "value"},
		"inner":     {"key", "entries"},
		"arena_lib": {"task"},
		"call":      {},
		"every":     {"call"},
	}
)

// Parse reads a recipe; name is how messages call its file. Read gives the text of a script beside it.
func Parse(name string, data []byte, read func(name string) ([]byte, error)) (*Recipe, error) {
	n, err := parse(name, data)
	if err != nil {
		return nil, err
	}
	if err := n.object("recipe", recipeKeys...); err != nil {
		return nil, err
	}
	r := &Recipe{Name: strings.TrimSuffix(base(name), ".json")}
	for _, f := range []struct {
		key string
		to  *string
	}{{"title", &r.Title}, {"ops", &r.Ops}, {"file", &r.File}, {"script", &r.scriptFile}} {
		if *f.to, err = n.str(f.key); err != nil {
			return nil, err
		}
	}
	if r.Ops == "" {
		return nil, n.errorf(`recipe: "ops", the name in the ops table, is missing`)
	}
	for _, f := range []struct {
		key string
		to  *[]string
	}{{"alias", &r.Alias}, {"needs", &r.Needs}, {"lacks", &r.Lacks}, {"enums", &r.Enums}, {"missing", &r.Missing}} {
		if *f.to, err = n.strs(f.key); err != nil {
			return nil, err
		}
	}
	r.enums = n.find("enums") != nil
	if err := r.agent(n.find("agent")); err != nil {
		return nil, err
	}
	for _, f := range []struct {
		key string
		to  *[]setting
	}{{"autoload", &r.autoload}, {"resize", &r.resize}, {"maps", &r.maps}, {"members", &r.members}, {"set", &r.set}} {
		v := n.find(f.key)
		if v == nil {
			continue
		}
		if err := v.object(f.key); err != nil {
			return nil, err
		}
		*f.to = settings(v)
	}
	for _, f := range []struct {
		key string
		to  *[]step
	}{{"loaded", &r.loaded}, {"attached", &r.attached}} {
		if *f.to, err = steps(n.find(f.key), f.key); err != nil {
			return nil, err
		}
	}
	if r.scriptFile != "" {
		text, err := read(r.scriptFile)
		if err != nil {
			return nil, n.find("script").errorf("script: %v", err)
		}
		r.Script = string(text)
	}
	return r, r.check()
}

func base(path string) string { return path[strings.LastIndexAny(path, "/\\")+1:] }

func settings(n *node) []setting {
	var out []setting
	for _, m := range n.members {
		out = append(out, setting{m.key, m.node})
	}
	return out
}

func (r *Recipe) agent(n *node) error {
	if n == nil {
		return nil
	}
	r.agentAt = *n
	if n.kind == 's' {
		r.Agent = n.text
		return nil
	}
	if err := n.object("agent"); err != nil {
		return err
	}
	for _, s := range settings(n) {
		if s.key != "name" {
			r.AgentArgs = append(r.AgentArgs, s)
		} else if s.val.kind == 's' {
			r.Agent = s.val.text
		}
	}
	if r.Agent == "" {
		return n.errorf(`agent: "name" is missing`)
	}
	return nil
}

func steps(n *node, what string) ([]step, error) {
	if n == nil {
		return nil, nil
	}
	if n.kind != 'l' {
		return nil, n.errorf("%s: expected a list of steps", what)
	}
	out := make([]step, 0, len(n.list))
	for i := range n.list {
		s, err := newStep(&n.list[i])
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

func newStep(n *node) (step, error) {
	s := step{at: *n, has: map[string]node{}}
	if err := n.object("step"); err != nil {
		return s, err
	}
	kinds := []string{"run", "set", "update", "inner", "arena_lib", "every", "call"}
	for _, k := range kinds {
		if n.find(k) != nil {
			s.kind = k
			break
		}
	}
	if s.kind == "" {
		return s, n.errorf("step: one of %s is missing", strings.Join(kinds, ", "))
	}
	if err := n.object("step "+s.kind, append([]string{s.kind, "for", "if"}, stepKinds[s.kind]...)...); err != nil {
		return s, err
	}
	for _, m := range n.members {
		s.has[m.key] = m.node
	}
	first := n.find(s.kind)
	switch s.kind {
	case "set":
		if err := first.object("set"); err != nil {
			return s, err
		}
	case "arena_lib":
		if err := first.object("arena_lib", "task"); err != nil {
			return s, err
		}
	default:
		if first.kind != 's' || first.text == "" {
			return s, first.errorf("step %s: expected a name", s.kind)
		}
		s.name = first.text
	}
	var err error
	if s.cond, err = n.str("if"); err != nil {
		return s, err
	}
	loop, err := n.str("for")
	if err != nil {
		return s, err
	}
	if loop != "" {
		vars, over, ok := strings.Cut(loop, " in ")
		if !ok {
			return s, n.find("for").errorf(`for: %q: expected "NAME in EXPRESSION"`, loop)
		}
		for v := range strings.SplitSeq(vars, ",") {
			s.vars = append(s.vars, strings.TrimSpace(v))
		}
		s.over = over
	}
	return s, nil
}

// check finds errors of expressions and of the script that need no machine.
func (r *Recipe) check() error {
	if _, err := r.program(); err != nil {
		return err
	}
	var err error
	visit := func(n *node) {
		if x, ok := n.expr(); ok && err == nil {
			err = n.at(checkExpr(n.file, n.line, x))
		}
	}
	for _, list := range [][]setting{r.autoload, r.resize, r.maps, r.members, r.set, r.AgentArgs} {
		for i := range list {
			list[i].val.walk(visit)
		}
	}
	for _, list := range [][]step{r.loaded, r.attached} {
		for i := range list {
			s := &list[i]
			s.at.walk(visit)
			for _, x := range []string{s.cond, s.over} {
				if x != "" && err == nil {
					err = s.at.at(checkExpr(s.at.file, s.at.line, x))
				}
			}
			if s.kind == "every" && s.has["call"].kind != 's' {
				return s.at.errorf(`step every: "call", a function of the script, is missing`)
			}
			if s.kind == "update" {
				if _, ok := s.has["key"]; !ok {
					return s.at.errorf(`step update: "key" is missing`)
				}
			}
		}
	}
	return err
}

func (n *node) walk(f func(n *node)) {
	f(n)
	for i := range n.list {
		n.list[i].walk(f)
	}
	for i := range n.members {
		n.members[i].node.walk(f)
	}
}

// String is the recipe's name and title.
func (r *Recipe) String() string { return fmt.Sprintf("%s: %s", r.Name, r.Title) }
