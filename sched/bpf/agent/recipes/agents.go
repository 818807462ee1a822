package recipes

import (
	"slices"
	"strings"

	"github.com/schedsim/schedsim/sched/bpf/agent"
	"github.com/schedsim/schedsim/sched/bpf/agent/userland"
	"github.com/schedsim/schedsim/vm/elf"
)

// goAgent makes the agent that a recipe names: a user-space half that is more than a recipe can say.
func goAgent(r *Recipe, x *runner) (agent.Agent, error) {
	kinds := userland.Kinds()
	if !slices.Contains(kinds, r.Agent) {
		hint := elf.DidYouMean(r.Agent, kinds)
		if hint == "" {
			hint = "; there is " + strings.Join(kinds, ", ")
		}
		return nil, r.agentAt.errorf("no agent %q%s", r.Agent, hint)
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
		return nil, r.agentAt.at(err)
	}
	return a, nil
}
