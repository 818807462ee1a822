package recipes

import (
	"fmt"
	"slices"

	"github.com/schedsim/schedsim/sched/bpf/agent"
	"github.com/schedsim/schedsim/sched/bpf/agent/userland"
	"github.com/schedsim/schedsim/vm/elf"
)

// goAgent makes the agent that a recipe names: a user-space half that is more than a recipe can say.
func goAgent(r *Recipe, x *runner) (agent.Agent, error) {
	kinds := userland.Kinds()
	if !slices.Contains(kinds, r.Agent) {
		return nil, fmt.Errorf("recipe %s: no agent %q%s", r.Name, r.Agent, elf.DidYouMean(r.Agent, kinds))
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
	a, err := userland.New(r.Agent, args)
	if err != nil {
		return nil, fmt.Errorf("recipe %s: %w", r.Name, err)
	}
	return a, nil
}
