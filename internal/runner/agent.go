package runner

import "github.com/schedsim/schedsim/sched"

// attached tells a policy that it is in charge.
func (r *run) attached(scheduler string, p sched.Policy) error {
	if a, ok := p.(sched.Attacher); ok {
		if err := a.Attached(); err != nil {
			return &LoadError{scheduler, err}
		}
	}
	return nil
}

// agentError says why the user-space half of a scheduler could not go on.
func (r *run) agentError() error {
	for _, p := range r.policies() {
		if a, ok := p.(interface{ AgentError() error }); ok && a.AgentError() != nil {
			return a.AgentError()
		}
	}
	return nil
}
