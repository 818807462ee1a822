package recipes

import (
	"fmt"

	"github.com/schedsim/schedsim/sched/bpf/agent"
	"github.com/schedsim/schedsim/sched/bpf/agent/userland"
	"github.com/schedsim/schedsim/vm/elf"
)

// goAgents are the agents that recipes can name: user-space halves that are more than a recipe says.
func goAgents() map[string]func(args map[string]any) (agent.Agent, error) {
	all := map[string]func(args map[string]any) (agent.Agent, error){}
	for _, kind := range userland.Kinds() {
		all[kind] = func(args map[string]any) (agent.Agent, error) { return userland.New(kind, args) }
	}
	return all
}

// goAgent makes the agent that a recipe names.
func goAgent(r *Recipe, x *runner) (agent.Agent, error) {
	all := goAgents()
	f, ok := all[r.Agent]
	if !ok {
		return nil, fmt.Errorf("recipe %s: no agent %q%s", r.Name, r.Agent, elf.DidYouMean(r.Agent, sorted(all)))
	}
	args := map[string]any{}
	for i := range r.AgentArgs {
		s := &r.AgentArgs[i]
		v, err := x.eval(&s.val, x.base)
		if err != nil {
			return nil, err
		}
		args[s.key] = v
	}
	return f(args)
}
